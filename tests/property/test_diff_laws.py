"""A difference, applied to the first resource, gives exactly the second, for resources changed at random."""

import zipfile
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fhir_server.definitions import load
from fhir_server.interactions.patching.fhirpath_patch import fhirpath_patch
from fhir_server.model.json import decode, encode
from fhir_server.operations.patch_between import comparable, patch_between, same
from fhir_server.validation import structure_validator
from tests.builders import observation, patient, resource
from tests.shared_data import shared_data

Json = dict[str, Any]

NOTE = {"extension": [{"url": "urn:note", "valueString": "n"}]}
AMOUNT = {"value": Decimal("1.50"), "unit": "kg", "extension": [{"url": "urn:x", "valueDecimal": Decimal("1.5")}]}
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
CODE = {"coding": [{"system": "urn:s", "code": "a"}, {"system": "urn:s", "code": "b"}], "text": "t"}
ITEM = {
    "linkId": "1",
    "type": "group",
    "item": [{"linkId": "2", "type": "choice", "answerOption": [{"valueString": "y"}]}],
}
MADE: tuple[Json, ...] = (
    patient(
        "a", text=NARRATIVE, active=True, birthDate="1970-01-02", _birthDate=NOTE, deceasedBoolean=False,
        meta={"tag": [{"code": "x"}], "profile": ["urn:p"]}, _gender=NOTE, extension=NOTE["extension"],
        name=[{"family": "Berg", "_family": NOTE, "given": ["A", None, "M"], "_given": [None, NOTE, {"id": "g"}]}],
        contact=[{"relationship": [CODE], "telecom": [{"value": "1"}]}, {"name": {"given": ["Tom", "Tim"]}}],
        contained=[resource("Organization", "o", name="O", alias=["P"])],
        managingOrganization={"reference": "#o"}, multipleBirthInteger=2,
    ),
    patient("a", deceasedDateTime="2020", _deceasedDateTime=NOTE, gender="male", multipleBirthBoolean=True,
            name=[{"given": ["Anna"]}, {"text": "A"}, {"use": "old", "given": ["A", "B", "C"]}],
            contact=[{"organization": {"display": "x"}}]),
    observation("a", valueQuantity=AMOUNT, referenceRange=[{"low": AMOUNT, "appliesTo": [CODE, CODE]}],
                component=[{"code": CODE, "valueInteger": 1}, {"code": CODE, "valueTime": "10:00:00"}]),
    observation("a", valueString="v", _valueString=NOTE, effectiveTiming={"repeat": {"dayOfWeek": ["mon", "tue"]}},
                component=[{"code": CODE, "valueSampledData": {"origin": {"value": 1}, "period": 1, "dimensions": 1}}]),
    resource("Questionnaire", "a", status="draft", item=[ITEM, {**ITEM, "linkId": "3", "code": [{"code": "q"}]}]),
    resource("Questionnaire", "a", status="draft", title="T", subjectType=["Patient", "Group"], item=[ITEM]),
    resource("ValueSet", "a", status="draft", compose={"include": [{"valueSet": ["urn:v", "urn:w"]}]},
             expansion={"timestamp": "2020", "contains": [{"contains": [{"code": "x"}, {"code": "y"}]}]}),
    resource("Bundle", "a", type="collection",
             entry=[{"link": [{"relation": "self", "url": "u"}], "resource": patient("p")}]),
)  # fmt: skip
_validator, _definitions = structure_validator(), load()


def check(old: Json, new: Json) -> None:
    """The law itself; also, that the difference is a Parameters resource as FHIR has it."""
    old = _copy(old)
    operations = patch_between(old, new, _definitions)
    patch = {"resourceType": "Parameters", **({"parameter": operations} if operations else {})}
    patched = fhirpath_patch(old, patch, _definitions)
    assert same(_without_empty_meta(patched), _without_empty_meta(new)), operations
    issues = [issue.diagnostics for issue in _validator.check(patch)]
    # A reference to what is contained makes sense in the resource that comes out, and not in the patch.
    assert not [text for text in issues if "contained" not in text]
    assert bool(operations) != same(_without_empty_meta(old), _without_empty_meta(new))


def _without_empty_meta(of: Json) -> Json:
    return {name: value for name, value in comparable(of).items() if (name, value) != ("meta", {})}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Json, Json]:
    """Two valid resources of one type: made ones, each changed at random."""
    old = draw(st.sampled_from(MADE))
    new = draw(st.sampled_from([each for each in MADE if each["resourceType"] == old["resourceType"]]))
    both = (_changed(draw, old), _changed(draw, new))
    assume(not any(_validator.check(each) for each in both))
    return both


def _copy(value: Any) -> Any:
    """Copy so that no two places share an object, as they do where a builder uses one twice."""
    return decode(encode(value))


def _changed(draw: st.DrawFn, resource: Json) -> Json:
    changed = _copy(resource)
    for _ in range(draw(st.integers(0, 4))):
        _change(draw, draw(st.sampled_from(_holders(changed))))
    return changed


def _holders(value: Any) -> list[Any]:
    """All objects and lists within, the outermost first."""
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(each for item in inner if isinstance(item, dict | list) for each in _holders(item))]


def _change(draw: st.DrawFn, holder: Any) -> None:
    """Remove, repeat, swap or replace what stands in one place."""
    keys = [key for key in holder if key != "resourceType"] if isinstance(holder, dict) else list(range(len(holder)))
    if not keys:
        return
    key = draw(st.sampled_from(keys))
    kind = draw(st.sampled_from(("remove", "repeat", "swap", "text")))
    if kind == "remove":
        del holder[key]
    elif kind == "text" and isinstance(holder[key], str):
        holder[key] = draw(st.sampled_from(("x", "y", "2021", "male")))
    elif isinstance(holder, list) and kind == "repeat":
        holder.insert(draw(st.integers(0, len(holder))), _copy(holder[key]))
    elif isinstance(holder, list) and kind == "swap":
        holder[0], holder[key] = holder[key], holder[0]


def test_the_made_resources_are_valid() -> None:
    assert [issue for each in MADE for issue in _validator.check(each)] == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(pairs())
def test_a_difference_makes_the_second_of_the_first(pair: tuple[Json, Json]) -> None:
    check(*pair)


@given(pairs())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_a_resource_does_not_differ_from_itself(pair: tuple[Json, Json]) -> None:
    assert patch_between(pair[0], _copy(pair[0]), _definitions) == []


@pytest.mark.parametrize("made", MADE, ids=lambda made: made["resourceType"])
def test_all_of_a_resource_can_be_added_and_taken_away(made: Json) -> None:
    bare = {"resourceType": made["resourceType"]}
    check(bare, made)
    check(made, bare)


@pytest.mark.parametrize(("old", "new"), [(Decimal("1.0"), Decimal("1.00")), (1, Decimal("1.0"))])
def test_the_digits_of_a_decimal_are_a_difference(old: Any, new: Any) -> None:
    check(observation(valueQuantity={"value": old}), observation(valueQuantity={"value": new}))


def test_the_examples_of_hl7_can_be_made_of_each_other() -> None:
    by_type: dict[str, list[Json]] = defaultdict(list)
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".json") and archive.getinfo(name).file_size < 30_000:
                example = decode(archive.read(name))
                if "resourceType" in example and not _validator.check(example):
                    by_type[example["resourceType"]].append(example)
    compared = [(old, new) for each in by_type.values() for old, new in zip(each, each[1:] + each[:1], strict=True)]
    for old, new in compared:
        check(old, new)
    assert len(compared) > 300
