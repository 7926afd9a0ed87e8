"""What is wrong with a ViewDefinition, or with a row of it, and where in the definition."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the place in the definition (`ViewDefinition.select[0].column[1].path`) and what is wrong there."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class ViewError(ValueError):
    """A definition that cannot be compiled; it has all faults that were found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


class RowError(ViewError):
    """A resource on which the view cannot be evaluated; `resource` names it, `Patient/1`."""

    def __init__(self, fault: Fault, resource: str = "") -> None:
        super().__init__([fault])
        self.resource = resource

    def of(self, resource: str) -> "RowError":
        """The same, said of a resource."""
        return type(self)(self.faults[0], resource)

    def __str__(self) -> str:
        return f"{self.faults[0]} (on {self.resource})" if self.resource else str(self.faults[0])


class TooManyRows(RowError):
    """A resource gives more rows than the limits allow."""
