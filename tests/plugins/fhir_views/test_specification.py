"""What the specification of ViewDefinition says, sentence by sentence, and a case for each.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html
"""

from decimal import Decimal
from typing import Any

import pytest
from fhir_views.engine import ViewError, compile_view

Json = dict[str, Any]
ANN: Json = {
    "resourceType": "Patient", "id": "ann", "active": True, "gender": "female", "birthDate": "1972-02",
    "name": [
        {"use": "official", "family": "F", "given": ["A", "B"], "period": {"start": "2001", "end": "2003-02"}},
        {"family": "G", "given": ["C"]},
    ],
    "contact": [{"name": {"family": "K"}, "telecom": [{"system": "phone"}, {"system": "email"}]}, {"gender": "other"}],
    "link": [{"other": {"reference": "Patient/ann"}, "type": "seealso"}],
    "extension": [{"url": "http://x/e", "valueCode": "c"}, {"url": "http://x/n", "extension": [
        {"url": "a", "valueCoding": {"code": "deep"}}]}],
    "contained": [{"resourceType": "Organization", "id": "org", "name": "Inner"}],
    "multipleBirthInteger": 2,
}  # fmt: skip
FORM: Json = {"resourceType": "QuestionnaireResponse", "id": "form", "item": [
    {"linkId": "1", "item": [
        {"linkId": "1.1", "answer": [{"valueString": "yes", "item": [{"linkId": "1.1.1"}]}]}, {"linkId": "1.2"},
    ]},
    {"linkId": "2"},
]}  # fmt: skip


def col(*pairs: tuple[str, str], **more: Any) -> Json:
    return {"column": [{"name": name, "path": path} for name, path in pairs], **more}


def rows(resource: Json, *selects: Json, **more: Any) -> list[tuple[Any, ...]]:
    definition = {"resource": resource["resourceType"], "status": "active", "select": list(selects), **more}
    return compile_view(definition).rows(resource)


def value(resource: Json, path: str, *constants: Json) -> Any:
    ((found,),) = rows(resource, col(("v", path)), constant=list(constants))
    return found


def observed(**element: Any) -> Json:
    return {"resourceType": "Observation", "id": "o", **element}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("name.given.first()", "A"), ("name.first().given.first()", "A"), ("name[1].given[0]", "C"),
        ("name[2].family", None), ("name.given.join()", "ABC"), ("name.given.join(', ')", "A, B, C"),
        ("name.where(use = 'old').given.join(',')", ""), ("name.empty()", False), ("identifier.empty()", True),
        ("name.exists(use = 'official')", True), ("(gender = 'male').not()", True), ("identifier.value = 'x'", None),
        ("active and {}", None), ("active or {}", True), ("gender != 'male'", True), ("1 + 2 * 3 - 4", 3),
        ("7 / 2", Decimal("3.5")), ("multipleBirth.ofType(integer) + 1", 3), ("multipleBirth >= 2", True),
        ("extension('http://x/e').value.ofType(code).first()", "c"), ("multipleBirthInteger", None),
        ("extension('http://x/n').extension('a').value.ofType(Coding).code", "deep"),
        ("birthDate.lowBoundary()", "1972-02-01"), ("birthDate.highBoundary()", "1972-02-29"),
        ("name.period.lowBoundary()", "2001-01-01T00:00:00.000+14:00"),
        ("name.period.highBoundary()", "2003-02-28T23:59:59.999-12:00"),
        ("getResourceKey() = link.other.getReferenceKey()", True), ("link.other.getReferenceKey(Patient)", "ann"),
        ("getResourceKey() = link.other.getReferenceKey(Group)", None), ("%resource.id", "ann"), ("$this.id", "ann"),
        ("contained.ofType(Organization).name", "Inner"), ("iif(active, 'y', 'n')", "y"),
    ],
)  # fmt: skip
def test_function_gives_its_value(path: str, expected: Any) -> None:
    assert value(ANN, path) == expected


