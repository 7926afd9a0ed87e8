"""Parquet as the format of an export, read by DuckDB."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from fhir_bulk.columns import Columns

from fhir_server.definitions import load
from tests.builders import observation, patient
from tests.plugins.fhir_bulk.conftest import Bulk


async def saved(bulk: Bulk, folder: Path, query: str) -> dict[str, str]:
    """Export as Parquet and save the files; return a pattern of the files by type."""
    manifest = await bulk.manifest(f"$export?_outputFormat=application/vnd.apache.parquet&{query}")
    for item in manifest["output"]:
        answer = await bulk.http.get(item["url"])
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        (folder / item["url"].rpartition("/")[2]).write_bytes(answer.content)
    return {item["type"]: str(folder / f"*.{item['type']}.parquet") for item in manifest["output"]}


async def test_duckdb_reads_what_was_exported(bulk: Bulk, tmp_path: Path) -> None:
    await bulk.put(
        *(patient(f"p{n}", name=[{"family": f"F{n}", "given": ["A", "B"]}], birthDate="1980-01") for n in range(12)),
        *(observation(f"o{n}", subject=f"Patient/p{n % 3}", valueQuantity={"value": n + 0.5, "unit": "kg"})
          for n in range(9)),
    )  # fmt: skip
    files = await saved(bulk, tmp_path, "_type=Patient,Observation")
    rows = duckdb.sql(
        f"SELECT p.id, any_value(p.name[1].family), count(*), sum(o.valueQuantity.value) "
        f"FROM '{files['Patient']}' p JOIN '{files['Observation']}' o ON o.subject.reference = 'Patient/' || p.id "
        "GROUP BY p.id ORDER BY p.id"
    ).fetchall()
    assert rows == [("p0", "F0", 3, 10.5), ("p1", "F1", 3, 13.5), ("p2", "F2", 3, 16.5)]
    ((total,),) = duckdb.sql(f"SELECT count(*) FROM '{files['Patient']}' WHERE birthDate = '1980-01'").fetchall()
    assert total == 12


async def test_what_has_no_column_is_kept_as_json(bulk: Bulk, tmp_path: Path) -> None:
    unknown = {"extension": [{"url": "http://example.org/unsure", "valueBoolean": True}]}
    await bulk.put(patient("plain"), patient("odd", birthDate="1980-01-01", _birthDate=unknown))
    files = await saved(bulk, tmp_path, "_type=Patient")
    rows = dict(duckdb.sql(f"SELECT id, _json FROM '{files['Patient']}'").fetchall())
    assert rows["plain"] is None
    assert json.loads(rows["odd"])["_birthDate"] == unknown


@pytest.mark.parametrize("type_", ["Patient", "Questionnaire", "StructureDefinition", "Bundle", "Parameters", "Task"])
def test_every_type_has_columns(type_: str) -> None:
    columns = Columns(type_, load())
    assert {"id", "meta", "_json"} <= set(columns.schema.names)
    assert len(str(columns.schema)) < 3_000_000


def test_all_types_of_r4_have_columns_and_a_cut_member_is_whole() -> None:
    facts = load()
    for type_ in facts.resource_types:
        Columns(type_, facts)
    resource: dict[str, Any] = {
        "resourceType": "Patient", "id": "x",
        "contact": [{"name": {"family": "F", "_family": {"id": "1"}}, "gender": "male"}],
    }  # fmt: skip
    row = Columns("Patient", facts).row(resource, json.dumps(resource).encode())
    assert row["contact"] == [{"name": {"family": "F"}, "gender": "male"}]
    assert json.loads(row["_json"]) == resource


@pytest.mark.parametrize(
    "odd",
    [
        {"text": "no object"},
        {"name": {"family": "no list"}},
        {"active": "yes"},
        {"multipleBirthInteger": 2**40},
        {"multipleBirthInteger": True},
        {"name": ["no object", None]},
        {"gender": 7},
        {"unknown": [1]},
        {"contact": [{"name": {"family": ["x"]}}]},
    ],
)
def test_what_does_not_fit_its_column_is_kept_as_json(odd: dict[str, Any]) -> None:
    resource: dict[str, Any] = {"resourceType": "Patient", "id": "x", **odd}
    columns = Columns("Patient", load())
    row = columns.row(resource, json.dumps(resource).encode())
    assert json.loads(row["_json"]) == resource
    assert pa.Table.from_pylist([row], schema=columns.schema).num_rows == 1
