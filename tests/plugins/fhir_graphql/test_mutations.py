"""Mutations: writes by the same rules as any other."""

from tests.plugins.fhir_graphql.conftest import Graph

ABOUT = "{ location resource { id meta { versionId } name { family } } information { issue { severity } } }"


def test_create_update_and_delete(graph: Graph) -> None:
    res = {"name": [{"family": "New"}]}
    made = graph.data(
        f"mutation m($res: PatientInput!) {{ PatientCreate(res: $res) {ABOUT} }}", variables={"res": res}
    )["PatientCreate"]
    id_ = made["resource"]["id"]
    assert made["location"] == f"Patient/{id_}/_history/1"
    assert made["information"]["issue"][0]["severity"] == "information"
    changed = graph.data(
        f'mutation {{ PatientUpdate(id: "{id_}", res: {{ name: [{{ family: "Newer" }}] }}) {ABOUT} }}'
    )["PatientUpdate"]
    assert changed["resource"] == {"id": id_, "meta": {"versionId": "2"}, "name": [{"family": "Newer"}]}
    assert graph.data(f'mutation {{ PatientDelete(id: "{id_}") {{ location }} }}')
    assert graph.http.get(f"{graph.base}/Patient/{id_}").status_code == 410


def test_wrong_resource_is_refused_with_the_findings_of_the_validator(graph: Graph) -> None:
    found = graph.ask('mutation { PatientCreate(res: { gender: "unheard" }) { location } }')
    assert found["data"] == {"PatientCreate": None}
    outcome = found["errors"][0]["extensions"]["resource"]
    assert outcome["issue"][0]["expression"] == ["Patient.gender"]


def test_one_that_fails_does_not_stop_the_next(graph: Graph) -> None:
    wrong, right = 'PatientUpdate(id: "x", res: { id: "y" })', 'PatientDelete(id: "never")'
    found = graph.ask(f"mutation {{ a: {wrong} {{ location }} b: {right} {{ location }} }}")
    assert found["data"] == {"a": None, "b": {"location": "Patient/never"}}


def test_mutations_are_not_done_by_get_nor_at_an_instance(graph: Graph) -> None:
    query = 'mutation { PatientDelete(id: "ann") { location } }'
    assert graph.http.get(f"{graph.base}/$graphql", params={"query": query}).status_code == 400
    assert graph.errors(query, "Patient/bob/")
    assert graph.data('{ Patient(id: "ann") { id } }')


def test_mutation_needs_its_arguments(graph: Graph) -> None:
    assert graph.errors("mutation { PatientCreate { location } }")
    assert graph.errors('mutation { PatientUpdate(id: "x") { location } }')
    assert graph.errors('mutation { PatientCreate(res: "x") { location } }')
    assert graph.errors('mutation { PatientCreate(res: {resourceType: "Group"}) { location } }')
    assert graph.errors("mutation { PatientMerge { location } }")
