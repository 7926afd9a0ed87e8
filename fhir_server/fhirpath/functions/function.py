"""Function: how the compiler sees one FHIRPath function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.node import Collection

# A compiled expression: evaluated on an input collection, which is also `$this`.
Step: TypeAlias = Callable[[Run, Collection], Collection]


@dataclass(frozen=True, slots=True)
class Function:
    """A function with the number of arguments that it takes.

    Attributes:
        call: called with the run, the input collection and the arguments: their values, or the compiled arguments
            themselves when the function is `lazy` (`where`, `iif`), to evaluate them on items of its choice.
        least: arguments that must be given.
        most: arguments that may be given.
    """

    call: Callable[..., Collection]
    least: int = 0
    most: int = 0
    lazy: bool = False


def fixed(call: Callable[..., Collection], count: int = 0) -> Function:
    """A function of exactly so many arguments, given as values."""
    return Function(call, count, count)


def answer(value: Any) -> Collection:
    """A value as a collection; None as the empty one."""
    return [] if value is None else [value]
