"""Wrong and hostile queries: each is refused with its place, and the server goes on."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.plugins.fhir_graphql.conftest import Graph


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "no query"),
        ("{", "Syntax Error"),
        ("{ Patient }", "takes id"),
        ("query a { x } query b { x }", "several"),
        ("{ Ptient(id: 1) { id } }", "no field Ptient"),
        ('{ Patient(id: "ann") { nme } }', "no field nme"),
        ('{ Patient(id: "ann") { name } }', "say which fields"),
        ('{ Patient(id: "ann") { id { x } } }', "has no fields"),
        ('{ Patient(id: "ann") { ...nope } }', "no fragment nope"),
        ("{ Patient(id: $x) { id } }", "no variable $x"),
        ("{ ...f } fragment f on Query { ...f }", "contains itself"),
        ('{ Patient(id: "ann") { id @wrong } }', "@wrong"),
        ("query q($n: Int!) { PatientList(_count: $n) { id } }", "$n is needed"),
        ('{ Patient(id: "ann") { name(foo: 1) { family } } }', "no scalar foo"),
        ('{ Patient(id: "ann") { name(use: [official, maiden]) { family } } }', "use takes one value"),
        ('{ Patient(id: "ann") { name(fhirpath: "((") { family } } }', "fhirpath"),
        ('{ Patient(id: "ann") { ObservationList { id } } }', "needs _reference"),
        ('{ Patient(id: "ann") { ObservationList(_reference: status) { id } } }', "needs _reference"),
        ('{ Patient(id: "ann") { birthDate(x: 1) } }', "no list"),
        ("subscription { x }", "subscriptions"),
        ('{ Patient(id: "ann") { id: birthDate id } }', "alias"),
        ('{ Patient(id: "ann") { name @slice { family } } }', "@slice"),
        ('{ Observation(id: "o1") { subject { resource(type: Nope) { id } } } }', "no resource type Nope"),
    ],
)
def test_wrong_query_is_refused_before_anything_is_done(graph: Graph, query: str, said: str) -> None:
    found = graph.ask(query)
    assert "data" not in found
    assert any(said in error["message"] for error in found["errors"]), found


def test_errors_say_where_in_the_query(graph: Graph) -> None:
    errors = graph.ask('{\n  Patient(id: "ann") {\n    nme\n  }\n}')["errors"]
    assert errors[0]["locations"] == [{"line": 3, "column": 5}]
    assert graph.ask("{\n  (")["errors"][0]["locations"] == [{"line": 2, "column": 3}]


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b'{"query": 5}', b'{"query": "{", "variables": 5}', b"\xff", b"{"])
def test_bodies_that_are_no_queries_are_refused(graph: Graph, body: bytes) -> None:
    answer = graph.http.post(f"{graph.base}/$graphql", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "errors" in answer.json()


def test_depth_is_limited(graph: Graph) -> None:
    inner = "subject { resource(type: Patient) { ObservationList(_reference: subject) {"
    query = '{ Observation(id: "o1") {' + inner * 40 + " id " + "} } }" * 40 + "} }"
    assert "deeper than 20 levels" in graph.errors(query)[0]


def test_brackets_without_end_are_refused(graph: Graph) -> None:
    assert graph.errors("{ a " * 5_000 + "}" * 5_000)
    assert graph.errors("{ PatientList(x: " + "[" * 5_000)


def test_fragments_that_double_each_time_are_cut_off_at_once(graph: Graph) -> None:
    fragments = "".join(f"fragment f{n} on Patient {{ ...f{n + 1} ...f{n + 1} }} " for n in range(60))
    started = time.monotonic()
    said = graph.errors(f'{{ Patient(id: "ann") {{ ...f0 }} }} {fragments} fragment f60 on Patient {{ id }}')
    assert "more than 2000 fields" in said[0]
    assert time.monotonic() - started < 5


def test_fragments_without_fields_that_double_are_cut_off_too(graph: Graph) -> None:
    fragments = "".join(f"fragment f{n} on Patient {{ ...f{n + 1} ...f{n + 1} }} " for n in range(40))
    started = time.monotonic()
    graph.ask(f'{{ Patient(id: "ann") {{ id ...f0 }} }} {fragments} fragment f40 on Patient {{ id @skip(if: true) }}')
    assert time.monotonic() - started < 5


def test_lists_within_lists_are_cut_off_by_the_number_of_searches(graph: Graph) -> None:
    inner = "subject { resource(type: Patient) { ObservationList(_reference: subject) { id "
    query = "{ ObservationList { " + inner * 4 + "} } }" * 4 + "} }"
    assert "more than 200 searches" in graph.errors(query)[0]
    assert graph.data('{ Patient(id: "bob") { id } }')


def test_many_roots_are_cut_off(graph: Graph) -> None:
    many = " ".join(f"a{n}: PatientList {{ id }}" for n in range(500))
    assert "more than 200 searches" in graph.errors(f"{{ {many} }}")[0]


def test_deep_introspection_is_refused(graph: Graph) -> None:
    query = "{ __schema { types { " + "fields { type { " * 6 + "name" + " } }" * 6 + " } } }"
    assert graph.errors(query)


def test_instance_that_is_not_there_is_told_as_graphql(graph: Graph) -> None:
    answer = graph.http.post(f"{graph.base}/Patient/nobody/$graphql", json={"query": "{ id }"})
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["extensions"]["code"] == "not-found"


def test_expressions_that_take_too_long_are_cut_off_and_others_are_answered_meanwhile(graph: Graph) -> None:
    ten = "(1|2|3|4|5|6|7|8|9|10)"
    slow = f"{ten}.select({ten}.select({ten}.select({ten}.select({ten})))).count() > 0"
    fields = " ".join(f'a{n}: name(fhirpath: "{slow}") {{ family }}' for n in range(40))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(graph.errors, f'{{ Patient(id: "ann") {{ {fields} }} }}')
        time.sleep(0.5)
        started = time.monotonic()
        assert httpx.get(f"{graph.base}/Patient/bob", timeout=30).status_code == 200
        assert time.monotonic() - started < 2
        assert "takes longer than 3 s" in waiting.result()[0]


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Binary", "data": 3},
        {"resourceType": "Binary", "data": None},
        {"resourceType": "Binary", "data": "%"},
        {"resourceType": "Parameters", "parameter": {"name": "query"}},
        {"resourceType": "Parameters", "parameter": [{"name": []}, 1, None]},
        {"resourceType": "Parameters", "parameter": 0},
    ],
)
def test_misshapen_resources_hold_no_query(graph: Graph, body: dict[str, object]) -> None:
    answer = graph.http.post(f"{graph.base}/$graphql", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"]