@pytest.mark.parametrize(
    ("element", "low", "high"),
    [
        ({"valueQuantity": {"value": Decimal("1.0")}}, Decimal("0.95"), Decimal("1.05")),
        ({"valueQuantity": {"value": Decimal("-1.20")}}, Decimal("-1.205"), Decimal("-1.195")),
        ({"valueDateTime": "2010-10-10"}, "2010-10-10T00:00:00.000+14:00", "2010-10-10T23:59:59.999-12:00"),
        ({"valueDateTime": "2012-02"}, "2012-02-01T00:00:00.000+14:00", "2012-02-29T23:59:59.999-12:00"),
        ({"valueDateTime": "2010-10-10T10:11:12Z"}, "2010-10-10T10:11:12.000Z", "2010-10-10T10:11:12.999Z"),
        ({"valueTime": "12:34:00"}, "12:34:00.000", "12:34:00.999"), ({}, None, None),
    ],
)  # fmt: skip
def test_boundaries_are_those_of_the_precision(element: Json, low: Any, high: Any) -> None:
    path = "value.value" if "valueQuantity" in element else "value"
    assert value(observed(**element), f"{path}.lowBoundary()") == low
    assert value(observed(**element), f"{path}.highBoundary()") == high


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        ("Base64Binary", "aGVsbG8K"), ("Boolean", False), ("Canonical", "http://c|1"), ("Code", "x"),
        ("Date", "2020-01"), ("DateTime", "2016-11-12"), ("DateTime", "2016-11-12T10:00:00+01:00"),
        ("Decimal", Decimal("1.20")), ("Id", "one"), ("Instant", "2015-02-07T13:28:17.239+02:00"), ("Integer", -3),
        ("Oid", "urn:oid:1.0"), ("PositiveInt", 1), ("String", "s"), ("Time", "18:12:00"), ("UnsignedInt", 0),
        ("Uri", "urn:a"), ("Url", "http://example.org"), ("Uuid", "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"),
    ],
)  # fmt: skip
def test_constant_of_every_type_is_equal_to_an_element_of_it(suffix: str, content: Any) -> None:
    task = {"resourceType": "Task", "id": "t", "output": [{f"value{suffix}": content}]}
    constant = {"name": "c", f"value{suffix}": content}
    type_ = suffix[0].lower() + suffix[1:]
    assert value(task, f"output.first().value.ofType({type_}) = %c", constant) is True
    assert value({**task, "output": []}, f"output.first().value.ofType({type_}) = %c", constant) is None
    assert value(task, "%c", constant) == content


# --- rows

