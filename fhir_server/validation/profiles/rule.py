"""Checks with a quick look: on plain JSON, without places, whether there is anything to say at all.

Most elements are good. So what can tell that from the JSON alone does so, and only where it says no, or cannot say,
is the element looked at in its place.
"""

from collections.abc import Callable, Iterable
from typing import Any

from fhir_server.validation.profiles.spot import Member, Spot, resource_type
from fhir_server.validation.run import Run

SpotCheck = Callable[[Spot, Run], None]
Good = Callable[[Any, str, Run], bool]
"""Whether nothing at all is to be said of a JSON value of a type, not even a hint. It takes any JSON."""


class Rule:
    """A check that first takes the quick look."""

    __slots__ = ("good", "look")

    def __init__(self, look: SpotCheck, good: Good) -> None:
        self.look = look
        self.good = good

    def __call__(self, spot: Spot, run: Run) -> None:
        """Note what is wrong with an element."""
        if spot.extra is not None or not self.good(spot.value, spot.type, run):
            self.look(spot, run)


def goods_of(checks: Iterable[SpotCheck]) -> tuple[Good, ...] | None:
    """Return the quick looks of all of these checks; None where one has none."""
    goods = tuple(check.good if isinstance(check, Rule) else None for check in checks)
    return None if None in goods else tuple(good for good in goods if good is not None)


def typed_values(member: Member, fields: dict[str, Any]) -> list[tuple[Any, str]] | None:
    """Return the occurrences of an element with their types; None where companions or gaps need a closer look."""
    found: list[tuple[Any, str]] = []
    for key in member.keys if len(member.keys) == 1 else member.present(fields):
        if key.primitive and "_" + key.json in fields:
            return None
        value = fields.get(key.json)
        if type(value) is list:
            if None in value:
                return None
            found += [(item, key.type or resource_type(item)) for item in value]
        elif value is not None:
            found.append((value, key.type or resource_type(value)))
    return found
