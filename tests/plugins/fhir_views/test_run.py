"""`$viewdefinition-run` over a real socket: which view, which resources, which format.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-ViewDefinitionRun.html
"""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.plugins.fhir_views.conftest import FAMILY, PATIENTS, VALUES, Views, reference, value

duckdb = pytest.importorskip("duckdb")
RUN = "ViewDefinition/$viewdefinition-run"


def test_json_has_all_rows_with_null_for_what_is_not_there(views: Views) -> None:
    answer = views.get("ViewDefinition/patients/$run")
    assert answer.headers["content-type"] == "application/json"
    rows = sorted(answer.json(), key=lambda row: row["id"])
    assert rows[1] == {"id": "bob", "born": "1980-05-05", "family": None}


def test_formats_are_chosen_by_parameter_or_accept(views: Views) -> None:
    lines = views.get("ViewDefinition/patients/$run", accept="application/x-ndjson")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert {json.loads(line)["id"] for line in lines.text.splitlines()} == {"ann", "bob"}
    table = views.get("ViewDefinition/patients/$run?_format=csv", accept="application/json")
    assert table.headers["content-type"] == "text/csv"
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(table.text))}
    assert rows["ann"]["family"] == 'Adams, the "first"'
    assert rows["bob"]["family"] == ""
    assert views.get("ViewDefinition/patients/$run?_format=csv&header=false").text.count("\n") == 2
    assert views.issue(views.get("ViewDefinition/patients/$run?_format=xlsx")) == (400, "not-supported", "_format")


def test_parquet_is_read_by_duckdb_with_types(views: Views, tmp_path: Path) -> None:
    for name in ("patients", "values"):
        file = views.get(f"ViewDefinition/{name}/$run?_format=parquet").content
        (tmp_path / f"{name}.parquet").write_bytes(file)
    query = f"""select p.family, count(*), sum(v.value), bool_or(v.final) from '{tmp_path}/values.parquet' v
        join '{tmp_path}/patients.parquet' p on p.id = v.patient group by all order by 2 desc"""
    assert duckdb.sql(query).fetchall() == [('Adams, the "first"', 5, 310.0, True), (None, 3, 198.0, True)]
    types = {row[0]: row[1] for row in duckdb.sql(f"describe from '{tmp_path}/values.parquet'").fetchall()}
    assert types == {"id": "VARCHAR", "patient": "VARCHAR", "value": "DOUBLE", "final": "BOOLEAN", "n": "BIGINT"}


def test_view_is_named_by_reference_by_canonical_or_comes_with_the_call(views: Views) -> None:
    asked = (
        reference("viewReference", "ViewDefinition/patients"),
        reference("viewReference", f"{views.base}/ViewDefinition/patients"),
        reference("viewReference", "http://example.org/views/patients"),
        reference("viewReference", "http://example.org/views/patients|1"),
        {"name": "viewResource", "resource": {key: PATIENTS[key] for key in ("resourceType", "resource", "select")}},
    )
    for each in asked:
        assert len(views.post(RUN, each).json()) == 2, each
    unknown = views.post(RUN, reference("viewReference", "http://example.org/views/patients|2"))
    assert views.issue(unknown) == (404, "not-found", "viewReference")
    assert views.issue(views.get("ViewDefinition/never/$run"))[:2] == (404, "not-found")
    assert views.issue(views.post(RUN))[0] == 400
    twice = views.post("ViewDefinition/patients/$run", asked[0])
    assert views.issue(twice)[0] == 400


def test_resources_that_come_with_the_call_take_the_place_of_those_of_the_server(views: Views) -> None:
    given = {"name": "resource", "resource": {"resourceType": "Patient", "id": "x", "birthDate": "2012"}}
    answer = views.post(RUN, reference("viewReference", "ViewDefinition/patients"), given)
    assert answer.json() == [{"id": "x", "born": "2012", "family": None}]


def test_patients_groups_and_moments_choose_the_resources(views: Views) -> None:
    at = "ViewDefinition/values/$run"
    assert {row["id"] for row in views.rows(f"{at}?patient=Patient/bob")} == {"o5", "o6", "o7"}
    assert len(views.rows(f"{at}?patient=Patient/ann&patient=Patient/bob")) == 8
    assert {row["patient"] for row in views.rows(f"{at}?group=Group/anns")} == {"ann"}
    assert [row["id"] for row in views.rows("ViewDefinition/patients/$run?patient=Patient/ann")] == ["ann"]
    assert views.issue(views.get(f"{at}?patient=Patient/never")) == (404, "not-found", "patient")
    assert views.issue(views.get(f"{at}?group=Group/never")) == (404, "not-found", "group")
    assert views.issue(views.get(f"{at}?patient=Group/anns")) == (400, "invalid", "patient")
    assert views.issue(views.get(f"{at}?source=s3://x")) == (400, "not-supported", "source")
    assert views.rows(f"{at}?_since=2999-01-01T00:00:00Z") == []
    written = views.get("Patient/ann").json()["meta"]["lastUpdated"]
    assert views.rows(f"{at}?_since={written}") == []
    assert len(views.rows(f"{at}?_since=2020-01-01T00:00:00Z")) == 8


def test_rows_are_limited(views: Views) -> None:
    assert len(views.rows("ViewDefinition/values/$run?_limit=3")) == 3
    assert views.rows("ViewDefinition/values/$run?_limit=0") == []
    assert views.get("ViewDefinition/values/$run?_limit=-1").status_code == 400


