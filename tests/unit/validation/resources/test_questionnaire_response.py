"""Answers against the questions of a Questionnaire."""

from typing import Any

import pytest

from tests.unit.validation.resources.told import issues, told

URL = "http://example.org/Questionnaire/q"
CORE = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"


def form(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Questionnaire", "url": URL, "status": "active", "item": list(items), **more}


def question(type_: str, link: str = "1", **more: Any) -> dict[str, Any]:
    return {"linkId": link, "type": type_, **more}


def answered(*values: dict[str, Any], link: str = "1") -> dict[str, Any]:
    return {"linkId": link, "answer": list(values)}


def response(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": URL,
        "status": "completed",
        "item": list(items),
        **more,
    }


def extension(url: str, **value: Any) -> dict[str, Any]:
    return {"extension": [{"url": url, **value}]}


@pytest.mark.parametrize(
    ("quantity", "good"),
    [
        ({"value": 1, "system": "http://unitsofmeasure.org", "code": "kg"}, True),
        ({"value": 1, "unit": "bags"}, True),
        ({"value": 1, "system": "http://unitsofmeasure.org", "code": "g"}, False),
        ({"value": 1}, False),
    ],
)
def test_a_quantity_has_a_unit_that_is_offered(quantity: dict[str, Any], good: bool) -> None:
    units = ({"system": "http://unitsofmeasure.org", "code": "kg"}, {"display": "bags"})
    offered = [{"url": f"{CORE}questionnaire-unitOption", "valueCoding": unit} for unit in units]
    found = told(response(answered({"valueQuantity": quantity})), form(question("quantity", extension=offered)))
    assert (found == []) is good


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        ("boolean", {"valueBoolean": True}, {"valueString": "yes"}),
        ("decimal", {"valueDecimal": 1.5}, {"valueInteger": 1}),
        ("integer", {"valueInteger": 1}, {"valueString": "1"}),
        ("date", {"valueDate": "2020-01-01"}, {"valueDateTime": "2020-01-01"}),
        ("dateTime", {"valueDateTime": "2020"}, {"valueDate": "2020"}),
        ("time", {"valueTime": "10:00:00"}, {"valueString": "10:00"}),
        ("string", {"valueString": "x"}, {"valueCoding": {"code": "x"}}),
        ("text", {"valueString": "x\ny"}, {"valueUri": "x:y"}),
        ("url", {"valueUri": "x:y"}, {"valueString": "x:y"}),
        ("attachment", {"valueAttachment": {"url": "x:y"}}, {"valueUri": "x:y"}),
        ("reference", {"valueReference": {"reference": "Patient/1"}}, {"valueString": "Patient/1"}),
        ("quantity", {"valueQuantity": {"value": 1}}, {"valueDecimal": 1.0}),
        ("choice", {"valueCoding": {"code": "x"}}, {"valueBoolean": True}),
        ("open-choice", {"valueString": "x"}, {"valueDecimal": 1.0}),
    ],
)
def test_an_answer_has_the_type_of_its_question(type_: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert told(response(answered(good)), form(question(type_))) == []
    (place,) = told(response(answered(bad)), form(question(type_)))
    assert place.startswith("QuestionnaireResponse.item[0].answer[0].value.ofType(")


@pytest.mark.parametrize(
    ("more", "good", "bad"),
    [
        ({"maxLength": 2}, {"valueString": "ab"}, {"valueString": "abc"}),
        (extension(f"{CORE}minLength", valueInteger=2), {"valueString": "ab"}, {"valueString": "a"}),
        (extension(f"{CORE}regex", valueString="[a-c]+"), {"valueString": "abc"}, {"valueString": "abd"}),
        (extension(f"{CORE}minValue", valueInteger=2), {"valueInteger": 2}, {"valueInteger": 1}),
        (extension(f"{CORE}maxValue", valueDecimal=2), {"valueDecimal": 2.0}, {"valueDecimal": 2.1}),
        (extension(f"{CORE}maxValue", valueDate="2020-02"), {"valueDate": "2020-02-03"}, {"valueDate": "2020-03-01"}),
        (extension(f"{CORE}maxDecimalPlaces", valueInteger=1), {"valueDecimal": 1.5}, {"valueDecimal": 1.55}),
        (
            extension(
                f"{SDC}maxQuantity", valueQuantity={"value": 5, "system": "http://unitsofmeasure.org", "code": "km"}
            ),
            {"valueQuantity": {"value": 4000, "system": "http://unitsofmeasure.org", "code": "m"}},
            {"valueQuantity": {"value": 6000, "system": "http://unitsofmeasure.org", "code": "m"}},
        ),
        (
            extension(
                f"{SDC}minQuantity", valueQuantity={"value": 5, "system": "http://unitsofmeasure.org", "code": "km"}
            ),
            {"valueQuantity": {"value": 6, "system": "http://unitsofmeasure.org", "code": "km"}},
            {"valueQuantity": {"value": 6, "system": "http://unitsofmeasure.org", "code": "kg"}},
        ),
        (
            extension(f"{CORE}mimeType", valueCode="image/gif"),
            {"valueAttachment": {"contentType": "image/gif"}},
            {"valueAttachment": {"contentType": "image/png"}},
        ),
        (
            extension(f"{CORE}maxSize", valueDecimal=3),
            {"valueAttachment": {"data": "QUJD"}},
            {"valueAttachment": {"data": "QUJDRA=="}},
        ),
        (
            extension(f"{CORE}questionnaire-referenceResource", valueCode="Patient"),
            {"valueReference": {"reference": "http://example.org/fhir/Patient/1"}},
            {"valueReference": {"reference": "Group/1"}},
        ),
    ],
)
def test_an_answer_keeps_the_bounds_of_its_question(more: Any, good: dict[str, Any], bad: dict[str, Any]) -> None:
    (name,) = good
    type_ = {"valueAttachment": "attachment", "valueQuantity": "quantity", "valueReference": "reference"}.get(name)
    asked = form(question(type_ or name[5:].lower(), **more))
    assert told(response(answered(good)), asked) == []
    assert len(told(response(answered(bad)), asked)) == 1


def test_an_expression_that_cannot_be_read_is_a_warning() -> None:
    asked = form(question("string", **extension(f"{CORE}regex", valueString="(")))
    assert [one.severity for one in issues(response(answered({"valueString": "a"})), asked)] == ["warning"]


def test_a_question_that_does_not_repeat_has_one_answer() -> None:
    two = [{"valueString": "a"}, {"valueString": "b"}]
    assert told(response(answered(*two)), form(question("string"))) == ["QuestionnaireResponse.item[0]"]
    assert told(response(answered(*two)), form(question("string", repeats=True))) == []
    twice = [answered({"valueString": "a"}), answered({"valueString": "b"})]
    assert told(response(*twice), form(question("string"))) == ["QuestionnaireResponse"]


def test_answers_are_counted() -> None:
    most = question("string", repeats=True, **extension(f"{CORE}questionnaire-maxOccurs", valueInteger=1))
    least = question("string", repeats=True, **extension(f"{CORE}questionnaire-minOccurs", valueInteger=3))
    two = response(answered({"valueString": "a"}, {"valueString": "b"}))
    assert told(two, form(most)) == told(two, form(least)) == ["QuestionnaireResponse.item[0]"]


def test_what_is_required_is_an_error_only_once_the_response_is_complete() -> None:
    asked = form(question("string", required=True))
    assert told(response(), asked) == ["QuestionnaireResponse"]
    assert told(response({"linkId": "1"}), asked) == ["QuestionnaireResponse.item[0]"]
    assert told(response(status="in-progress"), asked) == []
    assert told(response(status="in-progress"), asked, severity="warning") == ["QuestionnaireResponse"]


def test_items_are_known_in_order_and_in_place() -> None:
    asked = form(question("string", "1"), question("group", "2", item=[question("string", "2.1")]))
    first, inner = answered({"valueString": "a"}), answered({"valueString": "b"}, link="2.1")
    assert told(response(first, {"linkId": "2", "item": [inner]}), asked) == []
    assert told(response({"linkId": "2", "item": [inner]}, first), asked) == ["QuestionnaireResponse"]
    assert told(response(first, inner), asked) == ["QuestionnaireResponse"]
    assert told(response({"linkId": "2", "item": [{"linkId": "x"}]}), asked) == ["QuestionnaireResponse.item[0]"]


def test_a_question_has_its_items_below_its_answer_and_a_group_has_no_answer() -> None:
    asked = form(question("string", item=[question("string", "1.1")]))
    below = answered({"valueString": "a", "item": [answered({"valueString": "b"}, link="1.1")]})
    beside = {**answered({"valueString": "a"}), "item": [answered({"valueString": "b"}, link="1.1")]}
    assert told(response(below), asked) == []
    assert told(response(beside), asked) == ["QuestionnaireResponse.item[0]"]
    assert told(response(answered({"valueString": "a"})), form(question("group"))) == ["QuestionnaireResponse.item[0]"]
    assert told(response(answered({"valueString": "a"})), form(question("display"))) == [
        "QuestionnaireResponse.item[0]"
    ]


def test_an_option_is_one_of_those_offered() -> None:
    offered = [{"valueCoding": {"system": "urn:s", "code": "a"}}, {"valueCoding": {"system": "urn:s", "code": "b"}}]
    asked = question("choice", answerOption=offered)
    assert told(response(answered(offered[0])), form(asked)) == []
    other = answered({"valueCoding": {"system": "urn:s", "code": "c"}})
    assert told(response(other), form(asked)) == ["QuestionnaireResponse.item[0].answer[0]"]


def test_an_open_choice_takes_text_and_wonders_at_a_display() -> None:
    asked = form(question("open-choice", answerOption=[{"valueCoding": {"code": "b", "display": "Blood"}}]))
    assert told(response(answered({"valueString": "Tears"})), asked) == []
    found = told(response(answered({"valueString": "Blood"})), asked, severity="warning")
    assert found == ["QuestionnaireResponse.item[0].answer[0]"]


def test_an_exclusive_option_stands_alone() -> None:
    none = {"valueString": "none"}
    mark = extension(f"{CORE}questionnaire-optionExclusive", valueBoolean=True)
    asked = form(question("choice", repeats=True, answerOption=[{"valueString": "some"}, {**none, **mark}]))
    assert told(response(answered(none)), asked) == []
    both = answered({"valueString": "some"}, none)
    assert told(response(both), asked) == ["QuestionnaireResponse.item[0].answer[1]"]


def test_an_answer_is_a_code_of_the_value_set() -> None:
    asked = form(question("choice", answerValueSet="http://hl7.org/fhir/ValueSet/administrative-gender"))
    system = "http://hl7.org/fhir/administrative-gender"
    assert told(response(answered({"valueCoding": {"system": system, "code": "male"}})), asked) == []
    bad = answered({"valueCoding": {"system": system, "code": "mail"}})
    assert told(response(bad), asked) == ["QuestionnaireResponse.item[0].answer[0]"]


def test_a_value_set_may_be_contained_in_the_questionnaire() -> None:
    concepts = [{"system": "http://example.org/s", "concept": [{"code": "a"}]}]
    inner = {"resourceType": "ValueSet", "id": "v", "status": "active", "compose": {"include": concepts}}
    asked = form(question("choice", answerValueSet="#v"), contained=[inner])
    good, bad = ({"valueCoding": {"system": "http://example.org/s", "code": code}} for code in "ab")
    assert told(response(answered(good)), asked) == []
    assert told(response(answered(bad)), asked) == ["QuestionnaireResponse.item[0].answer[0]"]


def test_a_value_set_that_nobody_knows_is_a_warning() -> None:
    asked = form(question("choice", answerValueSet="http://example.org/none"))
    made = response(answered({"valueCoding": {"system": "urn:s", "code": "a"}}))
    assert told(made, asked) == []
    assert told(made, asked, severity="warning") == ["QuestionnaireResponse.item[0].answer[0]"]


def condition(operator: str = "=", **value: Any) -> dict[str, Any]:
    return {"question": "1", "operator": operator, **value}


@pytest.mark.parametrize(
    ("conditions", "behavior", "answer", "enabled"),
    [
        ([condition(answerBoolean=True)], "any", {"valueBoolean": True}, True),
        ([condition(answerBoolean=True)], "any", {"valueBoolean": False}, False),
        ([condition("!=", answerBoolean=True)], "any", {"valueBoolean": False}, True),
        ([condition("exists", answerBoolean=False)], "any", {"valueBoolean": False}, False),
        ([condition(">", answerInteger=3)], "any", {"valueInteger": 4}, True),
        ([condition("<=", answerInteger=3)], "any", {"valueInteger": 4}, False),
        ([condition(">", answerInteger=3), condition("<", answerInteger=5)], "all", {"valueInteger": 4}, True),
        ([condition(">", answerInteger=3), condition("<", answerInteger=4)], "all", {"valueInteger": 4}, False),
        (
            [condition(answerCoding={"system": "urn:s", "code": "a"})],
            "any",
            {"valueCoding": {"system": "urn:s", "code": "a"}},
            True,
        ),
        (
            [condition(answerCoding={"system": "urn:s", "code": "a"})],
            "any",
            {"valueCoding": {"system": "urn:t", "code": "a"}},
            False,
        ),
    ],
)
def test_a_question_is_enabled_by_others(conditions: Any, behavior: str, answer: dict[str, Any], enabled: bool) -> None:
    (name,) = answer
    kind = {"valueCoding": "choice"}.get(name, name[5:].lower())
    second = question("string", "2", required=True, enableWhen=conditions, enableBehavior=behavior)
    asked = form(question(kind, "1"), second)
    both = response(answered(answer), answered({"valueString": "x"}, link="2"))
    assert told(both, asked) == ([] if enabled else ["QuestionnaireResponse.item[1]"])
    assert told(response(answered(answer)), asked) == (["QuestionnaireResponse"] if enabled else [])


def test_a_question_may_be_enabled_by_an_expression() -> None:
    written = {"language": "text/fhirpath", "expression": "%resource.item.where(linkId='1').answer.value"}
    second = question("string", "2", **extension(f"{SDC}enableWhenExpression", valueExpression=written))
    asked = form(question("boolean", "1"), second)
    for value in (True, False):
        both = response(answered({"valueBoolean": value}), answered({"valueString": "x"}, link="2"))
        assert told(both, asked) == ([] if value else ["QuestionnaireResponse.item[1]"])


def test_a_questionnaire_that_nobody_knows_is_a_warning_and_another_resource_an_error() -> None:
    unknown = response(questionnaire="http://example.org/none")
    assert told(unknown) == []
    assert told(unknown, severity="warning") == ["QuestionnaireResponse"]
    other = response(questionnaire="http://hl7.org/fhir/ValueSet/administrative-gender")
    assert told(other) == ["QuestionnaireResponse.questionnaire"]
    assert told({"resourceType": "QuestionnaireResponse"}, severity="information") == ["QuestionnaireResponse"]


def test_a_questionnaire_may_be_contained_or_resolved() -> None:
    asked = {**form(question("boolean")), "id": "q"}
    bad = answered({"valueString": "x"})
    assert len(told(response(bad, questionnaire="#q", contained=[asked]))) == 1
    assert len(told(response(bad), resolve={URL: asked}.get)) == 1


@pytest.mark.parametrize("broken", [None, 1, "x", [], [None], {}, [{}], [{"linkId": 3, "answer": 4, "item": [5]}]])
def test_misshapen_items_are_not_the_end(broken: Any) -> None:
    asked = form(question("choice", answerOption=broken, enableWhen=broken, extension=broken), question("group", "2"))
    issues(response(item=broken) | {"item": broken}, asked)
    issues(response({"linkId": "1", "answer": broken}, {"linkId": "2", "item": broken}), asked)
    issues(response(answered({"valueString": "x"})), form() | {"item": broken})


@pytest.mark.parametrize("broken", [None, 1, True, "x", [], [None], {}, {"value": []}, {"code": [1], "system": {}}])
@pytest.mark.parametrize("name", ["String", "Coding", "Quantity", "Attachment", "Reference", "Date", "Decimal"])
def test_misshapen_values_are_not_the_end(name: str, broken: Any) -> None:
    type_ = {"Coding": "open-choice", "Date": "date", "Decimal": "decimal"}.get(name, name.lower())
    bound = [{"url": f"{CORE}minValue", f"value{name}": broken}, {"url": f"{SDC}minQuantity", "valueQuantity": broken}]
    value = {f"value{name}": broken}
    depends = [{"question": "1", "operator": "=", f"answer{name}": broken}]
    first = question(type_, answerOption=[value, {"valueString": "y"}], extension=bound, maxLength=broken)
    asked = form(
        first, question("open-choice", "2", enableWhen=depends, answerOption=[{"valueCoding": {"display": "z"}}])
    )
    issues(response(answered(value), answered({"valueString": broken}, link="2")), asked)
