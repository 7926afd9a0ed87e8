"""Reasons of adjustments: the numbers of the Claim Adjustment Reason Codes with our own words for them.

The numbers are those that 835 files carry: https://x12.org/codes/claim-adjustment-reason-codes
"""

from dataclasses import dataclass
from typing import Final, Literal

Group = Literal["CO", "PR", "OA", "PI"]
Category = Literal["deductible", "copay", "coinsurance", "noncovered", "contractual", "prior-payer", "payer-initiated"]
GROUPS: Final[dict[Group, str]] = {
    "CO": "the provider writes it off",
    "PR": "the patient owes it",
    "OA": "nobody owes it to this payer's claim: another payer's part, or a repeat",
    "PI": "the payer reduced it by a rule of its own",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: who bears the amount unless the plan says otherwise, and what it says to a patient."""

    code: str
    group: Group
    category: Category
    text: str


def _reason(code: str, group: Group, category: Category, text: str) -> tuple[str, Reason]:
    return code, Reason(code, group, category, text)


REASONS: Final = dict(
    (
        _reason("1", "PR", "deductible", "Falls under the deductible."),
        _reason("2", "PR", "coinsurance", "The patient's percentage."),
        _reason("3", "PR", "copay", "The patient's fixed payment."),
        _reason("16", "OA", "noncovered", "The payer does not say why."),
        _reason("18", "OA", "noncovered", "The same service was claimed before."),
        _reason("22", "OA", "noncovered", "Another payer comes first, and what it paid is not stated."),
        _reason("23", "OA", "prior-payer", "Settled by payers who came before."),
        _reason("26", "PR", "noncovered", "The service was before the coverage began."),
        _reason("27", "PR", "noncovered", "The service was after the coverage ended."),
        _reason("29", "CO", "noncovered", "The claim came too late."),
        _reason("35", "PR", "noncovered", "The lifetime limit of the benefit is used up."),
        _reason("45", "CO", "contractual", "Over the agreed price."),
        _reason("50", "CO", "noncovered", "Not needed for the diagnosis given."),
        _reason("96", "PR", "noncovered", "Excluded by the plan."),
        _reason("97", "CO", "noncovered", "Part of another service of the same day."),
        _reason("110", "CO", "noncovered", "The service lies after the day of the claim."),
        _reason("119", "PR", "noncovered", "The limit of the benefit for the period is used up."),
        _reason("179", "PR", "noncovered", "The waiting period is not over."),
        _reason("197", "CO", "noncovered", "A prior authorization is needed and none was found."),
        _reason("198", "CO", "noncovered", "More than the prior authorization allows."),
        _reason("204", "PR", "noncovered", "The plan has no benefit for this service."),
        _reason("216", "CO", "noncovered", "Refused after review."),
        _reason("242", "PR", "noncovered", "The provider is outside of the network."),
        _reason("B7", "CO", "noncovered", "The provider may not bill this payer for this day."),
        _reason("104", "PI", "payer-initiated", "Withheld by the payer."),
        _reason("6", "PR", "noncovered", "Not for a patient of this age."),
    )
)
