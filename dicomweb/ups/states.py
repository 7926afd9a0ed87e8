"""The states of a workitem, and which way leads from one to another.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_CC.1.html
"""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"]

SCHEDULED: Final = "SCHEDULED"
IN_PROGRESS: Final = "IN PROGRESS"
COMPLETED: Final = "COMPLETED"
CANCELED: Final = "CANCELED"
FINAL: Final = (COMPLETED, CANCELED)


class WorkitemRefused(Exception):
    """What cannot be done with a workitem: the status of UPS (PS3.4 annex CC), that of HTTP, and why."""

    def __init__(self, code: int, http: int, said: str) -> None:
        super().__init__(said)
        self.code, self.http = code, http


@dataclass(frozen=True, slots=True)
class Passage:
    """An allowed way. changed: whether the state is another one now; warning: what the asker is told."""

    changed: bool
    warning: str = ""


NO_LONGER: Final = "The UPS may no longer be updated."
WRONG_TRANSACTION: Final = "The Transaction UID is missing or not correct."
_GO: Final = Passage(True)


def passage(state: str, target: str, held: str, given: str) -> Passage:
    """Return how a workitem comes from its state to another.

    held: the transaction UID under which it is in progress; given: the one that the asker gives.

    Raises:
        WorkitemRefused: it does not.
    """
    if target not in (IN_PROGRESS, COMPLETED, CANCELED):
        raise WorkitemRefused(0xC303, 400, "The UPS may only become IN PROGRESS, COMPLETED or CANCELED.")
    if not given:
        raise WorkitemRefused(0xC301, 400, WRONG_TRANSACTION)
    if target == IN_PROGRESS:
        return _begin(state)
    if state == SCHEDULED:
        raise WorkitemRefused(0xC310, 409, "The UPS is not yet in the IN PROGRESS state.")
    if given != held:
        raise WorkitemRefused(0xC301, 409, WRONG_TRANSACTION)
    if state == target:
        return Passage(False, f"The UPS is already in the requested state of {target}.")
    if state in FINAL:
        raise WorkitemRefused(0xC300, 409, NO_LONGER)
    return _GO


def _begin(state: str) -> Passage:
    if state == IN_PROGRESS:
        raise WorkitemRefused(0xC302, 409, "The UPS is already IN PROGRESS.")
    if state in FINAL:
        raise WorkitemRefused(0xC300, 409, NO_LONGER)
    return _GO


def cancellation(state: str) -> Passage:
    """Return what becomes of a request to cancel: one that has not begun is canceled, the performer of one that is
    under way is told.

    Raises:
        WorkitemRefused: it is over.
    """
    if state == COMPLETED:
        raise WorkitemRefused(0xC311, 409, "The UPS is already COMPLETED.")
    if state == CANCELED:
        return Passage(False, "The UPS is already in the requested state of CANCELED.")
    return Passage(state == SCHEDULED)


def may_update(state: str, held: str, given: str) -> None:
    """Raise WorkitemRefused where a workitem cannot be updated with a transaction UID."""
    if state in FINAL:
        raise WorkitemRefused(0xC310, 409, NO_LONGER)
    if state == IN_PROGRESS and given != held:
        raise WorkitemRefused(0xC301, 409, WRONG_TRANSACTION)
