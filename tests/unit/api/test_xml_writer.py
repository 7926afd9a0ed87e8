"""JSON to XML. Spec: https://hl7.org/fhir/R4/xml.html"""

import json

import pytest
from lxml import etree

from fhir_server.api.xml import json_to_xml
from fhir_server.definitions import load
from fhir_server.errors import BadXml

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
NS = 'xmlns="http://hl7.org/fhir"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def write(resource: object, *, pretty: bool = False) -> str:
    raw = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
    return json_to_xml(raw, load(), pretty=pretty).decode()


def patient(**elements: object) -> str:
    text = write({"resourceType": "Patient", **elements})
    assert text.startswith(f"{HEAD}<Patient {NS}")
    return text.removeprefix(f"{HEAD}<Patient {NS}>").removesuffix("</Patient>")


def test_elements_come_in_the_order_of_the_definitions() -> None:
    assert patient(birthDate="1970", active=True, id="p") == (
        '<id value="p"/><active value="true"/><birthDate value="1970"/>'
    )


def test_an_empty_resource_is_an_empty_element() -> None:
    assert write({"resourceType": "Patient"}) == f"{HEAD}<Patient {NS}/>"


def test_numbers_keep_their_digits() -> None:
    raw = b'{"resourceType":"Observation","valueQuantity":{"value":%s}}'
    for digits in ("1.20", "0.0", "1E-10", "-3.000e+5", "100000000000000000000.10", "12345678901234567890123"):
        assert f'<value value="{digits}"/>' in write(raw % digits.encode())


def test_white_space_and_markup_in_values_are_escaped() -> None:
    text = " a\nb\tc\rd  &<>\"'é\U0001f600 "
    written = patient(name=[{"text": text}])
    assert "&#xA;" in written
    assert "&#x9;" in written
    assert "&#xD;" in written
    tree = etree.fromstring(f"<Patient {NS}>{written}</Patient>".encode())
    assert tree[0][0].get("value") == text


def test_what_stands_beside_a_primitive_goes_into_its_element() -> None:
    extension = [{"url": "u", "valueString": "x"}]
    assert patient(birthDate="1970", _birthDate={"id": "b", "extension": extension}) == (
        '<birthDate value="1970" id="b"><extension url="u"><valueString value="x"/></extension></birthDate>'
    )
    assert patient(name=[{"given": ["a", None], "_given": [None, {"id": "g"}]}]) == (
        '<name><given value="a"/><given id="g"/></name>'
    )
    assert patient(_active={"id": "x"}) == '<active id="x"/>'


def test_arrays_of_values_and_of_what_stands_beside_them_may_differ_in_length() -> None:
    assert patient(name=[{"given": ["a"], "_given": [None, {"id": "g"}]}]) == (
        '<name><given value="a"/><given id="g"/></name>'
    )


def test_resources_within_resources_are_wrapped() -> None:
    inner = {"resourceType": "Organization", "id": "o"}
    assert patient(contained=[inner]) == '<contained><Organization><id value="o"/></Organization></contained>'


def test_a_narrative_stays_as_it_is() -> None:
    div = f"<div {XHTML}><br/><br /><p class='x'>a &amp; b &#160;</p><!-- c --></div>"
    assert patient(text={"status": "generated", "div": div}) == f'<text><status value="generated"/>{div}</text>'


def test_a_narrative_without_its_namespace_gets_it() -> None:
    assert patient(text={"div": "<div>a</div>"}) == f"<text><div {XHTML}>a</div></text>"


def test_pretty_xml_is_indented_and_leaves_narratives_alone() -> None:
    div = f"<div {XHTML}>a\n<p>b</p></div>"
    text = write(
        {"resourceType": "Patient", "text": {"div": div}, "contained": [{"resourceType": "Patient", "id": "i"}]},
        pretty=True,
    )
    assert text == (
        f'{HEAD}\n<Patient {NS}>\n  <text>\n    {div}\n  </text>\n  <contained>\n    <Patient>\n      <id value="i"/>\n'
        f"    </Patient>\n  </contained>\n</Patient>"
    )


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Foo"},
        {"resourceType": "HumanName"},
        {"id": "x"},
        [],
        "x",
        b"{",
        b"\xff",
        {"resourceType": "Patient", "foo": 1},
        {"resourceType": "Patient", "_name": [{}]},
        {"resourceType": "Patient", "active": None},
        {"resourceType": "Patient", "active": [True]},
        {"resourceType": "Patient", "active": {}},
        {"resourceType": "Patient", "_active": "x"},
        {"resourceType": "Patient", "name": {}},
        {"resourceType": "Patient", "name": ["x"]},
        {"resourceType": "Patient", "name": [{"given": "x"}]},
        {"resourceType": "Patient", "contained": [{"id": "x"}]},
        {"resourceType": "Patient", "name": [{"text": "\x01"}]},
        {"resourceType": "Patient", "name": [{"text": "\ufffe"}]},
        {"resourceType": "Patient", "text": {"div": 7}},
        {"resourceType": "Patient", "text": {"div": "<div>"}},
        {"resourceType": "Patient", "text": {"div": "<p/>"}},
        {"resourceType": "Patient", "text": {"div": "<div/><active value='false'/>"}},
        {"resourceType": "Patient", "text": {"div": f"<div {XHTML}/><active value='false'/>"}},
        {"resourceType": "Patient", "text": {"div": '<div xmlns="http://hl7.org/fhir"/>'}},
        {"resourceType": "Patient", "text": {"div": "<!DOCTYPE x><div/>"}},
        {"resourceType": "Patient", "text": {"div": "<?xml version='1.0'?><div/>"}},
    ],
)
def test_what_xml_cannot_hold_is_refused(resource: object) -> None:
    with pytest.raises(BadXml):
        write(resource)
