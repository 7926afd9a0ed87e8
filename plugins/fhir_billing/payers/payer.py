"""Payer: the protocol of all payers that decide by themselves, and what they may answer.

A payer is never believed to have said what it did not say: no answer, half an answer and an answer that does not fit
are `Unclear`, and are resolved by an inquiry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claim as it goes to a payer.

    claim: as stored. resources: what it refers to, by `Type/id`. key: the same for each try, so that a payer can tell
    a repeat. trace: what the payer calls it, once it said so. replaces: what the payer calls the claim that it takes
    the place of. created: an instant. attempt: which try it is.
    """

    claim: Mapping[str, Any]
    resources: Mapping[str, Mapping[str, Any]]
    key: str
    created: str
    trace: str = ""
    replaces: str = ""
    coverage: str = ""
    attempt: int = 0

    @property
    def number(self) -> str:
        """The provider's number of the claim: its first identifier, or its id."""
        given = next((each["value"] for each in self.claim.get("identifier", ()) if each.get("value")), "")
        return str(given or self.claim["id"])

    def of_type(self, type_: str) -> Mapping[str, Any]:
        """Return the resource of a type that the claim refers to, nothing where there is none."""
        return next((each for each in self.resources.values() if each["resourceType"] == type_), {})


@dataclass(frozen=True, slots=True)
class Answered:
    """The payer decided. response: a ClaimResponse; trace: what the payer calls the claim."""

    response: Mapping[str, Any]
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Pended:
    """The payer has the claim and will decide."""

    trace: str = ""
    why: str = "The payer has the claim and has not decided yet."


@dataclass(frozen=True, slots=True)
class NotThere:
    """The payer says that it does not have the claim."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The payer does not take the claim as it is; nothing will come of it. issues: sentences in the payer's words."""

    issues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The payer took the claim back."""


Reply = Answered | Pended | NotThere | Refused | Cancelled


class Unclear(Exception):
    """Nobody knows whether the payer has the claim: ask it."""


class Payer(Protocol):
    """A payer. Each call may raise Unclear."""

    name: str

    async def submit(self, parcel: Parcel) -> Reply:
        """Send a claim."""

    async def inquire(self, parcel: Parcel) -> Reply:
        """Ask where a claim stands."""

    async def cancel(self, parcel: Parcel) -> Reply:
        """Ask to take a claim back."""

    async def eligibility(
        self, request: Mapping[str, Any], resources: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """Return the CoverageEligibilityResponse to a request."""

    async def close(self) -> None:
        """Close connections."""
