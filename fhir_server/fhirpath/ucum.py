"""UCUM units: what a unit code is in base units, exactly.

The table of units is the ucum-essence file that the package `ucumvert` carries; it is read when the first unit is
asked for. Factors are fractions, so that 4 g and 4000 mg are equal and not merely close.

Spec: https://ucum.org/ucum
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree.ElementTree import Element

Dimensions = tuple[tuple[str, int], ...]

_COMPONENT = re.compile(r"(?P<symbol>(?:\[[^\]]*\]|[^./(){}\[\]])+)?(?P<note>\{[^{}]*\})?")
_NOTE = re.compile(r"\{[^{}]*\}")
_EXPONENT = re.compile(r"(?P<base>.*?[^0-9+-])(?P<exponent>[+-]?[0-9]+)")
_MAX_EXPONENT = 64
_MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as `value * factor + shift` in base units of some dimensions; `shift` is for temperatures only."""

    factor: Fraction
    dimensions: Dimensions
    shift: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class _Table:
    prefixes: Mapping[str, Fraction]
    rows: Mapping[str, Element]


class _BadUnit(ValueError):
    """A code that is not UCUM."""


# Scales that are not a multiple of their unit. The logarithmic ones (pH, Np, B ...) are compared among themselves only.
_SHIFTED = {
    "Cel": Unit(Fraction(1), (("K", 1),), Fraction("273.15")),
    "[degF]": Unit(Fraction(5, 9), (("K", 1),), Fraction("459.67") * Fraction(5, 9)),
    "[degRe]": Unit(Fraction(5, 4), (("K", 1),), Fraction("273.15")),
}
ONE = Unit(Fraction(1), ())


@lru_cache(maxsize=4096)
def unit(code: str) -> Unit | None:
    """The unit of a UCUM code (case sensitive); None when the code is not UCUM."""
    if len(code) > _MAX_LENGTH or not code.isascii():
        return None
    try:
        found, at = _term(code, 0)
    except (_BadUnit, RecursionError):
        return None
    return found if at == len(code) else None


def _term(code: str, at: int) -> tuple[Unit, int]:
    inverse = code.startswith("/", at)
    result, at = _component(code, at + inverse)
    if inverse:
        result = power(result, -1)
    while at < len(code) and code[at] in "./":
        sign = 1 if code[at] == "." else -1
        factor, at = _component(code, at + 1)
        result = multiply(result, power(factor, sign))
    return result, at


def _component(code: str, at: int) -> tuple[Unit, int]:
    if code.startswith("(", at):
        inner, at = _term(code, at + 1)
        if not code.startswith(")", at):
            raise _BadUnit(code)
        # The committee's own examples annotate a group: U/(10.g){feces}.
        note = _NOTE.match(code, at + 1)
        return inner, note.end() if note else at + 1
    match = _COMPONENT.match(code, at)
    if match is None or match.end() == at:
        raise _BadUnit(code)
    symbol = match["symbol"]
    return (_annotatable(symbol) if symbol else ONE), match.end()


def _annotatable(symbol: str) -> Unit:
    if symbol.isdigit():
        return Unit(Fraction(int(symbol)), ())
    known = _symbol(symbol)
    if known is not None:
        return known
    match = _EXPONENT.fullmatch(symbol)
    base = _symbol(match["base"]) if match else None
    if match is None or base is None:
        raise _BadUnit(symbol)
    return power(base, int(match["exponent"]))


@lru_cache(maxsize=4096)
def _symbol(symbol: str) -> Unit | None:
    """An atom, or a metric atom with a prefix."""
    table = _table()
    if symbol in table.rows:
        return _atom(symbol)
    for length in (2, 1):
        prefix, atom = table.prefixes.get(symbol[:length]), symbol[length:]
        row = table.rows.get(atom)
        if prefix is not None and row is not None and row.get("isMetric") != "no":
            base = _atom(atom)
            return Unit(base.factor * prefix, base.dimensions, base.shift)
    return None


@cache
def _atom(symbol: str) -> Unit:
    row = _table().rows[symbol]
    if symbol in _SHIFTED:
        return _SHIFTED[symbol]
    value = row.find("{*}value")
    if value is None or row.get("isSpecial") == "yes" or row.get("isArbitrary") == "yes":
        return Unit(Fraction(1), ((symbol, 1),))
    defining = unit(value.get("Unit", "1"))
    if defining is None:
        raise _BadUnit(symbol)
    return Unit(defining.factor * Fraction(value.get("value", "1")), defining.dimensions)


def multiply(left: Unit, right: Unit) -> Unit:
    """The product of two units; a shifted scale counts as its plain unit then."""
    exponents = dict(left.dimensions)
    for name, exponent in right.dimensions:
        exponents[name] = exponents.get(name, 0) + exponent
    return Unit(left.factor * right.factor, tuple(sorted((n, e) for n, e in exponents.items() if e)))


def power(base: Unit, exponent: int) -> Unit:
    """A unit to a whole power.

    Raises:
        _BadUnit: the exponent is absurd.
    """
    if exponent == 1:
        return base
    if abs(exponent) > _MAX_EXPONENT:
        raise _BadUnit(str(exponent))
    return Unit(base.factor**exponent, tuple((n, e * exponent) for n, e in base.dimensions if exponent))


@cache
def _table() -> _Table:
    # Imported here because most processes never compare quantities.
    from xml.etree import ElementTree

    root = ElementTree.fromstring(_essence().read_bytes())  # noqa: S314
    prefixes = {}
    for prefix in root.iterfind("{*}prefix"):
        value = prefix.find("{*}value")
        prefixes[prefix.get("Code", "")] = Fraction(value.get("value", "1") if value is not None else 1)
    rows = {row.get("Code", ""): row for tag in ("base-unit", "unit") for row in root.iterfind("{*}" + tag)}
    return _Table(prefixes, rows)


def _essence() -> Path:
    """The table's file, found without importing its package, which would import pint and build its registry."""
    spec = find_spec("ucumvert")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package ucumvert, which carries the table of UCUM units, is not installed")
    return Path(spec.submodule_search_locations[0]) / "vendor" / "ucum-essence.xml"
