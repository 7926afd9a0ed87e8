"""Codes of systems that may not be loaded which cannot be codes at all, by their form and check digit."""

import re
from collections.abc import Callable, Mapping

_D5 = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_CONCEPT = re.compile(r"[1-9][0-9]{5,17}")
_POST_COORDINATED = re.compile(r"[:|+=,{}()\s]")
_LOINC = re.compile(r"([0-9]{1,7})-([0-9])")
_LOINC_PARTS = re.compile(r"(?:LP|LA|LL|LG|MTHU)[0-9]+(?:-[0-9X])?")


def impossible(system: str, code: str) -> bool:
    """Tell whether a code cannot be one of a system, whatever its version."""
    test = _TESTS.get(system)
    return test is not None and not test(code)


def is_sctid(code: str) -> bool:
    """Tell whether a code is a concept identifier of SNOMED CT, or an expression made of some.

    Spec: https://confluence.ihtsdotools.org/display/DOCRELFMT/6+SNOMED+CT+Identifiers
    """
    if _POST_COORDINATED.search(code):
        return True
    return bool(_CONCEPT.fullmatch(code)) and code[-3:-1] in ("00", "10") and _verhoeff(code)


def _verhoeff(digits: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(digits)):
        turned = int(digit)
        for _ in range(place % 8):
            turned = _TURN[turned]
        check = _D5[check][turned]
    return check == 0


def is_loinc(code: str) -> bool:
    """Tell whether a code has the form and the check digit of LOINC, or is a part, answer or list.

    Spec: https://loinc.org/kb/users-guide/calculating-mod-10-check-digits/
    """
    found = _LOINC.fullmatch(code)
    if found is None:
        return bool(_LOINC_PARTS.fullmatch(code))
    total = 0
    for place, digit in enumerate(reversed(found[1])):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled - 9 if doubled > 9 else doubled
    return (10 - total % 10) % 10 == int(found[2])


_TESTS: Mapping[str, Callable[[str], bool]] = {"http://snomed.info/sct": is_sctid, "http://loinc.org": is_loinc}