def test_large_answer_is_streamed(views: Views) -> None:
    wide = {
        "resourceType": "ViewDefinition", "resource": "Observation",
        "select": [{"column": [{"name": f"c{n}", "path": "'" + "x" * 1000 + "'"} for n in range(50)]}],
    }  # fmt: skip
    answer = views.post(RUN, {"name": "viewResource", "resource": wide}, accept="application/x-ndjson")
    assert "content-length" not in answer.headers
    assert [len(json.loads(line)) for line in answer.text.splitlines()] == [50] * 8


# --- what is wrong


def test_wrong_view_is_refused_with_every_place(views: Views) -> None:
    wrong = {
        "resourceType": "ViewDefinition", "resource": "Patient",
        "select": [{"column": [{"name": "a", "path": "invalid.("}, {"name": "a", "path": "%nope"}]}],
    }  # fmt: skip
    answer = views.post(RUN, {"name": "viewResource", "resource": wrong})
    assert answer.status_code == 422
    places = {issue["expression"][0] for issue in answer.json()["issue"]}
    at = "viewResource.select[0].column"
    assert places == {f"{at}[0].path", f"{at}[1].path", f"{at}[1].name"}


def test_row_that_cannot_be_made_names_place_and_resource(views: Views) -> None:
    wrong = {**VALUES, "select": [{"column": [{"name": "a", "path": "code | status"}]}]}
    answer = views.post(RUN, {"name": "viewResource", "resource": wrong})
    assert views.issue(answer) == (422, "invalid", "viewResource.select[0].column[0].path")
    assert "on Observation/o" in answer.text


def test_value_of_another_type_than_declared_is_refused_where_types_count(views: Views) -> None:
    wrong = {**PATIENTS, "select": [{"column": [{"name": "born", "path": "birthDate", "type": "integer"}]}]}
    answer = views.post(RUN, {"name": "viewResource", "resource": wrong}, value("_format", "Code", "parquet"))
    assert views.issue(answer) == (422, "invalid", "viewResource.select[0].column[0].type")


def test_unknown_names_are_refused_only_when_asked_to(views: Views) -> None:
    odd = {"name": "viewResource", "resource": {**PATIENTS, "select": [{"column": [{"name": "a", "path": "nme"}]}]}}
    assert views.post(RUN, odd).json() == [{"a": None}] * 2
    answer = views.post(RUN, odd, prefer="handling=strict")
    assert views.issue(answer) == (422, "invalid", "viewResource.select[0].column[0].path")


@pytest.mark.parametrize("given", [5, "x", {}, {"resourceType": "Patient"}, {"resourceType": "ViewDefinition"}])
def test_what_is_no_view_is_refused(views: Views, given: object) -> None:
    assert views.post(RUN, {"name": "viewResource", "resource": given}).status_code in (400, 422)


def test_view_that_never_ends_is_refused_and_the_server_goes_on(views: Views) -> None:
    endless = {**PATIENTS, "select": [{"repeat": ["$this"], "column": [{"name": "id", "path": "id"}]}]}
    answer = views.post(RUN, {"name": "viewResource", "resource": endless})
    assert views.issue(answer) == (422, "invalid", "viewResource.select[0].repeat")
    huge = [{"forEach": "descendants()", "column": [{"name": f"c{n}", "path": "%rowIndex"}]} for n in range(9)]
    answer = views.post(RUN, {"name": "viewResource", "resource": {**VALUES, "select": huge}})
    assert views.issue(answer)[:2] == (422, "invalid")
    assert len(views.rows("ViewDefinition/patients/$run")) == 2


def test_expression_that_takes_too_long_is_cut_off_with_its_place(views: Views) -> None:
    ten = "(1|2|3|4|5|6|7|8|9|10)"
    slow = f"{ten}.select({ten}.select({ten}.select({ten}.select({ten}.select({ten}))))).count()"
    costly = {**PATIENTS, "select": [{"column": [{"name": "n", "path": slow}]}]}
    answer = views.post(RUN, {"name": "viewResource", "resource": costly})
    assert views.issue(answer)[::2] == (422, "viewResource.select[0].column[0].path")


def test_view_that_takes_too_long_is_cut_off(views: Views) -> None:
    ten = "(1|2|3|4|5|6|7|8|9|10)"
    slow = f"{ten}.select({ten}.select({ten})).count()"  # far from what a single expression may take
    columns = [{"name": f"n{number}", "path": slow} for number in range(500)]
    costly = {**VALUES, "select": [{"column": columns}]}
    answer = views.post(RUN, {"name": "viewResource", "resource": costly})
    assert views.issue(answer)[1] == "too-costly"


def test_rows_are_parameters_where_fhir_is_asked_for(views: Views) -> None:
    answer = views.get("ViewDefinition/values/$run?_format=fhir&patient=Patient/bob")
    assert answer.headers["content-type"].startswith("application/fhir+json")
    parts = {part["name"]: part for part in answer.json()["parameter"][0]["part"]}
    assert parts["value"] == {"name": "value", "valueDecimal": 67}
    assert parts["final"] == {"name": "final", "valueBoolean": True}
    assert views.get("ViewDefinition/values/$run?_format=fhir&_limit=0").json() == {"resourceType": "Parameters"}


def test_view_is_named_by_its_canonical_url(views: Views) -> None:
    for url, status in (("http://example.org/views/patients|1", 200), ("http://example.org/views/patients|2", 404)):
        assert views.get(f"ViewDefinition/$run?viewCanonical={url}").status_code == status


def test_bundle_that_comes_with_the_call_is_what_is_in_it(views: Views) -> None:
    inner = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": FAMILY[0]}, {"fullUrl": "urn:x"}]}
    view = reference("viewReference", "ViewDefinition/patients")
    answer = views.post("ViewDefinition/$run", view, {"name": "resource", "resource": inner})
    assert [row["id"] for row in answer.json()] == ["ann"]
