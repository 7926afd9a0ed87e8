"""The three patch languages against the published suites and the corners these leave out."""

import json
from typing import Any

import pytest
from lxml import etree

from fhir_server import definitions
from fhir_server.api.xml import json_to_xml, xml_to_json
from fhir_server.errors import BadRequest, FhirError, InvalidResource
from fhir_server.interactions.patching import make_apply_patch
from fhir_server.interactions.patching.xml_patch import xml_patch
from fhir_server.model.json import decode, encode
from tests.shared_data import shared_data

FACTS = definitions.load()
apply_patch = make_apply_patch(json_to_xml, xml_to_json)
F = "{http://hl7.org/fhir}"


def _resource(case: Any, name: str) -> dict[str, Any] | None:
    holder = case.find(F + name)
    if holder is None:
        return None
    return decode(xml_to_json(etree.tostring(holder[0]), FACTS))


def test_official_fhirpath_patch_cases() -> None:
    cases = etree.parse(shared_data("patch") / "fhir-patch-tests.xml").getroot().findall(F + "case")
    assert len(cases) >= 21
    for case in cases:
        before, diff, after = (_resource(case, name) for name in ("input", "diff", "output"))
        assert before is not None and diff is not None
        if after is None:
            with pytest.raises(InvalidResource, match="No content found at"):
                apply_patch("fhirpath", before, diff, FACTS)
        else:
            assert _comparable(apply_patch("fhirpath", before, diff, FACTS)) == _comparable(after), case.get("name")


def _comparable(resource: dict[str, Any]) -> dict[str, Any]:
    """Narrative may name its namespace by a prefix or not."""
    if "text" not in resource:
        return resource
    return {**resource, "text": {**resource["text"], "div": _form(etree.fromstring(resource["text"]["div"]))}}


def test_official_json_patch_cases() -> None:
    cases = json.loads((shared_data("patch") / "json-patch-tests.json").read_text())
    for case in (case for case in cases if "doc" in case and not case.get("disabled")):
        if "error" in case:
            with pytest.raises(FhirError):
                apply_patch("json", case["doc"], json.dumps(case["patch"]).encode(), FACTS)
        elif isinstance(case["expected"], dict):
            assert apply_patch("json", case["doc"], json.dumps(case["patch"]).encode(), FACTS) == case["expected"]


def _form(element: Any) -> tuple[Any, ...]:
    children = tuple(_form(child) for child in element if isinstance(child.tag, str))
    return element.tag, dict(element.attrib), (element.text or "").strip(), children


def test_official_xml_patch_cases() -> None:
    cases = etree.parse(shared_data("patch") / "xml-patch-tests.xml").getroot().findall(F + "case")
    # the published file has lost the comments that these cases select
    for case in (case for case in cases if "comment()" not in etree.tostring(case).decode()):
        target, patch, after = case.find(F + "target")[0], case.find(F + "patch"), case.find(F + "patched")
        if after is None:
            with pytest.raises(FhirError):
                xml_patch(etree.tostring(target), etree.tostring(patch))
        else:
            patched = etree.fromstring(xml_patch(etree.tostring(target), etree.tostring(patch)))
            assert _form(patched) == _form(after[0]), case.get("name")


def _operation(**parts: object) -> dict[str, Any]:
    listed = []
    for name, value in parts.items():
        if isinstance(value, dict):
            listed.append({"name": name, **value})
        else:
            listed.append({"name": name, ("valueInteger" if isinstance(value, int) else "valueString"): value})
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": listed}]}


PATIENT = {
    "resourceType": "Patient",
    "id": "x",
    "deceasedBoolean": False,
    "birthDate": "2000-01-01",
    "_birthDate": {"id": "b"},
    "name": [{"given": ["A", "B"], "_given": [None, {"id": "g"}]}],
}


def test_replacing_a_choice_with_another_type_renames_it_in_place() -> None:
    patch = _operation(type="replace", path="Patient.deceased", value={"valueDateTime": "2020"})
    patched = apply_patch("fhirpath", PATIENT, patch, FACTS)
    assert list(patched) == ["resourceType", "id", "deceasedDateTime", "birthDate", "_birthDate", "name"]
    assert patched["deceasedDateTime"] == "2020"


