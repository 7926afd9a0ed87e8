"""GraphQL over a real socket: each way of the specification to ask for resources and to shape the answer.

Spec: https://hl7.org/fhir/R4/graphql.html
"""

from urllib.parse import quote

from tests.plugins.fhir_graphql.conftest import Graph


def test_read_gives_the_fields_that_are_asked_for_in_their_order(graph: Graph) -> None:
    found = graph.data(
        '{ Patient(id: "ann") { birthDate id resourceType __typename deceasedBoolean name { family } } }'
    )
    assert list(found["Patient"]) == ["birthDate", "id", "resourceType", "__typename", "deceasedBoolean", "name"]
    assert found["Patient"] == {
        "birthDate": "1970-01-02", "id": "ann", "resourceType": "Patient", "__typename": "Patient",
        "deceasedBoolean": None, "name": [{"family": "Adams"}, {"family": "Baker"}],
    }  # fmt: skip


def test_instance_is_the_root_of_its_own_queries(graph: Graph) -> None:
    assert graph.data("{ id name(use: maiden) { family } }", "Patient/ann/") == {
        "id": "ann",
        "name": [{"family": "Baker"}],
    }


def test_get_has_query_variables_and_operation_name_in_the_url(graph: Graph) -> None:
    query = "query a($id: ID!) { Patient(id: $id) { id } } query b { PatientList(_count: 1) { id } }"
    variables = quote('{"id": "bob"}')
    url = f"{graph.base}/$graphql?query={quote(query)}&operationName=a&variables={variables}"
    assert graph.http.get(url).json() == {"data": {"Patient": {"id": "bob"}}}


def test_query_may_be_the_body_itself(graph: Graph) -> None:
    answer = graph.http.post(
        f"{graph.base}/$graphql",
        content='{ Patient(id: "bob") { id } }',
        headers={"content-type": "application/graphql"},
    )
    assert answer.json() == {"data": {"Patient": {"id": "bob"}}}


def test_search_parameters_are_arguments_with_underscores_for_dashes(graph: Graph) -> None:
    found = graph.data('{ ObservationList(status: "final", value_quantity: "gt64", _sort: "_id") { id } }')
    assert [each["id"] for each in found["ObservationList"]] == ["o5", "o7"]
    both = graph.data('{ PatientList(birthdate: ["ge1970", "lt1975"]) { id } }')
    assert both["PatientList"] == [{"id": "ann"}]


def test_unknown_search_parameter_is_refused_and_not_ignored(graph: Graph) -> None:
    found = graph.ask('{ PatientList(favourite: "x") { id } ok: PatientList(_id: "bob") { id } }')
    assert found["data"] == {"PatientList": None, "ok": [{"id": "bob"}]}
    assert found["errors"][0]["path"] == ["PatientList"]
    assert "favourite" in found["errors"][0]["message"]


def test_lists_are_chosen_from_by_properties_fhirpath_count_and_offset(graph: Graph) -> None:
    found = graph.data(
        """{ Patient(id: "ann") {
          a: name(use: official) { family }
          b: name(fhirpath: "given.empty()") { family }
          c: name(_offset: 1, _count: 5) { family }
          d: name(_count: 0) { family } } }"""
    )["Patient"]
    assert found["a"] == [{"family": "Adams"}]
    assert found["b"] == found["c"] == [{"family": "Baker"}]
    assert found["d"] is None


def test_references_are_followed_contained_ones_too(graph: Graph) -> None:
    found = graph.data(
        """{ Patient(id: "ann") { generalPractitioner {
          reference resource(optional: true) { ... on Practitioner { name { family } } } } } }"""
    )["Patient"]["generalPractitioner"]
    assert [each["resource"] for each in found] == [
        {"name": [{"family": "Inner"}]}, {"name": [{"family": "Grey"}]}, None,
    ]  # fmt: skip


def test_reference_that_leads_nowhere_is_an_error_unless_it_is_optional(graph: Graph) -> None:
    query = '{ Patient(id: "ann") { generalPractitioner { resource(type: Practitioner) { id } } } }'
    found = graph.ask(query)
    assert found["errors"][0]["extensions"]["code"] == "not-found"
    assert found["data"]["Patient"]["generalPractitioner"][2]["resource"] is None


def test_reference_of_another_type_is_nothing(graph: Graph) -> None:
    query = '{ Observation(id: "o1") { subject { resource(type: Group) { id } } } }'
    assert graph.data(query)["Observation"]["subject"] == {"resource": None}


def test_fragments_choose_by_type(graph: Graph) -> None:
    query = """{ Observation(id: "o1") { subject { resource { __typename ...p ... on Group { quantity } } } } }
        fragment p on Patient { birthDate }"""
    assert graph.data(query)["Observation"]["subject"]["resource"] == {
        "__typename": "Patient",
        "birthDate": "1970-01-02",
    }


def test_reverse_references_are_searched(graph: Graph) -> None:
    query = '{ Patient(id: "bob") { ObservationList(_reference: subject, status: "final", _sort: "_id") { id } } }'
    assert graph.data(query)["Patient"]["ObservationList"] == [{"id": "o5"}, {"id": "o7"}]


def test_connection_pages_by_cursor_through_all_matches_once(graph: Graph) -> None:
    query = """query page($cursor: String) { ObservationConnection(_count: 3, _sort: "_id", _cursor: $cursor) {
        count pagesize next edges { mode resource { id } } } }"""
    ids: list[str] = []
    cursor = None
    for _ in range(3):
        page = graph.data(query, variables={"cursor": cursor})["ObservationConnection"]
        assert (page["count"], {edge["mode"] for edge in page["edges"]}) == (8, {"match"})
        ids += [edge["resource"]["id"] for edge in page["edges"]]
        cursor = page["next"]
    assert ids == [f"o{number}" for number in range(8)]
    assert cursor is None


