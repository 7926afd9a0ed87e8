"""Attributes: a data set without what identifies anybody, sequences within sequences included."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag
from pydicom.multival import MultiValue

from dicomweb.deidentify.keyed import Key
from dicomweb.deidentify.options import Options
from dicomweb.deidentify.rules import Rule, is_safe, rule_of
from dicomweb.deidentify.words import GONE, Words, moved

_DEEPEST = 40
_TEXTS = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_DATES = frozenset({"DA", "DT"})
_IDENTIFYING = (
    "PatientName", "PatientID", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames", "OtherPatientIDs",
    "PatientAddress", "PatientTelephoneNumbers", "MedicalRecordLocator", "AccessionNumber", "StudyID", "AdmissionID",
    "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "NameOfPhysiciansReadingStudy",
    "RequestingPhysician", "PhysiciansOfRecord", "ResponsiblePerson", "RequestedProcedureID",
    "ScheduledProcedureStepID",
    "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest", "IssuerOfPatientID",
    "VerifyingObserverName", "AuthorObserverSequence", "PersonName", "ContentCreatorName", "MilitaryRank",
)  # fmt: skip
_INSTITUTIONS = ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName")
_DUMMIES: dict[str, Any] = {
    "AE": "ANONYMOUS", "AS": "000Y", "AT": [], "CS": "ANONYMOUS", "DA": "19000101", "DS": "0", "DT": "19000101000000",
    "FD": 0.0, "FL": 0.0, "IS": "0", "LO": GONE, "LT": GONE, "OB": b"", "OD": b"", "OF": b"", "OL": b"", "OW": b"",
    "PN": "Anonymous", "SH": GONE, "SL": 0, "SS": 0, "ST": GONE, "SV": 0, "TM": "000000", "UC": GONE, "UL": 0,
    "UN": b"", "UR": "", "US": 0, "UT": GONE, "UV": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """What one object is treated with. days: by which its dates move."""

    options: Options
    key: Key
    words: Words
    days: int


def identifying(dataset: Any, options: Options) -> list[str]:
    """Return the values of a data set that name the patient and those who treated them, wherever they stand."""
    keywords = _IDENTIFYING if options.institutions else (*_IDENTIFYING, *_INSTITUTIONS)
    return [text for text in _named(dataset, frozenset(keywords), 0) if text]


def _named(dataset: Any, keywords: frozenset[str], depth: int) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            if depth < _DEEPEST:
                for item in element.value or []:
                    yield from _named(item, keywords, depth + 1)
        elif element.keyword in keywords or element.VR == "PN":
            yield from (str(each) for each in _several(element.value))


def treat(dataset: Any, work: Work, depth: int = 0) -> None:
    """Take from a data set, in place, all that identifies somebody."""
    creators = {element.tag: str(element.value) for element in dataset if element.tag.is_private_creator}
    kept_creators = set()
    for element in list(dataset):
        if element.tag.is_private:
            creator = element.tag.group << 16 | element.tag.elem >> 8
            if not element.tag.is_private_creator and not _private(element, creators.get(creator, ""), work):
                del dataset[element.tag]
            elif not element.tag.is_private_creator:
                kept_creators.add(creator)
        elif depth >= _DEEPEST or not _standard(dataset, element, work, depth):
            del dataset[element.tag]
    for tag in creators:
        if tag in dataset and tag not in kept_creators:
            del dataset[tag]


def _private(element: Any, creator: str, work: Work) -> bool:
    """Tell whether a private attribute stays. One that holds a known word is not safe, whatever the table says."""
    if not work.options.private or not is_safe(creator, element.tag) or element.VR in ("SQ", "UN"):
        return False
    return not any(work.words.known(str(each)) for each in _several(element.value))


def _standard(dataset: Any, element: Any, work: Work, depth: int) -> bool:
    """Treat one attribute; tell whether it stays."""
    rule = rule_of(element.tag)
    if rule is None:
        return _unlisted(element, work, depth)
    action = rule.action(work.options)
    if action == "remove":
        return False
    if element.VR == "SQ":
        return _sequence(element, action, work, depth)
    if action == "keep":
        return _kept(element, work)
    if action == "clean":
        return _cleaned(element, rule, work)
    if element.VR == "UI":
        return _uids(element, work)
    element.value = _empty(element) if action == "empty" else _DUMMIES.get(element.VR, b"")
    return True


def _unlisted(element: Any, work: Work, depth: int) -> bool:
    """The profile leaves it alone; but nothing unknown stays, and no date, UID or word that gives somebody away."""
    if element.VR == "SQ":
        return _sequence(element, "keep", work, depth)
    if element.VR == "UN" or not dictionary_has_tag(element.tag):
        return bool(dictionary_has_tag(element.tag) or 0x6000 <= element.tag.group <= 0x60FF) and element.VR != "UN"
    if element.VR == "UI":
        return _uids(element, work)
    if element.VR in _DATES:
        return _dates(element, work)
    return _kept(element, work)


def _sequence(element: Any, action: str, work: Work, depth: int) -> bool:
    """A sequence that would get a dummy keeps the codes and numbers of its items only where that was asked for."""
    if action in ("empty", "dummy"):
        element.value = []
        return True
    for item in element.value or []:
        treat(item, work, depth + 1)
        if element.keyword == "ContentSequence":
            _content(item)
    return True


def _content(item: Any) -> None:
    """Texts and names of a report go whatever the options say: nobody can clean them for certain. Their items stay."""
    kind = str(item.get("ValueType", ""))
    if kind == "TEXT":
        item.TextValue = GONE
    elif kind == "PNAME":
        item.PersonName = "Anonymous"


def _kept(element: Any, work: Work) -> bool:
    """Keep a value, but for words that are known to identify somebody."""
    if element.VR in _TEXTS:
        element.value = _each(element.value, work.words.without)
    return True


def _cleaned(element: Any, rule: Rule, work: Work) -> bool:
    if element.VR in _DATES:
        return _dates(element, work)
    if element.VR == "TM":
        return True
    if element.VR == "AS":
        element.value = _age(str(element.value or ""))
        return True
    if element.VR in _TEXTS:
        element.value = _each(element.value, work.words.cleaned)
        return True
    if rule.basic == "uid":
        return _uids(element, work)
    return False  # what cannot be looked into (graphics, binary values) does not stay


def _dates(element: Any, work: Work) -> bool:
    if work.options.dates:
        return True
    if work.options.shift and element.keyword != "PatientBirthDate":
        element.value = _each(element.value, lambda text: moved(text, work.days))
        return True
    element.value = ""
    return True


def _age(text: str) -> str:
    """Those of ninety and more are few enough to be found."""
    return "090Y" if text.endswith("Y") and text[:-1].isdigit() and int(text[:-1]) >= 90 else text


def _uids(element: Any, work: Work) -> bool:
    if not work.options.uids:
        element.value = _each(element.value, work.key.uid)
    return True


def _empty(element: Any) -> Any:
    return b"" if element.VR in ("OB", "OW", "OF", "OD", "OL", "UN") else ""


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def _each(value: Any, change: Any) -> Any:
    if value is None or value == "":
        return value
    changed = [change(str(each)) for each in _several(value)]
    return changed if isinstance(value, MultiValue | list | tuple) else changed[0]


def walk(dataset: Dataset, depth: int = 0) -> Iterator[Any]:
    """Yield all elements, those of sequences too."""
    for element in dataset:
        yield element
        if element.VR == "SQ" and depth < _DEEPEST:
            for item in element.value or []:
                yield from walk(item, depth + 1)