def test_companions_of_primitives_move_and_go_with_them() -> None:
    move = _operation(type="move", path="Patient.name[0].given", source=1, destination=0)
    moved = apply_patch("fhirpath", PATIENT, move, FACTS)["name"][0]
    assert moved == {"given": ["B", "A"], "_given": [{"id": "g"}, None]}
    delete = _operation(type="delete", path="Patient.name[0].given[1]")
    assert apply_patch("fhirpath", PATIENT, delete, FACTS)["name"][0] == {"given": ["A"]}
    gone = apply_patch("fhirpath", PATIENT, _operation(type="delete", path="Patient.birthDate"), FACTS)
    assert "birthDate" not in gone and "_birthDate" not in gone


def test_the_patched_resource_is_a_copy() -> None:
    before = encode(PATIENT)
    apply_patch("fhirpath", PATIENT, _operation(type="delete", path="Patient.name"), FACTS)
    apply_patch("json", PATIENT, b'[{"op":"remove","path":"/name/0/given/0"}]', FACTS)
    assert encode(PATIENT) == before


@pytest.mark.parametrize(
    ("patch", "error", "says"),
    [
        (_operation(type="grow", path="Patient"), BadRequest, "none of"),
        (_operation(type="add", path="Patient", value={"valueString": "x"}), BadRequest, "'name'"),
        (_operation(type="add", path="Patient", name="birthDate"), BadRequest, "'value'"),
        (_operation(type="add", path="Patient.(", name="x", value={"valueString": "x"}), BadRequest, "operation 0"),
        (
            _operation(type="add", path="Patient", name="birthDate", value={"valueDate": "2001"}),
            InvalidResource,
            "already",
        ),
        (
            _operation(type="add", path="Patient", name="shoe", value={"valueString": "x"}),
            InvalidResource,
            "no element",
        ),
        (
            _operation(type="insert", path="Patient.name", index=7, value={"valueHumanName": {}}),
            InvalidResource,
            "beyond",
        ),
        (_operation(type="move", path="Patient.name", source=0, destination=3), InvalidResource, "beyond"),
        (
            _operation(type="replace", path="Patient.name.given", value={"valueString": "x"}),
            InvalidResource,
            "2 elements",
        ),
        (_operation(type="delete", path="Patient"), InvalidResource, "itself"),
    ],
)
def test_a_wrong_fhirpath_patch_says_why(patch: dict[str, Any], error: type[FhirError], says: str) -> None:
    with pytest.raises(error, match=says):
        apply_patch("fhirpath", PATIENT, patch, FACTS)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{}", BadRequest),
        (b"[{]", BadRequest),
        (b'[{"op":"grow","path":"/a"}]', BadRequest),
        (b'[{"op":"add","path":"/a"}]', BadRequest),
        (b'[{"op":"remove","path":"a"}]', BadRequest),
        (b'[{"op":"remove","path":"/nothing"}]', InvalidResource),
        (b'[{"op":"test","path":"/id","value":"y"}]', InvalidResource),
        (b'[{"op":"add","path":"/id/deep","value":"y"}]', InvalidResource),
        (b'[{"op":"replace","path":"","value":3}]', InvalidResource),
    ],
)
def test_a_wrong_json_patch_is_refused(body: bytes, error: type[FhirError]) -> None:
    with pytest.raises(error):
        apply_patch("json", PATIENT, body, FACTS)


def test_xml_patch_changes_the_resource() -> None:
    patch = (
        b'<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:birthDate/@value">1999-12-31</replace>'
        b'<add sel="f:Patient/f:birthDate" pos="before"><gender value="male"/></add>'
        b'<remove sel="f:Patient/f:name"/></diff>'
    )
    patched = apply_patch("xml", PATIENT, patch, FACTS)
    assert (patched["birthDate"], patched["gender"], "name" in patched) == ("1999-12-31", "male", False)


@pytest.mark.parametrize(
    "patch", [b"<diff/>", b"<diff", b'<!DOCTYPE d [<!ENTITY e "x">]><diff>&e;</diff>', b'<diff><add sel="///"/></diff>']
)
def test_a_wrong_xml_patch_is_refused(patch: bytes) -> None:
    with pytest.raises(BadRequest):
        apply_patch("xml", PATIENT, patch, FACTS)


def test_merge_patch_sets_removes_and_goes_down() -> None:
    patch: dict[str, Any] = {
        "birthDate": None,
        "active": True,
        "text": {"status": "empty"},
        "name": [{"family": "New"}],
    }
    merged = apply_patch("merge", PATIENT, patch, FACTS)
    assert "birthDate" not in merged
    assert (merged["active"], merged["text"], merged["name"]) == (True, {"status": "empty"}, [{"family": "New"}])
    assert apply_patch("merge", merged, {"text": {"status": None, "div": "x"}}, FACTS)["text"] == {"div": "x"}


