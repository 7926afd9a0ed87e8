"""Work beside requests: one node leads, both take orders, and when the leader is killed the other goes on."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.integration.nodes.nodes import Nodes, within
from tests.plugins.fhir_subscriptions.receiver import Receiver

pytestmark = pytest.mark.timeout(300)
SOON = 30.0
"""Seconds within which a leader has done a job on a busy machine; a ring that is lost takes ten minutes."""
LEASE = 2.0


@pytest.fixture
async def each(nodes: Nodes) -> AsyncIterator[list[httpx.AsyncClient]]:
    header = {"authorization": f"Bearer {nodes.tokens['boss']}"}
    async with nodes.node(0, header) as a, nodes.node(1, header) as b:
        yield [a, b]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver().start()
    yield receiver
    receiver.stop()


async def _submitted(http: httpx.AsyncClient) -> str:
    answer = await http.post("/fhir/$reindex", headers={"prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return str(httpx.URL(answer.headers["content-location"]).path)


async def test_a_job_of_either_node_is_run_and_told_of_by_the_other(each: list[httpx.AsyncClient]) -> None:
    a, b = each
    jobs = [(await _submitted(a), b), (await _submitted(b), a)]
    for path, other in jobs:

        async def done(path: str = path, other: httpx.AsyncClient = other) -> bool:
            return (await other.get(path)).status_code == 200

        await within(SOON, done)


async def test_a_job_of_one_node_is_forgotten_by_the_other(each: list[httpx.AsyncClient]) -> None:
    a, b = each
    path = await _submitted(a)
    assert (await b.delete(path)).status_code == 202
    assert (await a.get(path)).status_code == 404
