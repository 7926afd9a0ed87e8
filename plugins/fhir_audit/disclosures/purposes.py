"""Which purposes of use need not be accounted for: treatment, payment, operations, and what the patients asked for.

The codes stand below each other in v3-PurposeOfUse, but not all that it counts as operations is one to 45 CFR 164.501:
legal proceedings, donation of organs, fraud and the like are disclosures under 164.512.

Source: https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html, 45 CFR 164.528(a)(1)
"""

from collections.abc import Mapping, Sequence
from typing import Final

TREATMENT: Final = "TREAT CLINTRL COC ETREAT BTG ERTREAT POPHLTH"
PAYMENT: Final = "HPAYMT CLMATTCH COVAUTH COVERAGE ELIGDTRM ELIGVER ENROLLM REMITADV"
OPERATIONS: Final = (
    "HOPERAT CAREMGT HACCRED HCOMPL HDIRECT HDM HOUTCOMS HPRGRP HQUALIMP HSYSADMIN LABELING METAMGT MEMADMIN PATADMIN "
    "PATSFTY PERFMSR RECORDMGT SYSDEV HTEST TRAIN"
)
REQUESTED: Final = "PATRQT FAMRQT PWATRNY SUPNWK"

EXEMPT: Final[Mapping[str, str]] = {
    code: reason
    for reason, codes in (
        ("treatment", TREATMENT),
        ("payment", PAYMENT),
        ("operations", OPERATIONS),
        ("authorized", REQUESTED),
    )
    for code in codes.split()
}
"""Why a purpose need not be accounted for, by its code."""


def purpose_of(stated: str, roles: Sequence[str], implied: Mapping[str, Sequence[str]], *, user: bool) -> str:
    """Return the purpose of an act: what the client stated, or what the role of its user implies; empty: not known.

    Nothing is implied for apps of their own accord: who they send data on to is not known.
    """
    if stated or not user:
        return stated
    for role in (*roles, "*"):
        purposes = implied.get(role)
        if purposes:
            return str(purposes[0])
    return ""