@pytest.mark.parametrize("path", ["/note/0/text", "/name/0/family/x", "/id/x/y"])
def test_a_json_patch_that_fails_says_nothing_of_the_content(path: str) -> None:
    patient = {"resourceType": "Patient", "id": "p", "name": [{"family": "Unspoken"}]}
    patch = encode([{"op": "move", "from": path, "path": "/gender"}])
    with pytest.raises(InvalidResource, match="cannot be applied") as refused:
        apply_patch("json", patient, patch, FACTS)
    assert "Unspoken" not in str(refused.value)


def _in_parts(name: str = "value") -> dict[str, Any]:
    return {
        "name": name,
        "part": [
            {"name": "code", "valueCodeableConcept": {"text": "mean"}},
            {"name": "value", "valueQuantity": {"value": 5}},
            {"name": "interpretation", "valueCodeableConcept": {"text": "high"}},
            {"name": "referenceRange", "part": [{"name": "appliesTo", "valueCodeableConcept": {"text": "all"}}]},
        ],
    }


@pytest.mark.parametrize(
    "of",
    [
        {"type": "add", "path": "Observation", "name": "component"},
        {"type": "insert", "path": "Observation.component", "index": 1},
        {"type": "replace", "path": "Observation.component[0]"},
    ],
)
def test_what_is_spelled_out_in_parts_gets_the_names_and_lists_of_its_type(of: dict[str, Any]) -> None:
    before = {"resourceType": "Observation", "component": [{"code": {"text": "old"}}]}
    patch = _operation(**of, value=_in_parts())
    assert apply_patch("fhirpath", before, patch, FACTS)["component"][-1] == {
        "code": {"text": "mean"},
        "valueQuantity": {"value": 5},
        "interpretation": [{"text": "high"}],
        "referenceRange": [{"appliesTo": [{"text": "all"}]}],
    }


def test_an_extension_is_added_in_parts() -> None:
    parts = [{"name": "url", "valueUri": "http://example.org/e"}, {"name": "value", "valueString": "y"}]
    patch = _operation(type="add", path="Patient", name="extension", value={"name": "value", "part": parts})
    assert apply_patch("fhirpath", PATIENT, patch, FACTS)["extension"] == [
        {"url": "http://example.org/e", "valueString": "y"}
    ]


@pytest.mark.parametrize(
    "sel",
    [
        "f:Patient/f:name[re:test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '(a+)+$')]",
        "//*[count(//*[count(//*) = 3]) = 3]", "f:Patient/f:name/..", "f:Patient/f:name[../f:birthDate='1']",
        "f:Patient/descendant::f:given", "./" * 400 + "..", "f:Patient" + "[1]" * 400,
    ],
)  # fmt: skip
def test_an_xml_patch_selects_by_plain_paths_for_xpath_could_go_on_for_ever(sel: str) -> None:
    given = f'<diff xmlns:f="http://hl7.org/fhir" xmlns:re="http://exslt.org/regular-expressions"><remove sel="{sel}"/>'
    with pytest.raises(BadRequest, match="no path as XML Patch has them"):
        apply_patch("xml", PATIENT, f"{given}</diff>".encode(), FACTS)


def test_an_xml_patch_selects_by_place_and_by_content() -> None:
    for sel in ("f:Patient/f:name[1]/f:given[last()]", "/f:Patient/f:name[f:given/@value='A']/f:given[@value='B']"):
        patch = f'<diff xmlns:f="http://hl7.org/fhir"><remove sel="{sel}"/></diff>'
        assert apply_patch("xml", PATIENT, patch.encode(), FACTS)["name"][0]["given"] == ["A"]


@pytest.mark.parametrize(
    ("patch", "left"),
    [
        ([("remove", "/name/0/given/0"), ("remove", "/name/0/given/0")], {"name": [{"family": "F"}]}),
        ([("remove", "/name/0/given"), ("remove", "/name/0/family")], {}),
        ([("remove", "/name/0")], {}),
    ],
)
def test_what_a_json_patch_empties_goes_too(patch: list[tuple[str, str]], left: dict[str, Any]) -> None:
    before = {"resourceType": "Patient", "name": [{"family": "F", "given": ["A", "B"]}]}
    body = json.dumps([{"op": op, "path": path} for op, path in patch]).encode()
    assert apply_patch("json", before, body, FACTS) == {"resourceType": "Patient"} | left