def test_forged_cursor_is_refused(graph: Graph) -> None:
    for cursor in ("!!!", "_w", "eHh4PTE"):
        assert graph.errors(f'{{ PatientConnection(_cursor: "{cursor}") {{ next }} }}')


def test_flattened_objects_vanish_and_their_fields_become_lists(graph: Graph) -> None:
    found = graph.data("{ id name @flatten { family given } }", "Patient/ann/")
    assert found == {"id": "ann", "family": ["Adams", "Baker"], "given": ["Ann", "Mary"]}
    once = graph.data("{ name @first @flatten { family given @first } }", "Patient/ann/")
    assert once == {"family": "Adams", "given": "Ann"}


def test_singleton_below_a_flattened_list_is_no_list(graph: Graph) -> None:
    found = graph.data("{ name(use: official) @flatten { family @singleton given } }", "Patient/ann/")
    assert found == {"family": "Adams", "given": ["Ann", "Mary"]}
    assert "several values" in graph.errors("{ name @flatten { family @singleton } }", "Patient/ann/")[0]


def test_slices_have_names_of_their_own(graph: Graph) -> None:
    by_use = graph.data('{ name @slice(path: "use") @flatten { family } }', "Patient/ann/")
    assert by_use == {"family.official": "Adams", "family.maiden": "Baker"}
    by_place = graph.data('{ name @slice(path: "$index") { family } }', "Patient/ann/")
    assert by_place == {"name.0": {"family": "Adams"}, "name.1": {"family": "Baker"}}


def test_flattened_references_give_a_table_of_observations(graph: Graph) -> None:
    query = """{ ObservationList(_id: "o1") { id subject @flatten { resource(type: Patient) @flatten {
        gender name @first @flatten { family } } } } }"""
    assert graph.data(query)["ObservationList"] == [{"id": "o1", "gender": "female", "family": "Adams"}]


def test_skip_include_aliases_and_defaults_of_variables(graph: Graph) -> None:
    query = """query q($more: Boolean = false) { Patient(id: "bob") {
        key: id birthDate @include(if: $more) gender @skip(if: true) } }"""
    assert graph.data(query) == {"Patient": {"key": "bob"}}
    assert graph.data(query, variables={"more": True}) == {"Patient": {"key": "bob", "birthDate": "1980-05-05"}}


def test_decimals_keep_their_digits(graph: Graph) -> None:
    resource = {
        "resourceType": "Observation", "id": "exact", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/bob"},
    }  # fmt: skip
    raw = graph.http.build_request("PUT", f"{graph.base}/Observation/exact", json=resource).content
    text = raw.decode().removesuffix("}") + ',"valueQuantity":{"value":1.20}}'
    answer = graph.http.put(
        f"{graph.base}/Observation/exact", content=text, headers={"content-type": "application/fhir+json"}
    )
    assert answer.is_success
    found = graph.http.post(
        f"{graph.base}/$graphql", json={"query": '{ Observation(id: "exact") { valueQuantity { value } } }'}
    )
    assert '"value":1.20' in found.text
    graph.http.delete(f"{graph.base}/Observation/exact")


def test_introspection_describes_types_arguments_and_directives(graph: Graph) -> None:
    found = graph.data(
        """{ __schema { queryType { name } mutationType { name } directives { name } }
          __type(name: "Patient") { fields { name args { name } type { kind name ofType { name } } } } }"""
    )
    fields = {each["name"]: each for each in found["__type"]["fields"]}
    assert fields["birthDate"]["type"]["name"] == "String"
    assert fields["contact"]["type"]["ofType"]["name"] == "PatientContact"
    assert {"use", "family", "fhirpath"} <= {each["name"] for each in fields["name"]["args"]}
    assert {"_reference", "status"} <= {each["name"] for each in fields["ObservationList"]["args"]}
    assert {"flatten", "first", "singleton", "slice"} <= {each["name"] for each in found["__schema"]["directives"]}


def test_introspection_that_is_kept_is_that_of_the_same_question(graph: Graph) -> None:
    query = 'query a($name: String!) { __type(name: $name) { name } } query b { __type(name: "Period") { name } }'
    asked = [("a", "Patient"), ("a", "Group"), ("a", "Patient"), ("b", "Group"), ("a", "Nope")]
    found = [
        graph.http.post(
            f"{graph.base}/$graphql", json={"query": query, "operationName": name, "variables": {"name": type_}}
        ).json()["data"]["__type"]
        for name, type_ in asked
    ]
    assert found == [{"name": "Patient"}, {"name": "Group"}, {"name": "Patient"}, {"name": "Period"}, None]


def test_the_usual_introspection_of_clients_builds_a_client_schema(graph: Graph) -> None:
    from graphql import build_client_schema, get_introspection_query, parse, validate

    schema = build_client_schema(graph.data(get_introspection_query()))
    reverse = 'ObservationList(_reference: "subject") { id }'
    query = f'{{ PatientList(name: "x") {{ name(use: "official") @first {{ family }} {reverse} }} }}'
    assert validate(schema, parse(query)) == []


def test_metadata_names_the_operation(graph: Graph) -> None:
    statement = graph.http.get(f"{graph.base}/metadata").json()
    assert "graphql" in {each["name"] for each in statement["rest"][0]["operation"]}
