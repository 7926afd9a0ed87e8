"""Rules on values that R4 gives in words: they are errors, but no write is refused for them."""

from typing import Any

import pytest

from fhir_server.validation import Wanted
from tests.builders import observation, patient
from tests.unit.validation.rules.full import XHTML, errors, validator

UUID = "c757873d-ec9a-4326-a141-556f43239520"
ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def library(**more: Any) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/library-type", "code": "logic-library"}]}
    return {"resourceType": "Library", "status": "draft", "type": kind, **more}


def artifact(canonical: str) -> dict[str, Any]:
    return library(relatedArtifact=[{"type": "depends-on", "resource": canonical}])


def narrative(html: str) -> dict[str, Any]:
    return patient(text={"status": "generated", "div": XHTML.format(html)})


WRONG = {
    "a relative canonical": (artifact("Library/x"), "Library.relatedArtifact[0].resource"),
    "a canonical of nothing contained": (artifact("#x"), "Library.relatedArtifact[0].resource"),
    "a relative URL of a definition": (library(url="Library/x"), "Library.url"),
    "a UUID in upper case": (library(url=f"urn:uuid:{UUID.upper()}"), "Library.url"),
    "an OID that is none": (library(url="urn:oid:x"), "Library.url"),
    "an OID that is no URN": (library(url="oid:1.2.3"), "Library.url"),
    "a relative system of an identifier": (patient(identifier=[{"system": "x"}]), "Patient.identifier[0]"),
    "a value that is no URI": (
        patient(identifier=[{"system": "urn:ietf:rfc:3986", "value": "1.2"}]), "Patient.identifier[0]"
    ),
    "no code but an extension": (patient(_gender=ABSENT), "Patient.gender"),
    "the type of a logical model": (
        patient(managingOrganization={"reference": "Organization/1", "type": "http://x.org/m"}),
        "Patient.managingOrganization",
    ),
    "an id that stands twice": (
        patient(name=[{"id": "a", "family": "x"}], birthDate="2000", _birthDate={"id": "a"}), "Patient.birthDate"
    ),
    "a hash of another length": (
        patient(photo=[{"data": "QUJD", "hash": "QUJD", "contentType": "image/png"}]), "Patient.photo[0]"
    ),
    "a security label twice": (
        patient(meta={"security": [{"system": "urn:x:y", "code": "R"}] * 2}), "Patient.meta.security[1]"
    ),
    "a link without URL": (narrative('<a href="">x</a>'), "Patient.text.div"),
    "a link with blanks": (narrative('<a href="http://x.org/a b">x</a>'), "Patient.text.div"),
    "a frame of a link": (narrative('<a href="http://x.org" target="_blank">x</a>'), "Patient.text.div"),
    "an image that is not there": (narrative('<img src="#x" alt="x"/>'), "Patient.text.div"),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "place"), WRONG.values(), ids=WRONG)
def test_what_words_forbid_is_an_error_and_refuses_no_write(resource: dict[str, Any], place: str) -> None:
    assert [at for at, _ in errors(resource)] == [place]
    write = Wanted(errors_only=True, codes="warning", implied=False, prose=False)
    assert [issue for issue in validator().look(resource, None, write).issues if issue.severity == "error"] == []
    asked = validator().look(resource, None, Wanted())
    of_errors = [origin for origin, issue in zip(asked.origins, asked.issues, strict=True) if issue.severity == "error"]
    assert of_errors == ["prose"]


@pytest.mark.parametrize(
    "resource",
    [
        artifact("http://x.org/Library/x|1.0"),
        artifact(f"urn:uuid:{UUID}"),
        {**artifact("#x"), "contained": [library(id="x")]},
        library(url=f"urn:uuid:{UUID}"),
        patient(identifier=[{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{UUID}"}]),
        patient(id="a", name=[{"id": "a", "family": "x"}, {"id": "b", "family": "y"}]),
        narrative('<p id="a">x</p><a href="#a">x</a><a href="http://x.org/?a=b&amp;c=d%20">y</a>'),
        narrative('<p align="left" width="9">x</p>'),
        patient(id="r", name=[{"id": "n", "family": "x"}], text=narrative('<a href="#n">x</a>')["text"]),
    ],
)
def test_what_words_allow_is_good(resource: dict[str, Any]) -> None:
    assert errors(resource) == []


@pytest.mark.parametrize(
    ("html", "good"),
    [
        ("<p>a<b>b<i>c</i></b></p><ul><li>a<ul><li>b</li></ul></li></ul>", True),
        ("<table><caption>a</caption><tbody><tr><td><p>b</p><table/></td></tr></tbody></table>", True),
        ("<dl><dt>a</dt><dd><ul><li>b</li></ul></dd></dl><!-- c --><div><div>d</div><br/></div>", True),
        ("<p>a<table><tr><td>b</td></tr></table></p>", False),
        ("<p><p>a</p></p>", False),
        ("<span><div>a</div></span>", False),
        ("<h1><div>a</div></h1>", False),
        ('<a href="b"><a href="c">a</a></a>', False),
        ("<ul>a<li>b</li></ul>", False),
        ("<ul><p>b</p></ul>", False),
        ("<li>a</li>", False),
        ("<tr><td>a</td></tr>", False),
        ("<table><td>a</td></table>", False),
        ("<br>a</br>", False),
    ],
)
def test_elements_of_a_narrative_stand_where_xhtml_has_them(html: str, good: bool) -> None:
    assert {at for at, _ in errors(narrative(html))} == (set() if good else {"Patient.text.div"})


@pytest.mark.parametrize(
    ("system", "code", "bad"),
    [
        ("http://hl7.org/fhir/nosuch", "a", True),
        ("http://hl7.org/fhir/CodeSystem/nosuch", "a", True),
        ("http://hl7.org/fhir/a/page.html", "a", True),
        ("http://build.fhir.org/codesystem.html", "a", True),
        ("http://snomed.info/sct/900000000000207008", "a", True),
        ("https://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "M", True),
        ("urn:ietf:rfc:3986", "abc", True),
        ("urn:ietf:rfc:3986", "urn:oid:1.2", False),
        ("http://hl7.org/fhir/sid/icd-10", "A00", False),
        ("http://hl7.org/fhir/us/core/CodeSystem/nosuch", "a", False),
        ("http://example.org/nosuch", "a", False),
    ],
)
def test_a_system_that_cannot_be_one_is_an_error(system: str, code: str, bad: bool) -> None:
    assert bool(errors(patient(meta={"tag": [{"system": system, "code": code}]}))) is bad


def test_a_nonbreaking_space_is_something_to_read() -> None:
    assert errors(narrative("&#160;")) == []
    assert [key for _, key in errors(narrative("<p> \n</p>"))] == ["txt-2"]


def test_an_observation_with_a_system_of_another_country_is_good() -> None:
    assert errors(observation(meta={"tag": [{"system": "urn:oid:1.2.3.4", "code": "a"}]})) == []
