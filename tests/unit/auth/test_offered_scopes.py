"""Scopes that plugins add: asked for, granted in plain words, and needed by their routes."""

from collections.abc import Iterator

import pytest

from fhir_server.api.plugin_routes import need_scope
from fhir_server.auth.discovery import smart_configuration
from fhir_server.auth.scopes import narrowed, offer, parse_scopes
from fhir_server.auth.words import of_other
from fhir_server.context import Caller
from fhir_server.errors import Forbidden

NAME = "dicom/store"


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    offer({NAME: "store images"})
    yield
    offer({})


def test_a_scope_of_a_plugin_means_something_while_it_is_offered() -> None:
    assert NAME in parse_scopes(f"openid {NAME} dicom/unknown").others
    assert "dicom/unknown" not in parse_scopes("dicom/unknown").others
    offer({})
    assert NAME not in parse_scopes(NAME).others


def test_it_is_told_in_discovery_and_on_the_page_of_consent() -> None:
    told = smart_configuration("http://x/fhir", "http://x/auth", registration=False)
    assert NAME in told["scopes_supported"]
    assert of_other(NAME) == "store images"


def test_a_client_gets_it_that_may_ask_for_it() -> None:
    assert NAME in narrowed(parse_scopes(NAME), parse_scopes(f"user/*.rs {NAME}")).others
    assert NAME not in narrowed(parse_scopes(NAME), parse_scopes("user/*.cruds")).others


def test_a_route_is_answered_to_who_has_its_scope() -> None:
    need_scope(Caller(grant="g", scopes=f"user/*.rs {NAME}"), NAME)
    need_scope(Caller(grant="g", scopes="user/*.rs"), "")
    need_scope(Caller(), NAME)
    for scopes in ("", "user/*.cruds", "openid"):
        with pytest.raises(Forbidden, match="dicom/store"):
            need_scope(Caller(grant="g", scopes=scopes), NAME)
    with pytest.raises(Forbidden):
        need_scope(Caller(grant=""), NAME)
