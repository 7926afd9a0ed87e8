"""Codes of ISO for countries, their parts, currencies and languages, from the package pycountry.

Spec: https://hl7.org/fhir/R4/iso3166.html, https://hl7.org/fhir/R4/terminologies-systems.html
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fhir_server.terminology.code_system import Concept, Designation, Header, Property, PropertyDefinition
from fhir_server.terminology.systems.listed import Listed
from fhir_server.terminology.systems.regions import AREAS, AREAS_WITHIN

COUNTRIES = "urn:iso:std:iso:3166"
SUBDIVISIONS = "urn:iso:std:iso:3166:-2"
CURRENCIES = "urn:iso:std:iso:4217"
LANGUAGES_1 = "urn:iso:std:iso:639:-1"
LANGUAGES_3 = "urn:iso:std:iso:639:-3"
AREA_CODES = "http://unstats.un.org/unsd/methods/m49/m49.htm"

# ISO writes "Netherlands (the)" of these; the table does not.
_ARTICLES = "AE BS CC CD CF CG CK DO FK FO GB GM KM KP KR KY LA MD MH MP NE NL PH RU SD TC TF UM US VA"
_WITH_ARTICLE = frozenset(_ARTICLES.split())
_KINDS = {"alpha_2": "alpha-2", "alpha_3": "alpha-3", "numeric": "numeric"}


def installed() -> bool:
    """Tell whether the tables are here."""
    return find_spec("pycountry") is not None


def countries() -> Listed:
    """Return ISO 3166-1: the codes of two letters, of three letters, and of digits, all in one system."""
    rows = _rows("3166-1")
    header = Header(
        COUNTRIES,
        name="ISO3166Part1",
        title="Codes for countries (ISO 3166-1)",
        value_set="http://hl7.org/fhir/ValueSet/iso3166-1-2",
        properties=[PropertyDefinition("kind", type="string"), PropertyDefinition("numeric", type="string")],
    )
    return Listed(header, (_country(row, member) for member in _KINDS for row in rows))


def _country(row: Mapping[str, str], member: str) -> Concept:
    kind = Property("kind", "valueString", _KINDS[member])
    properties = [kind, Property("numeric", "valueString", row["numeric"])]
    return Concept(row[member], row["name"], designations=_other_names(row), properties=properties)


def _other_names(row: Mapping[str, str]) -> list[Designation]:
    names = [row[name] for name in ("name", "common_name", "official_name") if name in row]
    if row["alpha_2"] in _WITH_ARTICLE:
        names += [f"{name} (the)" for name in names]
    return [Designation(name, "en") for name in dict.fromkeys(names) if name != row["name"]]


def subdivisions() -> Listed:
    """Return ISO 3166-2: the parts of countries."""
    rows = _rows("3166-2")
    known = {row["code"] for row in rows}
    header = Header(
        SUBDIVISIONS,
        name="ISO3166Part2",
        title="Codes for parts of countries (ISO 3166-2)",
        hierarchy=True,
        properties=[PropertyDefinition("country"), PropertyDefinition("type", type="string")],
    )
    concepts = (
        Concept(
            row["code"],
            row["name"],
            properties=[
                Property("country", "valueCode", row["code"].partition("-")[0]),
                Property("type", "valueString", row["type"]),
            ],
        )
        for row in rows
    )
    return Listed(header, concepts, {row["code"]: above for row in rows if (above := _above(row)) in known})


def _above(row: Mapping[str, str]) -> str:
    """Return the code of the part that a part belongs to; the table writes it with or without the country."""
    above = row.get("parent", "")
    return above if "-" in above or not above else f"{row['code'].partition('-')[0]}-{above}"


def currencies() -> Listed:
    """Return ISO 4217."""
    header = Header(
        CURRENCIES,
        name="ISO4217",
        title="Currency codes (ISO 4217)",
        value_set="http://hl7.org/fhir/ValueSet/currencies",
        properties=[PropertyDefinition("numeric", type="string")],
    )
    return Listed(
        header,
        (
            Concept(row["alpha_3"], row["name"], properties=[Property("numeric", "valueString", row["numeric"])])
            for row in _rows("4217")
        ),
    )


def languages_1() -> Listed:
    """Return ISO 639-1: languages by two letters."""
    return _languages(LANGUAGES_1, "1", "alpha_2")


def languages_3() -> Listed:
    """Return ISO 639-3: languages by three letters."""
    return _languages(LANGUAGES_3, "3", "alpha_3")


def _languages(url: str, part: str, member: str) -> Listed:
    header = Header(url, name=f"ISO639Part{part}", title=f"Codes for languages (ISO 639-{part})", case_sensitive=False)
    return Listed(header, (Concept(row[member], row["name"]) for row in _rows("639-3") if member in row))


def areas() -> Listed:
    """Return the areas of the UN's standard M49: regions, and countries by their number."""
    header = Header(
        AREA_CODES, name="M49", title="Area codes (UN M.49)", hierarchy=True, properties=[PropertyDefinition("class")]
    )
    regions = (Concept(code, name, properties=[_class("region")]) for code, name in AREAS.items())
    named = (
        Concept(row["numeric"], row["name"], designations=_other_names(row), properties=[_class("country")])
        for row in _rows("3166-1")
    )
    return Listed(header, (*regions, *named), AREAS_WITHIN)


def _class(name: str) -> Property:
    return Property("class", "valueCode", name)


@cache
def _rows(part: str) -> Sequence[Mapping[str, Any]]:
    """Return a table of the package; read without importing it, as that would read all of them.

    Raises:
        FileNotFoundError: pycountry is not installed.
    """
    spec = find_spec("pycountry")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package pycountry, which carries the codes of ISO, is not installed")
    path = Path(spec.submodule_search_locations[0]) / "databases" / f"iso{part}.json"
    rows: Sequence[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[part]
    return rows
