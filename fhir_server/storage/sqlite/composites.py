"""Rows of the `composite` table: components interned like the rows of the other tables, in one small JSON array.

`rest` holds, for each component, an array whose members stand where the search compiler looks for them:

- token: [value]; uri: [value]
- quantity: [unit, low, high, stated_unit, stated_low, stated_high], as in the table `quantity`
- date and number: [low, high]; string: [folded, original]
- reference: [rid, version, uri value], 0 for what does not apply
"""

import json
from collections.abc import Callable
from typing import Any, Final, Protocol

from fhir_server.search.entries import CompositeEntry

CANONICAL_SYSTEM: Final = "ucum:canonical"
_TEXT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


class Interner(Protocol):
    """Gives the integer ids under which the writer stores values, making them where they are new."""

    def token(self, system: str | None, code: str) -> int:
        """Return the `token_value` of (system, code)."""

    def uri(self, url: str) -> int:
        """Return the `uri_value` of a URL."""

    def resource(self, type_: str, id_: str) -> int:
        """Return the rid of a resource, which need not exist."""


def composite_row(entry: CompositeEntry, intern: Interner) -> tuple[int, int | float | str, str]:
    """Return (first, second, rest) of one composite entry, for the columns of the same names."""
    components = [_encoded(component, intern) for component in entry[1]]
    kinds = [component[0] for component in entry[1]]
    first = components[0][0] if kinds[0] in ("token", "reference") else 0
    second = components[1][_SECOND.get(str(kinds[1]), 0)] if len(components) > 1 else 0
    return first, second, _TEXT.encode(components)


def quantity_columns(
    stated: tuple[float, float, str, str], canonical: tuple[float, float, str] | None, intern: Interner
) -> tuple[int, float, float, int, float, float]:
    """Return (unit, low, high, stated_unit, stated_low, stated_high) of a quantity (low, high, system, code)."""
    low, high, system, code = stated
    unit = intern.token(system, code)
    if canonical is None:
        return unit, low, high, unit, low, high
    return intern.token(CANONICAL_SYSTEM, canonical[2]), canonical[0], canonical[1], unit, low, high


def reference_version(version: str | None) -> int:
    """Return the number that a version has in the column `ref.version`: 0 for none, -1 for one that cannot be ours."""
    if not version:
        return 0
    return int(version) if version.isascii() and version.isdigit() and len(version) < 19 else -1


def _encoded(component: tuple[Any, ...], intern: Interner) -> list[Any]:
    return _ENCODERS[component[0]](component, intern)


def _token(component: tuple[Any, ...], intern: Interner) -> list[Any]:
    return [intern.token(component[1], component[2])]


def _uri(component: tuple[Any, ...], intern: Interner) -> list[Any]:
    return [intern.uri(component[1])]


def _plain(component: tuple[Any, ...], intern: Interner) -> list[Any]:
    return list(component[1:3])


def _quantity(component: tuple[Any, ...], intern: Interner) -> list[Any]:
    return list(quantity_columns(component[1:5], component[5], intern))


def _reference(component: tuple[Any, ...], intern: Interner) -> list[Any]:
    _, type_, id_, url, version = component
    rid = intern.resource(type_, id_) if type_ not in (None, "#") and id_ else 0
    return [rid, reference_version(version), intern.uri(url) if url else 0]


_Encoder = Callable[[tuple[Any, ...], Interner], list[Any]]

_ENCODERS: Final[dict[object, _Encoder]] = {
    "token": _token,
    "uri": _uri,
    "quantity": _quantity,
    "date": _plain,
    "number": _plain,
    "string": _plain,
    "reference": _reference,
}
_SECOND: Final = {"quantity": 1}  # the canonical low bound, so that a range of values is a range of keys
