"""References to a patient within a resource: found, turned to another patient, and turned back by their place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Place = tuple[str | int, ...]
"""Names and indexes from the resource down to the Reference: `("participant", 0, "actor")`."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A resource whose references were turned: where they stand, and how many that name a version were left."""

    resource: dict[str, Any]
    places: tuple[Place, ...]
    versioned: int = 0


def turned(resource: Mapping[str, Any], old: str, new: str, base: str) -> Turned:
    """Turn references to `old` (`Patient/1`, relative or below the base) to `new`, in the form that they have.

    A reference to one version of a patient speaks of that version and stays.
    """
    forms = {old: new, f"{base}/{old}": f"{base}/{new}"}
    versioned = 0
    places = []
    copy: dict[str, Any] = _copied(resource)
    for place, holder in _references(copy, ()):
        text = holder["reference"]
        if text in forms:
            holder["reference"] = forms[text]
            places.append(place)
        elif text.startswith(tuple(f"{form}/_history/" for form in forms)):
            versioned += 1
    return Turned(copy, tuple(places), versioned)


def turned_back(resource: Mapping[str, Any], places: Sequence[Place], old: str, new: str) -> dict[str, Any]:
    """Turn the references at these places from `old` to `new`.

    Raises:
        LookupError: there is another one, or none.
    """
    copy: dict[str, Any] = _copied(resource)
    for place in places:
        holder: Any = copy
        for step in place:
            holder = holder[step]
        text = str(holder["reference"])
        if text != old and not text.endswith(f"/{old}"):
            raise LookupError(place)
        holder["reference"] = text[: len(text) - len(old)] + new
    return copy


def _references(value: Any, place: Place) -> Iterator[tuple[Place, dict[str, Any]]]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield place, value
        for name, child in value.items():
            yield from _references(child, (*place, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _references(child, (*place, index))


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(child) for name, child in value.items()}
    return [_copied(child) for child in value] if isinstance(value, list) else value
