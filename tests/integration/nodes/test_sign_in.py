"""A sign-in whose requests go to the nodes in turn; what one node took, no other takes again."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import cycle
from typing import Any, cast

import httpx
import pytest

from tests.conformance.smart.conftest import Ehr
from tests.conformance.smart.walking import PASSWORD
from tests.integration.nodes.nodes import At, Nodes

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("nodes")]
SCOPE = "openid fhirUser offline_access user/*.rs"


class InTurns(httpx.AsyncBaseTransport):
    """Each request goes to the next node."""

    def __init__(self, *ports: int) -> None:
        self._all = [At(port) for port in ports]
        self._next = cycle(self._all)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await next(self._next).handle_async_request(request)

    async def aclose(self) -> None:
        for each in self._all:
            await each.aclose()


@pytest.fixture
async def ehr(nodes: Nodes) -> AsyncIterator[Ehr]:
    """A browser whose requests go to the nodes in turn."""
    async with nodes.node(0, transport=InTurns(nodes.port(0), nodes.port(1))) as http:
        yield Ehr(http, *cast(Any, [None] * 4))


async def test_a_sign_in_goes_over_both_nodes_from_the_first_page_to_the_refreshed_token(ehr: Ehr) -> None:
    granted = await ehr.granted(SCOPE)
    assert "/auth/sign-in" in ehr.steps
    for _ in range(2):
        granted = (await ehr.refreshed(granted["refresh_token"])).json()
        for _ in range(2):
            assert (await ehr.fhir("Patient?_summary=count", granted["access_token"])).status_code == 200


async def test_who_signed_in_at_one_node_is_signed_in_at_the_other(ehr: Ehr) -> None:
    await ehr.granted(SCOPE)
    again = replace(ehr, steps=[])
    told = await again.walked(await again.asked(SCOPE))
    assert "code" in told and "/auth/sign-in" not in again.steps


async def test_a_code_is_good_once_at_whichever_node(ehr: Ehr) -> None:
    told = await ehr.walked(await ehr.asked(SCOPE))
    first, second = await ehr.redeemed(told["code"]), await ehr.redeemed(told["code"])
    assert (first.status_code, second.status_code) == (200, 400)
    assert second.json()["error"] == "invalid_grant"


async def test_an_assertion_that_one_node_took_is_refused_by_the_other(ehr: Ehr) -> None:
    first, second = [await ehr.served("system/*.rs", jti="once") for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 401), second.text
    assert "jti was used before" in second.text


async def test_both_nodes_publish_the_same_keys(ehr: Ehr) -> None:
    first, second = (await ehr.http.get("/auth/jwks")).json(), (await ehr.http.get("/auth/jwks")).json()
    assert first == second and first["keys"]


async def test_failed_sign_ins_are_counted_over_both_nodes(nodes: Nodes, ehr: Ehr) -> None:
    assert await _guessed(ehr, PASSWORD)
    assert not any([await _guessed(ehr, "wrong") for _ in range(5)])
    assert not await _guessed(ehr, PASSWORD), "the user is locked"


async def _guessed(ehr: Ehr, password: str) -> bool:
    """Try to sign in; tell whether that went well."""
    ehr.http.cookies.clear()
    page = await ehr.asked(SCOPE)
    while page.has_redirect_location:
        page = await ehr.http.get(page.headers["location"])
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    answer = await ehr.http.post(page.url.path, data=fields | {"name": "guessed", "password": password})
    return answer.has_redirect_location


async def test_calls_of_the_token_endpoint_are_counted_over_both_nodes(ehr: Ehr) -> None:
    answers = [await ehr.token({"grant_type": "authorization_code", "code": "none"}) for _ in range(12)]
    assert [each.status_code == 429 for each in answers] == [False] * 9 + [True] * 3
    assert int(answers[-1].headers["retry-after"]) > 0
