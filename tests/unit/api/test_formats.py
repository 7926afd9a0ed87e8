"""Content negotiation. Spec: https://hl7.org/fhir/R4/http.html#mime-type"""

import pytest

from fhir_server.api.formats import check_body_type, negotiate, parse, takes_gzip
from fhir_server.errors import NotAcceptable, UnsupportedMediaType


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "application/fhir+json"),
        ("*/*", "application/fhir+json"),
        ("application/*", "application/fhir+json"),
        ("application/fhir+json", "application/fhir+json"),
        ("application/fhir+xml", "application/fhir+xml"),
        ("application/json", "application/json"),
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("text/json", "text/json"),
        ("application/json+fhir", "application/fhir+json"),
        ("application/xml+fhir", "application/fhir+xml"),
        ("APPLICATION/FHIR+XML", "application/fhir+xml"),
        ("application/fhir+json;q=0.5, application/fhir+xml", "application/fhir+xml"),
        ("application/fhir+json;q=0.1, application/xml;q=0.2", "application/xml"),
        ("text/html, application/xhtml+xml, */*;q=0.1", "application/fhir+json"),
        ("application/fhir+xml, application/fhir+json", "application/fhir+json"),
        ("application/fhir+json;q=0, */*", "application/json"),
        ("application/fhir+xml; fhirVersion=4.0", "application/fhir+xml"),
        ('application/fhir+xml; charset="utf-8"', "application/fhir+xml"),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+xml; fhirVersion=4.0", "application/fhir+xml"),
        ("nonsense, application/fhir+xml", "application/fhir+xml"),
        ("application/fhir+xml;q=banana", "application/fhir+xml"),
        (",,,", "application/fhir+json"),
    ],
)
def test_accept_decides_format_and_name(accept: str, expected: str) -> None:
    if accept == ",,,":
        with pytest.raises(NotAcceptable):
            negotiate(accept, None)
        return
    found = negotiate(accept, None).format
    assert found.content_type.decode() == f"{expected}; charset=utf-8"
    assert found.kind == ("xml" if "xml" in expected else "json")


@pytest.mark.parametrize(
    ("format_", "kind"),
    [
        ("json", "json"),
        ("xml", "xml"),
        ("application/json", "json"),
        ("application/fhir+json", "json"),
        ("application/fhir json", "json"),
        ("application/xml", "xml"),
        ("text/xml", "xml"),
        ("application/fhir+xml", "xml"),
        ("application/fhir xml", "xml"),
        ("JSON", "json"),
        ("application/fhir+xml; fhirVersion=4.0", "xml"),
    ],
)
def test_the_format_parameter_goes_before_the_header(format_: str, kind: str) -> None:
    for accept in ("application/fhir+json", "application/fhir+xml", "text/turtle"):
        assert negotiate(accept, format_).format.kind == kind


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("text/turtle", None),
        ("image/png", None),
        ("text/html", None),
        ("application/fhir+json;q=0", None),
        ("*/*;q=0", None),
        ("application/fhir+json; fhirVersion=5.0", None),
        ("", "ttl"),
        ("", "html"),
        ("application/fhir+json", "yaml"),
        ("", "application/fhir+json; fhirVersion=3.0"),
        ("x" * 10_000, None),
    ],
)
def test_what_cannot_be_produced_is_not_acceptable(accept: str, format_: str | None) -> None:
    with pytest.raises(NotAcceptable):
        negotiate(accept, format_)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("application/fhir+json", "application/fhir+json"),
        ("Application/FHIR+JSON; charset=UTF-8", "application/fhir+json"),
        ("application/fhir+xml;charset=utf-8;fhirVersion=4.0", "application/fhir+xml"),
    ],
)
def test_a_body_in_utf_8_and_of_this_version_is_taken(header: str, name: str) -> None:
    media = parse(header)
    check_body_type(media)
    assert media.name == name


@pytest.mark.parametrize(
    "header", ["application/fhir+json; charset=iso-8859-1", "application/fhir+json; fhirVersion=5.0"]
)
def test_other_character_sets_and_versions_are_refused(header: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_body_type(parse(header))


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("*", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("*;q=0", False),
        ("br, gzip;q=0.1", True),
        ("gzip;q=0, *", False),
    ],
)
def test_gzip_is_used_for_those_who_take_it(header: str, taken: bool) -> None:
    assert takes_gzip(header) is taken
