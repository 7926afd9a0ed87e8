"""SOP classes and transfer syntaxes, and which service each belongs to.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part06/chapter_A.html
"""

from typing import Final, Literal

from pydicom._uid_dict import UID_dictionary  # the public view of it, pydicom.uid, has no list

Service = Literal["echo", "store", "find", "move", "get", "worklist", "mpps", "commitment"]

VERIFICATION: Final = "1.2.840.10008.1.1"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known instance that storage commitment is asked of."""
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
MPPS_RETRIEVE: Final = "1.2.840.10008.3.1.2.3.4"
PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{last}" for last in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{last}" for last in (1, 2, 3))
WORKLIST: Final = "1.2.840.10008.5.1.4.31"

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"

_SERVICES: Final[dict[str, Service]] = {
    VERIFICATION: "echo",
    PATIENT_FIND: "find",
    STUDY_FIND: "find",
    PATIENT_MOVE: "move",
    STUDY_MOVE: "move",
    PATIENT_GET: "get",
    STUDY_GET: "get",
    WORKLIST: "worklist",
    MPPS: "mpps",
    MPPS_RETRIEVE: "mpps",
    COMMITMENT: "commitment",
}
_NO_OBJECTS: Final = ("Storage Commitment", "Media Storage Directory", "Stored Print")
STORAGE: Final[frozenset[str]] = frozenset(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and "Storage" in name and not name.startswith(_NO_OBJECTS)
)
"""The SOP classes of objects that can be stored."""

_ELSEWHERE: Final = ("JPIP", "RFC 2557", "XML", "SMPTE", "Papyrus")
TRANSFER: Final[frozenset[str]] = frozenset(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "Transfer Syntax" and not name.startswith(_ELSEWHERE)
)
"""The transfer syntaxes in which objects are taken: all whose objects hold their pixels."""

PLAIN: Final = (EXPLICIT, IMPLICIT)
"""Transfer syntaxes of queries and commands, the better one first."""


def service_of(abstract: str, *, unknown_storage: bool) -> Service | None:
    """Return the service of a SOP class; None: we do not have it.

    What no part of the standard names is an object of somebody's own, where such are taken.
    """
    if abstract in STORAGE:
        return "store"
    if abstract in _SERVICES:
        return _SERVICES[abstract]
    return "store" if unknown_storage and abstract and abstract not in UID_dictionary else None


def chosen(service: Service, transfers: tuple[str, ...]) -> str:
    """Return the transfer syntax that is taken of those proposed; empty: none.

    Objects: the first that is proposed, for it is what the sender has; but explicit before implicit, which loses the
    types of private elements.
    """
    if service != "store":
        return next((each for each in PLAIN if each in transfers), "")
    known = [each for each in transfers if each in TRANSFER]
    if not known:
        return ""
    return EXPLICIT if known[0] == IMPLICIT and EXPLICIT in known else known[0]


def name_of(uid: str) -> str:
    """Return the name of a UID, or itself."""
    return UID_dictionary[uid][0] if uid in UID_dictionary else uid
