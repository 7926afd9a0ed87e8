"""How values are visited: one or many of them, plain or objects, each with its place.

This is the innermost loop of full validation: a place is made for an object only when something in it is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.rules.primitives import texts
from fhir_server.validation.run import Check, Run

Rules = tuple[Check, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of object: what is to be checked of each property (None: nothing), and of the whole."""

    table: Mapping[str, Check | None]
    whole: Rules

    def check(self, value: Any, place: Place, run: Run) -> None:
        """Check one object in its place."""
        if type(value) is not dict:
            return
        table = self.table
        for name in value:
            one = table[name]
            if one is not None:
                one(value[name], place, run)
        for rule in self.whole:
            rule(value, place, run)


def visiting(kind: Kind | None, rules: Rules, shown: str, *, many: bool) -> Check | None:
    """Return the check of a property; None where there is nothing to check.

    kind: what its values are, if they are objects.
    rules: what else is to be checked of each value.
    shown: its name in a path.
    """
    if kind is not None:
        merged = Kind(kind.table, (*kind.whole, *rules))
        return _objects(merged, shown) if many else _object(merged, shown)
    if not rules:
        return None
    return _values(rules, shown) if many else _value(rules, shown)


def _object(kind: Kind, shown: str) -> Check:
    table, whole = kind.table, kind.whole

    def check(value: Any, above: Place, run: Run) -> None:
        if type(value) is not dict:
            return
        place = Place(above, shown)
        for name in value:
            one = table[name]
            if one is not None:
                one(value[name], place, run)
        for rule in whole:
            rule(value, place, run)

    return check


def _objects(kind: Kind, shown: str) -> Check:
    table, whole = kind.table, kind.whole

    def check(value: Any, above: Place, run: Run) -> None:
        if type(value) is not list:
            return
        index = -1
        for item in value:
            index += 1  # enumerate makes a tuple for each
            if type(item) is not dict:
                continue
            place = Place(above, shown, index)
            for name in item:
                one = table[name]
                if one is not None:
                    one(item[name], place, run)
            for rule in whole:
                rule(item, place, run)

    return check


def _value(rules: Rules, shown: str) -> Check:
    if len(rules) == 1:
        rule = rules[0]
        return lambda value, above, run: rule(value, Place(above, shown), run)

    def check(value: Any, above: Place, run: Run) -> None:
        place = Place(above, shown)
        for rule in rules:
            rule(value, place, run)

    return check


def _values(rules: Rules, shown: str) -> Check:
    def check(value: Any, above: Place, run: Run) -> None:
        if type(value) is list:
            for index, item in enumerate(value):
                place = Place(above, shown, index)
                for rule in rules:
                    rule(item, place, run)

    return check


def and_texts(rest: Check | None, shown: str) -> Check:
    """Look at the texts of a property too."""
    if rest is None:
        return lambda value, above, run: texts(value, above, shown, run)
    others = rest

    def check(value: Any, above: Place, run: Run) -> None:
        texts(value, above, shown, run)
        others(value, above, run)

    return check


def companion(extension: Check, shown: str) -> Check:
    """Return the check of `_name`: extensions of primitives."""

    def check(value: Any, above: Place, run: Run) -> None:
        many = type(value) is list
        for index, item in enumerate(value if many else [value]):
            if type(item) is dict and "extension" in item:
                extension(item["extension"], Place(above, shown, index if many else -1), run)

    return check
