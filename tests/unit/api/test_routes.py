"""Paths and methods to interactions. Spec: https://hl7.org/fhir/R4/http.html"""

import pytest

from fhir_server.api.routes import Router, check_ids
from fhir_server.definitions import load
from fhir_server.errors import BadValue, MethodNotAllowed, NotFound, UnknownPath
from fhir_server.model.keys import ResourceKey

ROUTER = Router(load())


@pytest.mark.parametrize(
    ("method", "path", "interaction"),
    [
        ("GET", "", "search-system"),
        ("POST", "", "batch"),
        ("GET", "metadata", "capabilities"),
        ("HEAD", "metadata", "capabilities"),
        ("POST", "_search", "search-system"),
        ("GET", "_history", "history-system"),
        ("GET", "$meta", "operation"),
        ("POST", "$meta", "operation"),
        ("GET", "Patient", "search-type"),
        ("POST", "Patient", "create"),
        ("PUT", "Patient", "update"),
        ("PATCH", "Patient", "patch"),
        ("DELETE", "Patient", "delete"),
        ("POST", "Patient/_search", "search-type"),
        ("GET", "Patient/_history", "history-type"),
        ("GET", "Patient/$match", "operation"),
        ("GET", "Patient/1", "read"),
        ("HEAD", "Patient/1", "read"),
        ("PUT", "Patient/1", "update"),
        ("PATCH", "Patient/1", "patch"),
        ("DELETE", "Patient/1", "delete"),
        ("GET", "Patient/1/_history", "history-instance"),
        ("GET", "Patient/1/_history/2", "vread"),
        ("POST", "Patient/1/$everything", "operation"),
        ("GET", "Patient/1/Observation", "search-compartment"),
        ("GET", "Patient/1/*", "search-compartment"),
        ("POST", "Patient/1/Observation/_search", "search-compartment"),
        ("POST", "Patient/1/_history/2/$meta", "operation"),
    ],
)
def test_each_url_form_of_the_specification_names_its_interaction(method: str, path: str, interaction: str) -> None:
    segments = path.split("/") if path else []
    assert ROUTER.route(segments).interaction(method) == interaction


def test_a_route_holds_the_parts_of_its_path() -> None:
    vread = ROUTER.route(["Patient", "1", "_history", "2"])
    assert (vread.type, vread.id, vread.vid) == ("Patient", "1", "2")
    members = ROUTER.route(["Patient", "1", "Observation"])
    assert (members.type, members.id, members.compartment) == ("Observation", None, ResourceKey("Patient", "1"))
    assert ROUTER.route(["Patient", "1", "*"]).type is None
    assert ROUTER.route(["Patient", "1", "$everything"]).operation == "everything"


def test_every_resource_type_has_a_route_and_parameters_has_none() -> None:
    types = load().resource_types
    assert len(types) == 145
    assert {ROUTER.route([type_]).interaction("POST") for type_ in types} == {"create"}
    with pytest.raises(UnknownPath):
        ROUTER.route(["Parameters"])


@pytest.mark.parametrize(
    "path",
    [
        "Foo",
        "Foo/1",
        "Foo/1/_history",
        "Patient/1/Foo",
        "Patient/1/_history/2/3",
        "Observation/1/Patient",
        "Patient/1/Observation/1",
        "Patient/1/2/3/4/5/6",
        "$",
        "$a b",
        "DomainResource",
        "_histor",
        "Patient/1/Foo/_search",
    ],
)
def test_unknown_paths_are_not_found(path: str) -> None:
    with pytest.raises(UnknownPath) as caught:
        ROUTER.route(path.split("/"))
    assert caught.value.status == 404


def test_a_misspelt_type_gets_a_hint() -> None:
    with pytest.raises(UnknownPath, match="did you mean Patient"):
        ROUTER.route(["patient", "1"])


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "metadata", "GET, HEAD, OPTIONS"),
        ("PUT", "", "GET, POST, HEAD, OPTIONS"),
        ("PUT", "Patient/_search", "GET, POST, HEAD, OPTIONS"),
        ("POST", "Patient/1", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("DELETE", "Patient/1/_history", "GET, HEAD, OPTIONS"),
        ("BREW", "Patient", "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_have_is_refused_with_those_it_has(method: str, path: str, allow: str) -> None:
    route = ROUTER.route(path.split("/") if path else [])
    with pytest.raises(MethodNotAllowed) as caught:
        route.interaction(method)
    assert caught.value.headers == {"Allow": allow}


@pytest.mark.parametrize("id_", ["a b", "x" * 65, "ä", "a_b", "a/b"])
def test_an_id_that_no_resource_can_have_is_not_found_and_cannot_be_written(id_: str) -> None:
    route = ROUTER.route(["Patient", id_])
    for method in ("GET", "DELETE"):
        with pytest.raises(NotFound):
            check_ids(method, route)
    for method in ("PUT", "PATCH"):
        with pytest.raises(BadValue):
            check_ids(method, route)
    with pytest.raises(NotFound):
        check_ids("GET", ROUTER.route(["Patient", id_, "Observation"]))
