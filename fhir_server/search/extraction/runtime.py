"""What generated code calls for the conditions of an expression: FHIRPath's logic on plain values."""

from typing import Any


def deep(value: Any, *names: str) -> Any:
    """Return the value at the end of single-valued properties; None where one is missing."""
    for name in names:
        if value is None:
            return None
        value = value.get(name)
    return value


def first(*values: Any) -> Any:
    """Return the first value that is there."""
    return next((value for value in values if value is not None), None)


def equal(value: Any, wanted: object) -> bool | None:
    """Compare with a literal; values of another type (a date with `false`) are different, nothing is nothing."""
    if value is None:
        return None
    return type(value) is type(wanted) and bool(value == wanted)


def not_(value: bool | None) -> bool | None:
    """Negate; nothing stays nothing."""
    return None if value is None else not value


def and_(left: bool | None, right: bool | None) -> bool | None:
    """Spec: https://hl7.org/fhirpath/N1/#and"""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def or_(left: bool | None, right: bool | None) -> bool | None:
    """Spec: https://hl7.org/fhirpath/N1/#or"""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


FUNCTIONS = {"deep": deep, "first": first, "equal": equal, "not_": not_, "and_": and_, "or_": or_}
"""The names under which generated code finds them."""
