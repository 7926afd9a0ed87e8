"""The engine of views: rows, columns and their types, and every fault with its place in the definition."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from fhir_views.engine import RowError, TooManyRows, ViewError, ViewLimits, compile_view

ANNA = {
    "resourceType": "Patient",
    "id": "anna",
    "birthDate": "1970-06",
    "name": [
        {"use": "official", "family": "Adams", "given": ["Anna", "Maria"]},
        {"use": "maiden", "family": "Baker", "period": {"end": "1999"}},
    ],
    "contact": [{"telecom": [{"system": "phone", "value": "1"}]}, {"telecom": [{"system": "email", "value": "2"}]}],
}


def view(*selects: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"resourceType": "ViewDefinition", "resource": "Patient", "select": list(selects), **more}


def columns(*pairs: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"column": [{"name": name, "path": path} for name, path in pairs], **more}


def faults(definition: Any, **more: Any) -> dict[str, str]:
    with pytest.raises(ViewError) as caught:
        compile_view(definition, **more)
    return {fault.place.removeprefix("ViewDefinition."): fault.message for fault in caught.value.faults}


def test_rows_are_in_the_order_of_columns_then_selects_then_union() -> None:
    nested = columns(("b", "'B'"), select=[columns(("c", "'C'"))], unionAll=[columns(("d", "'D'"))])
    found = compile_view(view(nested, columns(("a", "'A'"))))
    assert found.names == ("b", "c", "d", "a")
    assert found.rows(ANNA) == [("B", "C", "D", "A")]


def test_resource_of_another_type_gives_no_rows() -> None:
    assert compile_view(view(columns(("id", "id")))).rows({"resourceType": "Group", "id": "g"}) == []


def test_decimal_keeps_its_digits() -> None:
    found = compile_view({**view(columns(("v", "value.ofType(Quantity).value"))), "resource": "Observation"})
    body = b'{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.20}}'
    assert [str(row[0]) for row in found.rows_of([body])] == ["1.20"]


def test_primitive_with_nothing_but_extensions_is_null() -> None:
    born = {"resourceType": "Patient", "id": "p", "_birthDate": {"extension": [{"url": "x", "valueCode": "unknown"}]}}
    assert compile_view(view(columns(("born", "birthDate")))).rows(born) == [(None,)]


def test_types_of_columns_follow_from_their_paths() -> None:
    pairs = [
        ("id", "getResourceKey()"),
        ("born", "birthDate"),
        ("alive", "deceased.ofType(boolean).not()"),
        ("names", "name.count()"),
        ("given", "name.given.join(' ')"),
        ("n", "%rowIndex"),
        ("org", "managingOrganization.getReferenceKey(Organization)"),
        ("rank", "multipleBirth.ofType(integer)"),
    ]
    types = {column.name: column.type for column in compile_view(view(columns(*pairs))).columns}
    assert types == {
        "id": "string", "born": "date", "alive": "boolean", "names": "integer", "given": "string", "n": "integer",
        "org": "string", "rank": "integer",
    }  # fmt: skip


def test_expressions_that_need_the_resource_work_below_for_each() -> None:
    inner = columns(("patient", "%resource.id"), ("given", "given.first()"), forEach="name.where(period.empty())")
    assert compile_view(view(inner)).rows(ANNA) == [("anna", "Anna")]


def test_for_each_of_primitives_and_of_choices() -> None:
    assert compile_view(view(columns(("g", "$this"), forEach="name.given"))).rows(ANNA) == [("Anna",), ("Maria",)]
    task = {"resourceType": "Task", "id": "t", "input": [{"valueString": "a"}, {"valueInteger": 3}]}
    found = compile_view({**view(columns(("v", "$this"), forEach="input.value")), "resource": "Task"})
    assert found.rows(task) == [("a",), (3,)]


def test_reference_key_is_that_of_the_resource_and_null_for_another_type() -> None:
    pairs = (
        ("any", "subject.getReferenceKey()"),
        ("group", "subject.getReferenceKey(Group)"),
        ("s", "subject.getReferenceKey('Patient')"),
    )
    found = compile_view({**view(columns(*pairs)), "resource": "Observation"})
    assert found.rows({"resourceType": "Observation", "subject": {"reference": "Patient/anna/_history/2"}}) == [
        ("anna", None, "anna")
    ]
    for other in ("#p", "urn:uuid:1", "http://else.where/fhir/Patient/anna", "Patient/", ""):
        assert found.rows({"resourceType": "Observation", "subject": {"reference": other}}) == [(None, None, None)]


def test_siblings_are_multiplied_and_nothing_times_anything_is_nothing() -> None:
    names, phones = columns(("f", "family"), forEach="name"), columns(("t", "value"), forEach="contact.telecom")
    assert len(compile_view(view(names, phones)).rows(ANNA)) == 4
    assert compile_view(view(names, columns(("u", "value"), forEach="identifier"))).rows(ANNA) == []


def test_repeat_goes_down_all_paths_in_the_order_of_the_document() -> None:
    answers = {"resourceType": "QuestionnaireResponse", "id": "q", "item": [
        {"linkId": "1", "answer": [{"valueString": "x", "item": [{"linkId": "1.a"}]}], "item": [{"linkId": "1.1"}]},
        {"linkId": "2"},
    ]}  # fmt: skip
    repeated = columns(("link", "linkId"), ("n", "%rowIndex"), repeat=["item", "answer.item"])
    found = compile_view({**view(repeated), "resource": "QuestionnaireResponse"})
    assert found.rows(answers) == [("1", 0), ("1.1", 1), ("1.a", 2), ("2", 3)]
    assert found.warnings == ()


# --- faults


def test_every_fault_is_found_at_once_with_its_place() -> None:
    wrong = view(
        {"column": [{"name": "1st", "path": "id"}, {"path": "id"}, {"name": "x"}, {"name": "y", "path": "name.("}]},
        {"forEach": "name", "repeat": ["contact"], "column": [{"name": "z", "path": "id"}]},
        {"column": "id"},
    )
    assert set(faults(wrong)) == {
        "select[0].column[0].name", "select[0].column[1].name", "select[0].column[2].path", "select[1]",
        "select[2].column",
    }  # fmt: skip


def test_wrong_expression_is_named_with_its_place_inside() -> None:
    found = faults(view(columns(("a", "id"), ("b", "name.whre(true)"), ("c", "birthDate.ofType(Nonsense)"))))
    assert "there is no function whre()" in found["select[0].column[1].path"]
    assert "column 6" in found["select[0].column[1].path"]
    assert "Nonsense" in found["select[0].column[2].path"]


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        (None, ""), ([], ""), ({}, "resource"), ({"resource": "Patient"}, "select"),
        ({"resourceType": "Patient"}, "resourceType"), (view(columns(("a", "id"))) | {"resource": "Nope"}, "resource"),
        (view(columns(("a", "id"))) | {"resource": 5}, "resource"), (view(), "select"), (view({}), "select"),
        (view(columns(("a", "id"), ("a", "id"))), "select[0].column[1].name"),
        (view(columns(("a", "%nope"))), "select[0].column[0].path"),
        (view(columns(("a", "id"), unionAll=[columns(("b", "id")), columns(("c", "id"))])), "select[0].unionAll[1]"),
        (view(columns(("a", "id")), where=[{"path": "("}]), "where[0].path"),
        (view(columns(("a", "id")), where="id"), "where"), (view(columns(("a", "id")), where=[{}]), "where[0].path"),
        (view({"column": [{"name": "a", "path": "id", "collection": 1}]}), "select[0].column[0].collection"),
        (view(columns(("a", "id")), constant=[{"name": "c", "valueInteger": "1"}]), "constant[0].valueInteger"),
        (view(columns(("a", "id")), constant=[{"name": "c", "valueDate": "2020-13"}]), "constant[0].valueDate"),
        (view(columns(("a", "id")), constant=[{"name": "c", "valueQuantity": {}}]), "constant[0].valueQuantity"),
        (view(columns(("a", "id")), fhirVersion=["5.0.0"]), "fhirVersion"),
        (view({"repeat": "item"}), "select[0].repeat"),
    ],
)  # fmt: skip
def test_wrong_definition_is_refused_at_its_place(definition: Any, place: str) -> None:
    assert place in {place.removeprefix("ViewDefinition") for place in faults(definition)}


def test_name_that_a_type_does_not_have_is_a_warning() -> None:
    found = compile_view(view(columns(("a", "nmae.family")), columns(("b", "famly"), forEach="name")))
    places = [warning.place for warning in found.warnings]
    assert places == ["ViewDefinition.select[0].column[0].path", "ViewDefinition.select[1].column[0].path"]
    assert found.rows(ANNA) == [(None, None), (None, None)]


def test_several_values_in_one_column_are_an_error_that_names_the_resource() -> None:
    with pytest.raises(RowError, match=r"column\[0\].path: gives 2 values .* \(on Patient/anna\)"):
        compile_view(view(columns(("f", "name.family")))).rows(ANNA)


def test_condition_that_is_no_boolean_is_an_error() -> None:
    with pytest.raises(RowError, match=r"ViewDefinition.where\[0\].path"):
        compile_view(view(columns(("id", "id")), where=[{"path": "name.family.first()"}])).rows(ANNA)


# --- hostile definitions and resources


def test_rows_of_one_resource_are_bounded_where_siblings_multiply() -> None:
    wide = {**ANNA, "name": [{"family": str(number)} for number in range(100)]}
    selects = [columns((f"c{number}", "family"), forEach="name") for number in range(8)]
    with pytest.raises(TooManyRows, match="more than 100000 rows"):
        compile_view(view(*selects)).rows(wide)
    with pytest.raises(TooManyRows):
        compile_view(view(*selects[:1]), limits=ViewLimits(rows=10)).rows(wide)


def test_repeat_that_never_ends_is_cut_off() -> None:
    with pytest.raises(TooManyRows, match=r"select\[0\].repeat"):
        compile_view(view(columns(("id", "id"), repeat=["$this"]))).rows(ANNA)


def test_selects_nested_too_deeply_are_refused() -> None:
    definition: dict[str, Any] = columns(("id", "id"))
    for _ in range(1000):
        definition = {"select": [definition]}
    assert any("nested deeper" in message for message in faults(view(definition)).values())


def test_expression_nested_too_deeply_is_refused() -> None:
    found = faults(view(columns(("a", "(" * 5000 + "1" + ")" * 5000))))
    assert "nested deeper" in found["select[0].column[0].path"]


def test_misshapen_resource_gives_an_error_or_nothing_but_never_a_crash() -> None:
    found = compile_view(
        view(columns(("id", "id"), ("f", "name.family.first()")), columns(("t", "value"), forEach="contact.telecom"))
    )
    for name in (5, "x", [5], {"family": "x"}, [[]], [None], None, [{"family": [1]}]):
        for contact in (5, [{"telecom": 7}], [[]], "x", {"telecom": {}}):
            with suppress(RowError):
                found.rows({"resourceType": "Patient", "id": 5, "name": name, "contact": contact})


def test_constants_keep_their_types() -> None:
    pairs = [
        ("limit", "Decimal", Decimal("1.0")),
        ("one", "Integer", 1),
        ("yes", "Boolean", True),
        ("born", "Date", "1970-06"),
    ]
    constants = [{"name": name, f"value{suffix}": value} for name, suffix, value in pairs]
    found = compile_view(
        view(columns(("a", "%limit"), ("b", "%one"), ("c", "%yes"), ("d", "birthDate = %born")), constant=constants)
    )
    assert found.rows(ANNA) == [(Decimal("1.0"), 1, True, True)]
    assert isinstance(found.rows(ANNA)[0][2], bool)
