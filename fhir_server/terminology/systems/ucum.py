"""UCUM: every valid expression of units is a code.

Spec: https://ucum.org/ucum, https://hl7.org/fhir/R4/ucum.html
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from fhir_server.errors import BadValue
from fhir_server.fhirpath.ucum import Dimensions, unit
from fhir_server.packages import core_library
from fhir_server.terminology.code_system import Concept, Designation, Filter, Header, Property, PropertyDefinition
from fhir_server.terminology.systems.grammar import Grammar

URL = "http://unitsofmeasure.org"

_DIMENSION = frozenset(("canonical", "comparable"))
_COMMON = "http://hl7.org/fhir/ValueSet/ucum-common"
_TERM = re.compile(r"(?P<note>\{[^{}]*\})|(?P<sign>[./()])|(?P<symbol>(?:\[[^\]]*\]|[^./(){}])+)")
_EXPONENT = re.compile(r"(?P<base>.*?[^0-9+-])(?P<exponent>[+-]?[0-9]+)")
_SIGNS = {".": " * ", "/": " / ", "(": "(", ")": ")"}


def installed() -> bool:
    """Tell whether the table of units is here."""
    return find_spec("ucumvert") is not None


def ucum() -> Grammar:
    """Return the system of units."""
    header = Header(
        URL,
        version=_version(),
        name="UCUM",
        title="Unified Code for Units of Measure (UCUM)",
        compositional=True,
        value_set="http://hl7.org/fhir/ValueSet/ucum-units",
        copyright="UCUM is Copyright (C) 1999-2013 Regenstrief Institute, Inc. and The UCUM Organization.",
        properties=[
            PropertyDefinition("canonical", description="the unit in base units", type="string"),
            PropertyDefinition("comparable", description="the same", type="string"),
        ],
    )
    return Grammar(header, read, _listed, _comparable)


@lru_cache(2_000)
def read(code: str) -> Concept | None:
    """Return the concept of a unit: its display is the code in words, as `(milligram) / (deciliter)`."""
    found = unit(code)
    if found is None:
        return None
    # Filters by `canonical` name base units, and any unit that comes to the same is as good.
    canonical = [Property(name, "valueString", _canonical(found.dimensions)) for name in ("canonical", "comparable")]
    display = in_words(code)
    designations = [] if display == code else [Designation(code)]
    return Concept(code, display, designations=designations, properties=canonical)


def _canonical(dimensions: Dimensions) -> str:
    written = [name + (str(power) if power != 1 else "") for name, power in dimensions]
    return ".".join(written) or "1"


def in_words(code: str) -> str:
    """Return a unit in words."""
    return "".join(_word(match) for match in _TERM.finditer(code)).strip()


def _word(match: "re.Match[str]") -> str:
    if match["note"]:
        return match["note"]
    if match["sign"]:
        return _SIGNS[match["sign"]]
    symbol = match["symbol"]
    name = _named(symbol)
    if name is None and (powered := _EXPONENT.fullmatch(symbol)) and (base := _named(powered["base"])):
        name = f"{base} ^ {powered['exponent']}"
    return f"({name})" if name else symbol


def _named(symbol: str) -> str | None:
    units, prefixes = unit_names()
    if symbol in units:
        return units[symbol]
    for length in (2, 1):
        if symbol[:length] in prefixes and symbol[length:] in units:
            return prefixes[symbol[:length]] + units[symbol[length:]]
    return None


@cache
def _listed() -> tuple[str, ...]:
    """Return the units that R4 lists as common."""
    entry = core_library().find("ValueSet", _COMMON)
    include = entry.parse()["compose"]["include"] if entry else ()
    codes = [concept["code"] for each in include for concept in each.get("concept", ())]
    return tuple(code for code in codes if unit(code))


def _comparable(code: str, filter_: Filter) -> bool | None:
    """Test a filter on the dimension: years are as good a name for it as seconds are."""
    if filter_.property not in _DIMENSION or filter_.op != "=":
        return None
    found, wanted = unit(code), unit(filter_.value)
    if wanted is None:
        raise BadValue(f"{filter_.value[:100]!r} is no unit of UCUM")
    return found is not None and found.dimensions == wanted.dimensions


@cache
def unit_names() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the names of units and of prefixes by their symbols."""
    root = ElementTree.fromstring(_essence().read_bytes())  # noqa: S314  # a file of an installed package

    def names(*tags: str) -> Mapping[str, str]:
        rows = (row for tag in tags for row in root.iterfind("{*}" + tag))
        return {code: row.findtext("{*}name") or code for row in rows if (code := row.get("Code", ""))}

    return names("base-unit", "unit"), names("prefix")


@cache
def _version() -> str:
    found = re.search(rb'ucum-essence"\s+version="([^"]+)"', _essence().read_bytes()[:1_000])
    return found[1].decode() if found else ""


def _essence() -> Path:
    spec = find_spec("ucumvert")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package ucumvert, which carries the table of UCUM units, is not installed")
    return Path(spec.submodule_search_locations[0]) / "vendor" / "ucum-essence.xml"
