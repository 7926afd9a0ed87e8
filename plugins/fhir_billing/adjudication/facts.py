"""What adjudication knows of a claim: plain values, made from Claim and Coverage by `claims/intake.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class PriorLine:
    """What earlier payers did with a line: what they paid, and what they left to the patient."""

    paid: Decimal
    patient: Decimal


@dataclass(frozen=True, slots=True)
class Authorization:
    """A prior authorization as it stands: the code patterns it is for, until when, how much is left of it.

    units, amount: None where it does not limit them.
    """

    codes: tuple[str, ...]
    start: date
    end: date
    units: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a claim.

    codes: of the product or service, `system|code`, the first that a table knows counts. charge: what is asked for it.
    authorization: the number that it names; earlier: what earlier payers did with it.
    """

    sequence: int
    codes: tuple[str, ...]
    serviced: date
    charge: Decimal
    quantity: Decimal = Decimal(1)
    modifiers: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    authorization: str = ""
    earlier: PriorLine | None = None

    @property
    def code(self) -> str:
        """The first code, or nothing."""
        return self.codes[0] if self.codes else ""


@dataclass(frozen=True, slots=True)
class Member:
    """Whose claim it is. since: when the coverage began, for waiting periods; until: its last day, None for open.

    order: 1 for the payer who pays first.
    """

    born: date | None
    since: date
    until: date | None = None
    order: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """A claim as it is adjudicated.

    provider: who asks for the money, for finding duplicates. submitted: the day it came in.
    authorizations: by number. seen: fingerprints of lines that were paid before, with the claim that has them.
    refused: lines that a person refused, with the reason. ahead: whether services may lie in the future, as for an
    estimate or a request for authorization.
    """

    currency: str
    submitted: date
    member: Member
    lines: tuple[Line, ...]
    provider: str = ""
    in_network: bool = True
    authorizations: Mapping[str, Authorization] = field(default_factory=dict)
    seen: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    ahead: bool = False
