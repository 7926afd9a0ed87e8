"""UCUM, language tags, MIME types and URIs: what is a code, what it says, and how filters find it."""

import pytest

from fhir_server.errors import BadValue, TooCostly
from fhir_server.terminology.code_system import Filter
from fhir_server.terminology.systems import standard
from fhir_server.terminology.systems.grammar import Grammar
from fhir_server.terminology.systems.languages import languages
from fhir_server.terminology.systems.mime import mime_types
from fhir_server.terminology.systems.ucum import ucum
from fhir_server.terminology.systems.uris import uris


def display(system: Grammar, code: str) -> str | None:
    found = system.concept(code)
    return None if found is None else found.display


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("mg/dL", "(milligram) / (deciliter)"),
        ("kg.m/s2", "(kilogram) * (meter) / (second ^ 2)"),
        ("mm[Hg]", "(millimeter of mercury column)"),
        ("10*3/uL", "(the number ten for arbitrary powers ^ 3) / (microliter)"),
        ("/min", "/ (minute)"),
        ("U/(10.g){feces}", "(Unit) / (10 * (gram)){feces}"),
        ("{tot}", "{tot}"),
        ("1", "1"),
        ("a", "(year)"),
    ],
)
def test_any_unit_is_a_code_and_says_itself_in_words(code: str, words: str) -> None:
    assert display(ucum(), code) == words


@pytest.mark.parametrize("code", ["", "bogus", "mg/", "mg dL", "Mg/dl{", "years", "KG"])
def test_what_ucum_does_not_allow_is_no_code(code: str) -> None:
    assert ucum().concept(code) is None


@pytest.mark.parametrize(
    ("code", "value", "holds"),
    [
        *(("min", "a", True), ("wk", "s", True), ("km", "m", True), ("[ft_i]", "m", True), ("kg", "m", False)),
        *(("m2", "m", False), ("1/m", "m", False), ("bogus", "m", False)),
    ],
)
def test_filters_by_canonical_unit_are_by_dimension(code: str, value: str, holds: bool) -> None:
    assert ucum().matches(code, Filter("canonical", "=", value)) is holds
    assert ucum().matches(code, Filter("comparable", "=", value)) is holds


def test_a_filter_by_what_is_no_unit_is_refused() -> None:
    with pytest.raises(BadValue, match="'metre' is no unit"):
        ucum().matches("km", Filter("canonical", "=", "metre"))


def test_of_the_endless_units_the_common_ones_are_shown() -> None:
    lengths = list(ucum().select([Filter("canonical", "=", "m")]))
    assert {"m", "cm", "km", "[in_i]"} <= set(lengths)
    assert "g" not in lengths
    assert "mg/dL" in list(ucum().select([], "milligram deciliter"))


@pytest.mark.parametrize("system", [ucum(), languages(), mime_types(), uris()])
def test_nobody_can_list_a_grammar(system: Grammar) -> None:
    assert system.count() is None
    with pytest.raises(TooCostly, match="no end of them"):
        next(system.codes())
    with pytest.raises(TooCostly):
        next(system.select([]))


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("en", "English"),
        ("en-US", "English (United States)"),
        ("EN-us", "English (United States)"),
        ("de-CH-1996", "German (Switzerland, German orthography of 1996)"),
        ("zh-Hant-TW", "Chinese (Han (Traditional variant), Taiwan, Province of China)"),
        ("es-419", "Spanish (Latin America and the Caribbean)"),
        ("sgn-ase", "Sign languages (American Sign Language)"),
        ("en-x-mine", "English (x-mine)"),
        ("de-u-co-phonebk", "German (u-co-phonebk)"),
        ("i-klingon", "Klingon"),
        ("qaa", "Private use"),
        ("qtz-QM", "Private use (Private use)"),
        ("x-anything", ""),
    ],
)
def test_a_language_tag_of_registered_parts_is_a_code(tag: str, words: str) -> None:
    assert display(languages(), tag) == words


@pytest.mark.parametrize(
    "tag",
    ["", "english", "xx", "en_US", "en-", "en-Lating", "en-USA", "aaa-bbb", "de-1996-1996", "en-a-bb-a-cc", "quu-"],
)
def test_what_is_not_registered_or_not_well_formed_is_no_language(tag: str) -> None:
    assert languages().concept(tag) is None


def test_filters_on_the_parts_of_a_language_tag() -> None:
    assert languages().matches("de-CH", Filter("region", "exists", "true"))
    assert not languages().matches("de", Filter("region", "exists", "true"))
    assert languages().matches("sr-Latn", Filter("script", "=", "Latn"))
    assert "de" in list(languages().select([], "german"))[:1]


@pytest.mark.parametrize(
    ("code", "good"),
    [
        *(("text/plain", True), ("text/plain; charset=UTF-8", True), ("application/fhir+json;fhirVersion=4.0", True)),
        *(('multipart/mixed; boundary="a b"', True), ("image/*", True), ("x-world/x-3dmf", True), ("xml", True)),
        ("application/fhir+json;canonicalization=http://hl7.org/fhir/canonicalization/json", True),
        ("application/dicom; variant=DICOM WADO-RS", True),
        *(("", False), ("text", False), ("text/", False), ("text/plain ", False), ("text plain", False)),
        *(("/json", False), ("text/plain;charset", False), ("a/b;c=", False), ("a/b" * 1_000, False)),
    ],
)
def test_mime_types_are_a_type_a_subtype_and_parameters(code: str, good: bool) -> None:
    assert (mime_types().concept(code) is not None) is good


@pytest.mark.parametrize(
    ("code", "good"),
    [
        *(("http://example.org/a?b=c#d", True), ("urn:oid:1.2.840.10008", True), ("mailto:a@example.org", True)),
        *(("urn:uuid:0f0e6a64-209a-4e1e-8a39-000000000000", True), ("https://a/%20b", True)),
        *(("", False), ("relative", True), ("http://a b", False), ("urn:oid:3.1", False), ("urn:oid:1.02", False)),
        ("urn:uuid:1234", False),
    ],
)
def test_uris_have_no_white_space_and_oids_and_uuids_their_form(code: str, good: bool) -> None:
    assert (uris().concept(code) is not None) is good


def test_codes_of_a_grammar_subsume_only_themselves() -> None:
    assert ucum().subsumes("mg", "mg")
    assert not ucum().subsumes("mg", "g")
    assert not ucum().subsumes("bogus", "bogus")


def test_a_system_without_its_package_is_not_there_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "urn:ietf:bcp:47"
    offer = standard._Offer(languages, installed=lambda: False)
    monkeypatch.setitem(standard._OFFERS, url, offer)  # type: ignore[attr-defined]
    systems = standard.StandardSystems()
    assert systems.find(url) is None
    assert systems.versions(url) == ()
    assert url not in systems.urls()
    assert standard.advice(url) == "pip install 'fhir-server[terminology]'"


def test_a_version_that_is_not_here_is_not_found() -> None:
    systems = standard.StandardSystems()
    version = systems.versions("http://unitsofmeasure.org")[0]
    assert systems.find("http://unitsofmeasure.org", version) is systems.find("http://unitsofmeasure.org")
    assert systems.find("http://unitsofmeasure.org", "0.1") is None


def test_systems_that_are_to_be_loaded_say_by_which_command() -> None:
    assert standard.advice("http://loinc.org") == "fhir-server terminology load loinc PATH"
    assert standard.advice("urn:unheard-of") == ""
