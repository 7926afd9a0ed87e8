"""Implicit value sets of SNOMED CT and LOINC: those that a URL says in full.

Spec: https://hl7.org/fhir/R4/snomedct.html#implicit, https://hl7.org/fhir/R4/loinc.html#implicit
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from fhir_server.terminology.code_system import CodeSystem, Header, Json

Find = Callable[[str, str], CodeSystem | None]

_SNOMED = "http://snomed.info/sct"
_LOINC = "http://loinc.org"
_SNOMED_URL = re.compile(
    r"http://snomed\.info/sct(?P<version>/[0-9]+(?:/version/[0-9]+)?)?\?fhir_vs(?:=(?P<what>.*))?", re.DOTALL
)
_LOINC_URL = re.compile(r"http://loinc\.org/vs(?:/(?P<part>(?:LL|LP|LG)[0-9]+-[0-9A-Z]))?")


def value_set(url: str, find: Find) -> Json | None:
    """Return a ValueSet with a compose; None if the URL is not one of these, or the system is not here."""
    snomed, loinc = _SNOMED_URL.fullmatch(url), _LOINC_URL.fullmatch(url)
    if snomed:
        return _snomed(url, snomed["version"] or "", unquote(snomed["what"] or ""), find)
    if loinc:
        return _loinc(url, loinc["part"] or "", find)
    return None


def whole(header: Header) -> Json:
    """Return the value set of all codes of a system."""
    return _made(header.value_set, f"All of {header.title or header.url}", {"system": header.url})


def _snomed(url: str, version: str, what: str, find: Find) -> Json | None:
    full = _SNOMED + version if version else ""
    if find(_SNOMED, full) is None:
        return None
    include: dict[str, Any] = {"system": _SNOMED} | ({"version": full} if full else {})
    name, _, value = what.partition("/")
    if not what:
        return _made(url, "All of SNOMED CT", include)
    if what == "refset":
        return _made(url, "Reference sets", include | _filter("constraint", "=", _REFERENCE_SETS))
    if name == "isa" and value.isdecimal():
        return _made(url, f"SNOMED CT: {value} and below", include | _filter("concept", "is-a", value))
    if name == "refset" and value.isdecimal():
        return _made(url, f"SNOMED CT: members of {value}", include | _filter("concept", "in", value))
    if name.startswith("ecl"):
        expression = what[4:]
        return _made(url, f"SNOMED CT: {expression}", include | _filter("constraint", "=", expression))
    return None


# Concepts that have members are reference sets; all of them are below this one.
_REFERENCE_SETS = "< 900000000000455006"


def _loinc(url: str, part: str, find: Find) -> Json | None:
    system = find(_LOINC, "")
    if system is None or (part and system.concept(part) is None):
        return None
    include: dict[str, Any] = {"system": _LOINC}
    if part.startswith("LL"):
        include |= _filter("LIST", "=", part)
    elif part:
        include |= _filter("ancestor", "=", part)
    return _made(url, f"LOINC {part}".strip(), include)


def _filter(property_: str, op: str, value: str) -> dict[str, Any]:
    return {"filter": [{"property": property_, "op": op, "value": value}]}


def _made(url: str, title: str, include: Json) -> Json:
    return {
        "resourceType": "ValueSet",
        "url": url,
        "name": "Implicit",
        "title": title,
        "status": "active",
        "compose": {"include": [include]},
    }
