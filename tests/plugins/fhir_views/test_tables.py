"""Materialized views: made once, fresh after each write, asked in SQL, apart from all that is not theirs."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.plugins.fhir_views.conftest import FAMILY, PATIENTS, VALUES, Views

pytest.importorskip("duckdb")


@pytest.fixture
def tables(views: Views) -> Iterator[Views]:
    """Two tables, as they are after a write of all that they are made of."""
    for resource in FAMILY:
        assert views.put(resource).is_success
    for name in ("patients", "values"):
        answer = views.http.post(f"{views.base}/ViewDefinition/{name}/$materialize")
        assert answer.status_code == 200, answer.text
    yield views
    for name in ("patients", "values"):
        views.http.post(f"{views.base}/ViewDefinition/{name}/$dematerialize")


def ask(views: Views, query: str, **more: str) -> httpx.Response:
    return views.http.get(f"{views.base}/$view-query", params={"query": query, **more})


def rows(views: Views, query: str) -> Any:
    answer = ask(views, query)
    assert answer.status_code == 200, answer.text
    return [tuple(row.values()) for row in answer.json()]


def soon(views: Views, query: str, expected: Any) -> None:
    """What a query gives in the end, once the feed has come by."""
    found = None
    for _ in range(100):
        found = rows(views, query)
        if found == expected:
            return
        time.sleep(0.1)
    raise AssertionError(f"{found}, expected {expected}")


def test_tables_are_joined(tables: Views) -> None:
    query = (
        "select p.id, count(*) n, sum(v.value) s from vals v join patients p on p.id = v.patient group by 1 order by 1"
    )
    assert rows(tables, query) == [("ann", 5, 310), ("bob", 3, 198)]
    assert "ann,5,310.0" in ask(tables, query, _format="csv").text
    assert ask(tables, query, _format="parquet").content.startswith(b"PAR1")


def test_table_follows_creates_updates_and_deletes(tables: Views) -> None:
    count = "select count(*), max(family) from patients where id = 'new'"
    assert rows(tables, count) == [(0, None)]
    new = {"resourceType": "Patient", "id": "new", "name": [{"family": "First"}]}
    tables.put(new)
    soon(tables, count, [(1, "First")])
    tables.put({**new, "name": [{"family": "Second"}]})
    soon(tables, count, [(1, "Second")])
    tables.http.delete(f"{tables.base}/Patient/new")
    soon(tables, count, [(0, None)])
    tables.put(new)
    soon(tables, count, [(1, "First")])
    tables.http.delete(f"{tables.base}/Patient/new")
    soon(tables, count, [(0, None)])


def test_changed_definition_makes_the_table_anew(tables: Views) -> None:
    columns = [{"name": "id", "path": "id"}, {"name": "year", "path": "birthDate.substring(0, 4)"}]
    tables.put({**PATIENTS, "select": [{"column": columns}]})
    for _ in range(100):
        answer = ask(tables, "select year from patients where id = 'ann'")
        if answer.status_code == 200:
            break
        time.sleep(0.1)
    assert answer.json() == [{"year": "1970"}]
    assert tables.put(PATIENTS).is_success
    for _ in range(100):
        if ask(tables, "select family from patients").status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError("the table is not made anew")


def test_erased_patient_is_gone_from_the_table(tables: Views) -> None:
    """Erasing leaves nothing in the feed: the table is found to be another than the record, and made anew."""
    tables.put({"resourceType": "Patient", "id": "gone", "name": [{"family": "Gone"}]})
    soon(tables, "select count(*) from patients where id = 'gone'", [(1,)])
    answer = tables.http.post(f"{tables.base}/Patient/gone/$erase")
    assert answer.status_code == 200, answer.text
    soon(tables, "select count(*) from patients where id = 'gone'", [(0,)])


def test_resource_that_gives_an_error_is_counted_and_the_rest_is_there(views: Views) -> None:
    many = {
        "resourceType": "ViewDefinition", "id": "many", "name": "many", "status": "active", "resource": "Patient",
        "select": [{"column": [{"name": "family", "path": "name.family"}]}],
    }  # fmt: skip
    views.put(many)
    two = {"resourceType": "Patient", "id": "two", "name": [{"family": "A"}, {"family": "B"}]}
    views.put(two)
    answer = views.http.post(f"{views.base}/ViewDefinition/many/$materialize").json()
    told = {each["name"]: next(value for key, value in each.items() if key != "name") for each in answer["parameter"]}
    assert told["faults"] == 1
    assert "column[0].path" in told["fault"]
    assert "on Patient/two" in told["fault"]
    assert rows(views, "select count(*) from many where family = 'A'") == [(0,)]
    views.put({**two, "name": [{"family": "A"}]})
    soon(views, "select count(*) from many where family = 'A'", [(1,)])
    views.http.delete(f"{views.base}/Patient/two")
    views.http.delete(f"{views.base}/ViewDefinition/many")
    for _ in range(100):
        if ask(views, "select 1 from many").status_code == 400:
            return
        time.sleep(0.1)
    raise AssertionError("the table of a deleted view stays")


def test_two_views_cannot_have_tables_of_one_name(tables: Views) -> None:
    tables.put({**VALUES, "id": "other", "name": "PATIENTS"})
    answer = tables.http.post(f"{tables.base}/ViewDefinition/other/$materialize")
    assert tables.issue(answer)[::2] == (409, "ViewDefinition.name")
    tables.http.delete(f"{tables.base}/ViewDefinition/other")


@pytest.mark.parametrize(
    "query",
    [
        "", "selec", "drop table patients", "select 1; select 2", "select * from nothing", "attach '/tmp/x' as y",
        "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'", "copy (select 1) to '/tmp/never'",
        "insert into patients values (1)", "set memory_limit='9GB'", "install httpfs", "load httpfs",
        "select * from read_parquet('https://example.org/x')", "select getenv('HOME')", "call pragma_version()",
        "select * from glob('/etc/*')", "select * from read_text('/etc/passwd')", "export database '/tmp/never'",
        "select * from contents", "select * from text", "select * from sqlite_scan('/etc/passwd', 'x')",
    ],
)  # fmt: skip
def test_query_that_is_no_select_on_the_tables_is_refused(tables: Views, query: str) -> None:
    answer = ask(tables, query)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["diagnostics"]


def test_query_that_takes_too_much_is_cut_off_and_the_server_answers_meanwhile(tables: Views) -> None:
    huge = "select count(distinct a.range * b.range) from range(3000000) a, range(3000000) b"
    answer = ask(tables, huge)
    assert answer.json()["issue"][0]["code"] == "too-costly"
    assert rows(tables, "select count(*) from patients")[0][0] >= 2


def test_unknown_views_are_not_materialized(views: Views) -> None:
    assert views.http.post(f"{views.base}/ViewDefinition/no/$materialize").status_code == 404
    assert views.http.post(f"{views.base}/ViewDefinition/patients/$dematerialize").status_code == 404
    assert views.get("ViewDefinition/patients/$materialize").status_code == 405
