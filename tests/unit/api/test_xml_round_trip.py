"""JSON to XML and back is the same resource: HL7's examples, the patch tests, and whatever strings there are."""

import json
import zipfile
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fhir_server.api.xml import json_to_xml, xml_to_json
from fhir_server.definitions import load
from tests.shared_data import shared_data

FHIR = "{http://hl7.org/fhir}"


def exact(raw: bytes) -> object:
    """A resource that differs where digits differ: 1.0 and 1.00."""
    return json.loads(raw, parse_float=str, parse_int=str)


def test_every_official_example_comes_back_equal() -> None:
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        for number, name in enumerate(names):
            raw = archive.read(name)
            back = xml_to_json(json_to_xml(raw, load(), pretty=number % 2 == 0), load())
            assert exact(back) == exact(raw), name
    assert len(names) >= 720


def test_resources_of_the_patch_tests_come_back_the_same_xml() -> None:
    tree = etree.parse(shared_data("patch") / "fhir-patch-tests.xml")
    found = [
        child
        for case in tree.iter(f"{FHIR}input", f"{FHIR}output", f"{FHIR}diff")
        for child in case
        if str(child.tag).startswith(FHIR)
    ]
    assert len(found) > 50
    for element in found:
        raw = etree.tostring(element, with_tail=False)
        again = json_to_xml(xml_to_json(raw, load()), load())
        assert _elements(again) == _elements(raw)


def _elements(raw: bytes) -> list[object]:
    """All elements with their namespaces, whatever their prefixes, without white space around them."""
    tree = etree.fromstring(raw, etree.XMLParser(remove_comments=True))
    return [(e.tag, dict(e.attrib), (e.text or "").strip(), (e.tail or "").strip()) for e in tree.iter()]


legal = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r")
)


@given(st.lists(legal, min_size=1, max_size=4), legal)
def test_any_legal_string_survives(given_names: list[str], family: str) -> None:
    resource = {"resourceType": "Patient", "name": [{"family": family, "given": given_names}]}
    raw = json.dumps(resource).encode()
    for pretty in (False, True):
        assert json.loads(xml_to_json(json_to_xml(raw, load(), pretty=pretty), load())) == resource


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers())
def test_any_number_keeps_its_digits(value: Decimal, integer: int) -> None:
    component = f'"component":[{{"valueInteger":{integer}}}]'
    raw = f'{{"resourceType":"Observation","valueQuantity":{{"value":{value}}},{component}}}'
    back = xml_to_json(json_to_xml(raw.encode(), load()), load())
    assert back == raw.encode() or "-0" in raw
