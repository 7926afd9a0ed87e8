"""`$viewdefinition-export` over a real socket, as a client does it: kick-off, polling, download, DuckDB.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-ViewDefinitionExport.html
"""

from pathlib import Path
from typing import Any

import pytest

from tests.plugins.fhir_views.conftest import VALUES, Views, reference, value

duckdb = pytest.importorskip("duckdb")
EXPORT = "ViewDefinition/$viewdefinition-export"
ASYNC = {"prefer": "respond-async"}


def wish(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"name": "view", "part": list(parts)}


def outputs(manifest: dict[str, Any]) -> dict[str, str]:
    """Location of each output by its name."""
    found = [each["part"] for each in manifest["parameter"] if each["name"] == "output"]
    return {parts[0]["valueString"]: parts[1]["valueUri"] for parts in found}


def test_two_views_are_exported_to_parquet_and_joined(views: Views, tmp_path: Path) -> None:
    accepted = views.post(
        EXPORT, value("clientTrackingId", "String", "mine"), value("_format", "Code", "parquet"),
        wish(reference("viewReference", "ViewDefinition/patients")),
        wish(value("name", "String", "heart"), {"name": "viewResource", "resource": VALUES}), **ASYNC,
    )  # fmt: skip
    told = {each["name"]: each for each in accepted.json()["parameter"]}
    assert told["status"]["valueCode"] == "accepted"
    assert told["clientTrackingId"]["valueString"] == "mine"
    assert told["location"]["valueUri"] == accepted.headers["content-location"]
    answer = views.finished(accepted)
    assert answer.status_code == 200
    done = {each["name"]: each for each in answer.json()["parameter"]}
    assert (done["status"]["valueCode"], done["exportId"]) == ("completed", told["exportId"])
    assert done["location"] == told["location"]
    found = outputs(answer.json())
    for name, url in found.items():
        file = views.http.get(url)
        assert f'filename="{name}.parquet"' in file.headers["content-disposition"]
        (tmp_path / f"{name}.parquet").write_bytes(file.content)
    joined = f"from '{tmp_path}/heart.parquet' h join '{tmp_path}/patients.parquet' p on p.id = h.patient"
    assert duckdb.sql(f"select count(*), max(h.value) {joined}").fetchall() == [(8, 67.0)]


@pytest.mark.parametrize("format_", ["csv", "ndjson", "json"])
def test_other_formats_and_filters(views: Views, format_: str) -> None:
    accepted = views.post(
        "ViewDefinition/values/$viewdefinition-export", value("_format", "Code", format_),
        reference("patient", "Patient/bob"), **ASYNC,
    )  # fmt: skip
    text = views.http.get(outputs(views.finished(accepted).json())["vals"]).text
    assert {f"o{number}" in text for number in (5, 6, 7)} == {True}
    assert "o1" not in text


def test_what_is_wrong_is_said_at_once_and_makes_no_job(views: Views) -> None:
    right = wish(reference("viewReference", "ViewDefinition/patients"))
    wrong = {**VALUES, "select": [{"column": [{"name": "a", "path": "(("}]}]}
    answer = views.post(EXPORT, right, wish({"name": "viewResource", "resource": wrong}), **ASYNC)
    assert views.issue(answer) == (422, "invalid", "view[1].viewResource.select[0].column[0].path")
    assert views.issue(views.post(EXPORT, right))[2] == "http.prefer"
    assert views.post(EXPORT, **ASYNC).status_code == 400
    assert views.post(EXPORT, right, right, **ASYNC).status_code == 400
    assert views.post(EXPORT, right, value("source", "String", "x"), **ASYNC).status_code == 400
    assert views.post(EXPORT, right, reference("patient", "Patient/no"), **ASYNC).status_code == 404
    assert views.post(EXPORT, wish(reference("viewReference", "ViewDefinition/no")), **ASYNC).status_code == 404


def test_row_that_cannot_be_made_fails_the_job_with_its_place(views: Views) -> None:
    wrong = {**VALUES, "select": [{"column": [{"name": "a", "path": "code | status"}]}]}
    answer = views.finished(views.post(EXPORT, wish({"name": "viewResource", "resource": wrong}), **ASYNC))
    assert answer.status_code == 422
    assert "view[0].viewResource.select[0].column[0].path" in answer.text


def test_export_can_be_cancelled_and_unknown_files_are_not_found(views: Views) -> None:
    accepted = views.post("ViewDefinition/values/$viewdefinition-export", **ASYNC)
    where = accepted.headers["content-location"]
    assert views.http.delete(where).status_code == 202
    assert views.http.get(where).status_code == 404
    assert views.http.get(f"{views.base.removesuffix('/fhir')}/views/files/nothing").status_code == 404
