"""Functions on numbers.

Spec: https://hl7.org/fhirpath/N1/#math
"""

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, answer, fixed
from fhir_server.fhirpath.node import Collection
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.values import WIDE, integer, number, system

_MAX_INTEGER = 2**63
# Smaller numbers are zero: an underflow, which would otherwise have a million digits when written out.
_LEAST_EXPONENT = -400


def _numeric(name: str, compute: Callable[..., Any]) -> Callable[..., Collection]:
    """A function of numbers; empty when one of them is empty, or when there is no result (`(-1).sqrt()`)."""

    def call(run: Run, focus: Collection, *arguments: Collection) -> Collection:
        numbers = [number(items, f"{name}()") for items in (focus, *arguments)]
        if any(value is None for value in numbers):
            return []
        try:
            return answer(compute(*numbers))
        except (DecimalException, ValueError, OverflowError, ZeroDivisionError):
            return []

    return call


def _of_quantities(call: Callable[..., Collection]) -> Callable[..., Collection]:
    """A function of a number as one of a quantity too, which keeps its unit."""

    def of_quantity(run: Run, focus: Collection, *arguments: Collection) -> Collection:
        value = focus[0] if len(focus) == 1 else None
        value = system(value) if value is not None else None
        if not isinstance(value, Quantity):
            return call(run, focus, *arguments)
        found = call(run, [value.value], *arguments)
        return [Quantity(Decimal(number), value.unit, value.calendar) for number in found]  # type: ignore[arg-type]

    return of_quantity


def _whole(rounding: str | None) -> Callable[[Any], int]:
    """Round to an integer in one direction; towards zero when None."""

    def compute(value: int | Decimal) -> int:
        if isinstance(value, int):
            return value
        return int(value if rounding is None else value.to_integral_value(rounding, WIDE))

    return compute


def rounded(run: Run, focus: Collection, precision: Collection | None = None) -> Collection:
    """`round([precision])`: halves away from zero; a decimal when a precision is given."""
    value = number(focus, "round()")
    places = integer(precision, "round()") if precision is not None else 0
    if value is None or places is None:
        return []
    if places < 0:
        raise FhirPathError("round() takes a precision of 0 or more")
    if isinstance(value, int):
        return [value]
    found = value if places > 28 else value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, WIDE)
    return [found if precision is not None else int(found)]


def _real(compute: Callable[[float], float]) -> Callable[[Any], Decimal]:
    """A function of the reals; the 15 digits of a double are more than the 8 decimals that are asked for."""
    return lambda value: _decimal(compute(float(value)))


def _decimal(value: float) -> Decimal:
    if not math.isfinite(value):
        raise ValueError(value)
    return Decimal(repr(value))


def square_root(value: int | Decimal) -> Decimal:
    """`sqrt()`."""
    return Decimal(value).sqrt()


def logarithm(value: int | Decimal, base: int | Decimal) -> Decimal:
    """`log(base)`; exact where the result is whole."""
    found = _decimal(math.log(float(value)) / math.log(float(base)))
    nearest = found.to_integral_value()
    return nearest if abs(found - nearest) < Decimal("1e-12") else found


def power(value: int | Decimal, exponent: int | Decimal) -> int | Decimal | None:
    """`power(exponent)`: an integer for integers, if it is one."""
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        if value not in (0, 1, -1) and exponent > 63:
            return None
        found = value**exponent
        return found if abs(found) < _MAX_INTEGER else None
    if value < 0 and exponent != int(exponent):
        return None
    found = Decimal(value) ** Decimal(exponent)
    if not found.is_finite():
        return None
    return Decimal(0) if found.adjusted() < _LEAST_EXPONENT else found


FUNCTIONS: Mapping[str, Function] = {
    "abs": fixed(_of_quantities(_numeric("abs", abs))),
    "ceiling": fixed(_of_quantities(_numeric("ceiling", _whole(ROUND_CEILING)))),
    "floor": fixed(_of_quantities(_numeric("floor", _whole(ROUND_FLOOR)))),
    "truncate": fixed(_of_quantities(_numeric("truncate", _whole(None)))),
    "round": Function(_of_quantities(rounded), 0, 1),
    "exp": fixed(_numeric("exp", _real(math.exp))),
    "ln": fixed(_numeric("ln", _real(math.log))),
    "log": fixed(_numeric("log", logarithm), 1),
    "power": fixed(_numeric("power", power), 1),
    "sqrt": fixed(_numeric("sqrt", square_root)),
}