SELECTIONS: list[tuple[Json, Json | list[Json], list[tuple[Any, ...]]]] = [
    # unions, alone and within each other
    (ANN, col(("id", "id"), unionAll=[
        col(("n", "family"), forEach="name"), col(("n", "name.family"), forEach="contact")]),
     [("ann", "F"), ("ann", "G"), ("ann", "K"), ("ann", None)]),
    (ANN, {"unionAll": [col(("n", "'x'")), {"select": [{"unionAll": [col(("n", "'y'")), col(("n", "'y'"))]}]}]},
     [("x",), ("y",), ("y",)]),
    (ANN, [{"unionAll": [col(("a", "'1'")), col(("a", "'2'"))]}, {"unionAll": [col(("b", "'3'")), col(("b", "'4'"))]}],
     [("1", "3"), ("1", "4"), ("2", "3"), ("2", "4")]),
    # forEach and forEachOrNull within each other and beside
    (ANN, col(("k", "name.family"), forEach="contact", select=[col(("s", "system"), forEachOrNull="telecom")]),
     [("K", "phone"), ("K", "email"), (None, None)]),
    (ANN, col(("k", "name.family"), forEachOrNull="contact", select=[col(("s", "system"), forEach="telecom")]),
     [("K", "phone"), ("K", "email")]),
    (ANN, col(("v", "value"), forEachOrNull="identifier", select=[col(("s", "system"), forEach="assigner")]),
     [(None, None)]),
    (ANN, [col(("a", "family"), forEach="name"), col(("b", "gender"), forEach="contact")],
     [("F", None), ("F", "other"), ("G", None), ("G", "other")]),
    (ANN, [col(("id", "id")), {}, {"forEach": "name"}], [("ann",), ("ann",)]),
    (ANN, col(("n", "name"), ("key", "getResourceKey()"), ("in", "%rootResource.id"), forEach="contained"),
     [("Inner", "org", "ann")]),
    (ANN, col(("u", "url"), ("v", "value.ofType(code)"), forEach="extension"),
     [("http://x/e", "c"), ("http://x/n", None)]),
    (ANN, col(("v", "value.ofType(Coding).code"), forEach="extension('http://x/n').extension('a')"), [("deep",)]),
    (ANN, col(("k", "getReferenceKey(Patient)"), forEach="link.other"), [("ann",)]),
    (observed(valueQuantity={"value": 3}), col(("n", "value"), forEach="value.ofType(Quantity)"), [(3,)]),
    (ANN, {"forEachOrNull": "name.where(use = 'old')", "column": [{"name": "g", "path": "given", "collection": True}]},
     [([],)]),
    # repeat
    (FORM, col(("l", "linkId"), ("i", "%rowIndex"), repeat=["item"]), [("1", 0), ("1.1", 1), ("1.2", 2), ("2", 3)]),
    (FORM, col(("l", "linkId"), repeat=["item", "answer.item"]), [("1",), ("1.1",), ("1.1.1",), ("1.2",), ("2",)]),
    (FORM, col(("l", "linkId"), repeat=["item"], select=[col(("a", "value.ofType(string)"), forEachOrNull="answer")]),
     [("1", None), ("1.1", "yes"), ("1.2", None), ("2", None)]),
    (FORM, {"repeat": ["item"], "unionAll": [col(("l", "linkId")), col(("l", "value"), forEach="answer")]},
     [("1",), ("1.1",), ("yes",), ("1.2",), ("2",)]),
    (FORM, {"unionAll": [col(("l", "linkId"), repeat=["item"]), col(("l", "linkId"), repeat=["item.answer.item"])]},
     [("1",), ("1.1",), ("1.2",), ("2",)]),
    (FORM, col(("l", "linkId"), repeat=["item"], select=[col(("m", "linkId"), repeat=["answer.item"])]),
     [("1.1", "1.1.1")]),
    # %rowIndex
    (ANN, col(("i", "%rowIndex + 1"), ("g", "given[%rowIndex]"), forEach="name"), [(1, "A"), (2, None)]),
    (ANN, col(("a", "%rowIndex"), forEach="contact", select=[
        col(("b", "%rowIndex"), forEachOrNull="telecom"), col(("c", "%rowIndex"))]), [(0, 0, 0), (0, 1, 0), (1, 0, 1)]),
    (ANN, {"forEach": "name", "unionAll": [col(("i", "%rowIndex")), col(("i", "%rowIndex"), forEach="given")]},
     [(0,), (0,), (1,), (1,), (0,)]),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "selects", "expected"), SELECTIONS)
def test_selection_gives_its_rows(resource: Json, selects: Json | list[Json], expected: list[tuple[Any, ...]]) -> None:
    found = rows(resource, *(selects if isinstance(selects, list) else [selects]))
    assert found == expected


@pytest.mark.parametrize(
    ("path", "kept"),
    [("active", 1), ("name.exists()", 1), ("{}", 0), ("false", 0), ("name.where(use = 'old').exists()", 0),
     ("identifier.value", 0), ("multipleBirth.ofType(integer) > 1", 1), ("%rowIndex = 0", 1)],
)  # fmt: skip
def test_condition_keeps_a_resource_where_it_is_true(path: str, kept: int) -> None:
    assert len(rows(ANN, col(("id", "id")), where=[{"path": "true"}, {"path": path}])) == kept


