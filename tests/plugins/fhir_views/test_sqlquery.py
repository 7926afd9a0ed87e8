"""`$sqlquery-run` over a real socket: the SQL of a Library on views, with parameters, and nothing beside it.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-SQLQueryRun.html
"""

from base64 import b64encode
from typing import Any

import httpx
import pytest

from tests.plugins.fhir_views.conftest import Views, reference, value

pytest.importorskip("duckdb")
IG = "https://sql-on-fhir.org/ig"
VIEWS = (("http://example.org/views/patients", "p"), ("ViewDefinition/values", "o"))
JOINED = "select p.id, count(*) n from p join o on o.patient = p.id group by p.id order by p.id"
BOTH = [{"id": "ann", "n": 5}, {"id": "bob", "n": 3}]
OF_ONE = "select id from o where patient = :who and value >= :least -- :who\n and id::text <> ':who' order by id"
WHO, LEAST = {"name": "who", "type": "string", "use": "in"}, {"name": "least", "type": "decimal", "use": "in"}


def library(sql: str, *parameters: dict[str, Any], views: Any = VIEWS, **more: Any) -> dict[str, Any]:
    found = {
        "resourceType": "Library", "status": "active", "url": "http://example.org/queries/q", "version": "3",
        "type": {"coding": [{"system": f"{IG}/CodeSystem/LibraryTypesCodes", "code": "sql-query"}]},
        "relatedArtifact": [{"type": "depends-on", "resource": url, "label": label} for url, label in views],
        "content": [{"contentType": "application/sql", "data": b64encode(sql.encode()).decode()}],
    }  # fmt: skip
    return found | ({"parameter": list(parameters)} if parameters else {}) | more


def asked(views: Views, query: dict[str, Any], *parts: dict[str, Any], **values: Any) -> httpx.Response:
    """Run a query with parameters: `value of type String` is `who__String`."""
    given = [value(name.partition("__")[0], name.partition("__")[2], each) for name, each in values.items()]
    bound = [{"name": "parameters", "resource": {"resourceType": "Parameters", "parameter": given}}] if given else []
    return views.post("$sqlquery-run", {"name": "queryResource", "resource": query}, *bound, *parts)


def test_query_joins_views_in_every_format(views: Views) -> None:
    assert asked(views, library(JOINED)).json() == BOTH
    assert asked(views, library(JOINED), value("_limit", "Integer", 1)).json() == BOTH[:1]
    csv = asked(views, library(JOINED), value("_format", "Code", "csv"), value("header", "Boolean", False))
    assert csv.text == "ann,5\r\nbob,3\r\n"
    parameters = asked(views, library(JOINED), value("_format", "Code", "fhir")).json()
    assert parameters["parameter"][0] == {
        "name": "row", "part": [{"name": "id", "valueString": "ann"}, {"name": "n", "valueInteger": 5}],
    }  # fmt: skip
    assert asked(views, library(JOINED), value("_format", "Code", "parquet")).content[:4] == b"PAR1"


def test_stored_query_is_found_by_id_reference_and_canonical(views: Views) -> None:
    assert views.put(library(JOINED, id="joined")).status_code == 201
    assert views.rows("Library/joined/$sqlquery-run") == BOTH
    named = [
        reference("queryReference", "Library/joined"),
        value("queryCanonical", "Canonical", "http://example.org/queries/q|3"),
    ]
    assert [views.post("Library/$sqlquery-run", each).json() for each in named] == [BOTH, BOTH]
    other = views.post("$sqlquery-run", value("queryCanonical", "Canonical", "http://example.org/queries/q|4"))
    assert views.issue(other) == (404, "not-found", "queryCanonical")
    assert views.get("Library/nope/$sqlquery-run").status_code == 404
    assert views.post("$sqlquery-run").status_code == 400


def test_parameters_are_bound_and_never_part_of_the_text(views: Views) -> None:
    query = library(OF_ONE, WHO, LEAST)
    found = asked(views, query, who__String="ann", least__Decimal=62.5).json()
    assert found == [{"id": "o3"}, {"id": "o4"}]
    assert asked(views, query, who__String="' or 1=1 --", least__Decimal=0).json() == []
    day = {"name": "day", "type": "date", "use": "in"}
    born = asked(views, library("select id from p where born >= :day", day), day__Date="1975-01-01")
    assert born.json() == [{"id": "bob"}]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"who__String": "ann"}, "parameters.least"), ({"x__String": "ann"}, "parameters"),
        ({"who__Integer": 1}, "parameters.who"),
    ],
)  # fmt: skip
def test_parameter_that_is_missing_unknown_or_of_another_type_is_named(
    views: Views, values: dict[str, Any], place: str
) -> None:
    assert views.issue(asked(views, library(OF_ONE, WHO, LEAST), **values)) == (400, "invalid", place)


@pytest.mark.parametrize(
    "sql",
    ["selec 1", "select 1; select 2", "select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'",
     "insert into p values (1)", "attach 'x.db'", "copy p to '/tmp/x'", "select * from values_of_others", OF_ONE],
)  # fmt: skip
def test_sql_that_cannot_be_done_or_reaches_further_is_refused(views: Views, sql: str) -> None:
    assert views.issue(asked(views, library(sql))) == (422, "invalid", "Library.content.data")


def test_library_that_is_no_query_is_refused_at_its_place(views: Views) -> None:
    twice = library("select 1", views=[("http://a", "q"), ("http://b", "Q")])
    assert views.issue(asked(views, twice)) == (422, "invalid", "Library.relatedArtifact[1].label")
    missing = library("select * from q", views=[("http://nowhere", "q")])
    assert views.issue(asked(views, missing)) == (404, "not-found", "Library.relatedArtifact[0].resource")
    assert views.issue(asked(views, library("", content=[])))[2] == "Library.content"
    coded = [{"contentType": "application/sql", "data": "a"}]
    assert views.issue(asked(views, library("", content=coded)))[2] == "Library.content.data"


def test_view_and_dialect_may_come_with_the_call(views: Views) -> None:
    inline = {
        "resourceType": "ViewDefinition", "url": "http://inline", "name": "i", "status": "active",
        "resource": "Patient", "select": [{"column": [{"name": "id", "path": "id"}]}],
    }  # fmt: skip
    texts = {"application/sql;dialect=postgresql": "nonsense", "application/sql; dialect=duckdb": "from q order by id"}
    content = [{"contentType": kind, "data": b64encode(text.encode()).decode()} for kind, text in texts.items()]
    query = library("", views=[("http://inline", "q")], content=content)
    found = asked(views, query, {"name": "viewResource", "resource": inline})
    assert found.json() == [{"id": "ann"}, {"id": "bob"}]
