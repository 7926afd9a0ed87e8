"""Whose data an event is about, read from bytes without building resources.

Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from fhir_server.definitions import Definitions
from fhir_server.model.exchange import Query

MOST: Final = 1_000
"""Patients that one event names: all of the largest page that is the default. Of more it has the number."""

_MENTION: Final = re.compile(rb'Patient/([A-Za-z0-9\-.]{1,64})["/]')
_REFERENCE: Final = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]*)?")
_PARAMETERS: Final = frozenset(("patient", "subject", "beneficiary", "individual"))


class _Reference(msgspec.Struct):
    reference: str | None = None


class _Owner(msgspec.Struct):
    id: str = ""


def patients_of(facts: Definitions, type_: str, data: bytes) -> tuple[str, ...]:
    """Return the patients that one resource is about, by the links that make them its subject."""
    if not data:
        return ()
    try:
        if type_ == "Patient":
            return (_owner.decode(data).id,)
        reader = _readers(facts).get(type_)
        if reader is None:
            return ()
        found = _ids(*reader, data)
        return tuple(found) if len(found) < 2 else tuple(dict.fromkeys(found))
    except msgspec.DecodeError:
        return mentioned(data)[0]  # misshapen, stored without validation


def mentioned(data: bytes) -> tuple[tuple[str, ...], int]:
    """Return the first patients that an answer mentions, and how many there are."""
    found = dict.fromkeys(_MENTION.findall(data))
    return tuple(id_.decode() for id_ in list(found)[:MOST]), len(found)


def asked_for(type_: str | None, query: Query) -> tuple[str, ...]:
    """Return the patients that a search names."""
    found: dict[str, None] = {}
    for name, value in query:
        code, _, modifier = name.partition(":")
        if code in _PARAMETERS and modifier in ("", "Patient"):
            found |= dict.fromkeys(_named(value, plain=code == "patient" or modifier == "Patient"))
        elif code == "_id" and type_ == "Patient":
            found |= dict.fromkeys(value.split(","))
    return tuple(id_ for id_ in found if re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", id_))[:MOST]


def _named(value: str, *, plain: bool) -> Iterable[str]:
    for part in value.split(","):
        match = _REFERENCE.fullmatch(part)
        if match:
            yield match[1]
        elif plain:
            yield part


_owner = msgspec.json.Decoder(_Owner)
_Reader = tuple["msgspec.json.Decoder[Any]", tuple[tuple[str, ...], ...]]
_Tree = dict[str, "_Tree"]


@cache
def _readers(facts: Definitions) -> Mapping[str, _Reader]:
    made = {type_: _made(type_, _paths(facts, type_)) for type_ in facts.resource_types}
    return {type_: reader for type_, reader in made.items() if reader is not None}


def _paths(facts: Definitions, type_: str) -> list[tuple[str, ...]]:
    links = facts.patient_links.get(type_, ())
    plain = [link for link in links if link.via is None and link.role == "subject"]
    return [tuple(link.expression.split(".")) for link in plain if re.fullmatch(r"[A-Za-z.]+", link.expression)]


def _made(type_: str, paths: Sequence[tuple[str, ...]]) -> _Reader | None:
    if not paths:
        return None
    tree: _Tree = {}
    for path in paths:
        node = tree
        for name in path:
            node = node.setdefault(name, {})
    return msgspec.json.Decoder(_struct(type_, tree)), tuple(tuple(f"f_{name}" for name in path) for path in paths)


def _struct(name: str, tree: _Tree) -> Any:
    """Return a struct that reads only these members; each may stand once or in an array."""
    fields = []
    for member, below in tree.items():
        inner = _struct(f"{name}_{member}", below) if below else _Reference
        fields.append((f"f_{member}", list[inner] | inner | None, None))  # type: ignore[valid-type]
    return msgspec.defstruct(name, fields, rename=lambda field: field[2:])


def _ids(decoder: "msgspec.json.Decoder[Any]", paths: tuple[tuple[str, ...], ...], data: bytes) -> list[str]:
    value = decoder.decode(data)
    found: list[str] = []
    for path in paths:
        _gather(value, path, 0, found)
    return found


def _gather(value: Any, path: tuple[str, ...], at: int, found: list[str]) -> None:
    """Add the patients that stand at a path; nearly always it has one step and one reference."""
    below = getattr(value, path[at])
    for each in below if isinstance(below, list) else (below,):
        if each is None:
            continue
        if at + 1 < len(path):
            _gather(each, path, at + 1, found)
        elif each.reference and (id_ := _patient(each.reference)):
            found.append(id_)


def _patient(reference: str) -> str:
    if reference.startswith("Patient/") and reference.count("/") == 1:
        return reference[8:]
    match = _REFERENCE.fullmatch(reference) if "Patient/" in reference else None
    return match[1] if match else ""