@pytest.mark.parametrize("path", ["name.family", "'x'", "1", "name.first()", "true | false", "@@", "", "name.foo()"])
def test_condition_that_is_no_boolean_is_refused(path: str) -> None:
    with pytest.raises(ViewError, match=r"ViewDefinition.where\[0\].path"):
        rows(ANN, col(("id", "id")), where=[{"path": path}])


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"select": [{"columns": []}]}, "select[0].columns"), ({"wheres": []}, "wheres"),
        ({"select": [col(("a", "id"), unionAll=[{"alias": "x", **col(("b", "id"))}])]}, "select[0].unionAll[0].alias"),
        ({"select": [{"column": [{"name": "a", "path": "id", "pth": "x"}]}]}, "select[0].column[0].pth"),
        ({"where": [{"path": "active", "when": 1}]}, "where[0].when"),
        ({"select": [{"column": [{"name": "a", "path": "id", "tag": {}}]}]}, "select[0].column[0].tag"),
        ({"select": [{"column": [{"name": "a", "path": "id", "tag": [{"name": "t"}]}]}]},
         "select[0].column[0].tag[0].value"),
        ({"constant": [{"name": "c", "valuePositiveInt": 0}]}, "constant[0].valuePositiveInt"),
        ({"constant": [{"name": "c", "valueUnsignedInt": -1}]}, "constant[0].valueUnsignedInt"),
        ({"constant": [{"name": "c", "valueInteger": 2**31}]}, "constant[0].valueInteger"),
        ({"constant": [{"name": "rowIndex", "valueInteger": 1}]}, "constant[0].name"),
        ({"constant": [{"name": "c", "valueCode": "x", "type": "code"}]}, "constant[0].type"),
        ({"select": [{"forEach": 1}]}, "select[0].forEach"), ({"select": [{"forEach": "@@"}]}, "select[0].forEach"),
        ({"select": [col(("a", "id"), unionAll=[col(("b", "id")), {"forEach": "name"}])]}, "select[0].unionAll[1]"),
    ],
)  # fmt: skip
def test_what_is_no_view_is_refused_at_its_place(part: Json, place: str) -> None:
    with pytest.raises(ViewError) as caught:
        compile_view({"resource": "Patient", "select": [col(("id", "id"))], **part})
    assert f"ViewDefinition.{place}" in [fault.place for fault in caught.value.faults]


def test_what_every_element_may_have_is_no_fault() -> None:
    tagged = {
        "id": "c",
        "name": "a",
        "path": "id",
        "_path": {"id": "p"},
        "tag": [{"name": "ansi/type", "value": "CHAR"}],
    }
    extension = [{"url": "http://x", "valueString": "y"}]
    definition = {
        "resourceType": "ViewDefinition", "id": "v", "status": "active", "resource": "Patient", "extension": extension,
        "constant": [{"id": "k", "name": "c", "valueString": "x"}], "where": [{"path": "active", "description": "d"}],
        "select": [{"id": "s", "extension": extension, "column": [tagged]}],
    }  # fmt: skip
    assert compile_view(definition).rows(ANN) == [("ann",)]


@pytest.mark.parametrize(
    ("path", "type_", "said"),
    [
        ("birthDate", "integer", "gives date, not integer"), ("name.count()", "boolean", "gives Integer, not boolean"),
        ("name", "", "gives HumanName, which is no primitive"), ("name", "decimal", "gives HumanName, not decimal"),
        ("birthDate", "dateTime", ""), ("birthDate", "string", ""), ("name", "HumanName", ""), ("gender", "id", ""),
        ("birthDate", "http://hl7.org/fhir/StructureDefinition/date", ""), ("multipleBirth", "integer", ""),
        ("name.family", "", ""), ("nmae", "integer", "has no element"),
    ],
)  # fmt: skip
def test_declared_type_that_a_path_does_not_give_is_a_warning(path: str, type_: str, said: str) -> None:
    column = {"name": "a", "path": path} | ({"type": type_} if type_ else {})
    found = compile_view({"resource": "Patient", "select": [{"column": [column]}]}).warnings
    assert [said in str(each) for each in found] == ([True] if said else [])
