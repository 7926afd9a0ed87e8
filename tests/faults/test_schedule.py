"""Faults of all kinds in an order of chance, while clients write and read: nothing is lost, halved or doubled."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median

import httpx
import pytest

from tests.faults.load import Load, check, in_order, log
from tests.faults.world import LEASE, World, world
from tests.servers.mongodb import is_built

pytestmark = [
    pytest.mark.skipif(not is_built(), reason="FerretDB was not built (Go is not installed)"),
    pytest.mark.xdist_group("faults"),
]
_WRITES = ("insert", "update", "delete")
_RECOVERED_WITHIN = LEASE + 8
"""Seconds after the end of a fault in which a write comes through again."""

Fault = Callable[[World, random.Random], Awaitable[None]]


async def _cut(here: World, seeded: random.Random) -> None:
    for _ in range(seeded.randint(1, 5)):
        here.proxy.cut(seeded.choice(["rst", "fin"]))
        await asyncio.sleep(seeded.uniform(0, 0.3))


async def _lose(here: World, seeded: random.Random) -> None:
    """Answers of writes are lost now and then."""
    here.proxy.weather.lose = lambda command: command in _WRITES and seeded.random() < 0.05
    await asyncio.sleep(1)


async def _drop(here: World, seeded: random.Random) -> None:
    here.proxy.weather.drop = lambda command: command in _WRITES and seeded.random() < 0.05
    await asyncio.sleep(1)


async def _late(here: World, seeded: random.Random) -> None:
    """Commands of connections that broke are executed later, among those of others."""
    here.proxy.weather.keep = lambda command: command in _WRITES and seeded.random() < 0.03
    for _ in range(4):
        await asyncio.sleep(0.25)
        here.proxy.release()


async def _slow(here: World, seeded: random.Random) -> None:
    """Replies are late and overtake each other."""
    here.proxy.weather.delay, here.proxy.weather.jitter = seeded.uniform(0, 0.02), 0.05
    await asyncio.sleep(1)


async def _narrow(here: World, seeded: random.Random) -> None:
    here.proxy.weather.rate = seeded.randint(20_000, 200_000)
    await asyncio.sleep(1)


async def _refuse(here: World, seeded: random.Random) -> None:
    here.proxy.refuse()
    here.proxy.cut()
    await asyncio.sleep(seeded.uniform(0.5, 3))


async def _silent(here: World, seeded: random.Random) -> None:
    here.proxy.weather.silent = seeded.choice(["up", "down", "both"])
    await asyncio.sleep(seeded.uniform(0.5, 4))


async def _half_open(here: World, seeded: random.Random) -> None:
    here.proxy.half_open()
    await asyncio.sleep(seeded.uniform(0.5, 2))


async def _flap(here: World, seeded: random.Random) -> None:
    for _ in range(4):
        here.proxy.refuse()
        here.proxy.cut()
        await asyncio.sleep(seeded.uniform(0, 0.3))
        here.proxy.accept()
        await asyncio.sleep(seeded.uniform(0, 0.5))


async def _hang(here: World, seeded: random.Random) -> None:
    """The store hangs, and goes on with what it was doing."""
    here.ferret.signal(signal.SIGSTOP)
    await asyncio.sleep(seeded.uniform(0.5, 5))
    here.ferret.signal(signal.SIGCONT)


async def _restart(here: World, seeded: random.Random) -> None:
    here.ferret.kill()
    await asyncio.sleep(seeded.uniform(0, 1))
    here.ferret.start()


FAULTS: dict[str, Fault] = {
    "cut": _cut, "lose": _lose, "drop": _drop, "late": _late, "slow": _slow, "narrow": _narrow, "refuse": _refuse,
    "silent": _silent, "half-open": _half_open, "flap": _flap, "hang": _hang, "restart": _restart,
}  # fmt: skip
SHORT = ("lose", "late", "cut", "hang")


async def _written(here: World) -> float:
    """Return after how many seconds a write comes through."""
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=60) as client:
        while time.monotonic() - began < 40:
            body = {"resourceType": "Basic", "id": "canary", "code": {"text": str(began)}}
            if (await client.put(f"{here.server.base}/Basic/canary", json=body)).is_success:
                break
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _through(here: World, names: list[str], seed: int, within: float) -> Load:
    load, seeded, recovered = Load(here.server.base), random.Random(seed), []
    running = asyncio.create_task(load.run(seed))
    await asyncio.sleep(1)
    for name in names:
        await FAULTS[name](here, seeded)
        here.proxy.heal()
        recovered.append((round(await _written(here), 2), name))
        await asyncio.sleep(0.3)
    load.over = True
    await running
    answered = Counter(f"{told.kind} {told.status}" for told in load.told)
    print(f"seed {seed}: {sorted(answered.items())}; slowest recoveries {sorted(recovered)[-3:]}")
    print(
        f"struck {here.proxy.struck}, counters {load.counted}, slowest {max(took for _, took, _ in load.times):.1f} s"
    )
    assert max(recovered)[0] < within
    return load


async def _whole(here: World, load: Load) -> None:
    await check(load)
    versions = await log(load.base)
    until = time.monotonic() + 30
    while set(here.notes()) != set(versions) and time.monotonic() < until:
        await asyncio.sleep(0.1)
    print(f"{len(versions)} versions, {in_order(here.notes(), versions)} given to the consumer more than once")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server for the short tests."""
    with world(tmp_path_factory.mktemp("faults")) as made:
        yield made


def test_while_the_store_is_away_requests_are_refused_at_once_and_told_when_to_come_again(here: World) -> None:
    body = {"resourceType": "Basic", "id": "x", "code": {"text": "x"}}
    with httpx.Client(timeout=30) as client:
        client.put(f"{here.server.base}/Basic/x", json=body).raise_for_status()
        here.proxy.refuse()
        here.proxy.cut()
        here.until(503, 10)
        took, waits = [], set()
        for number in range(60):
            began = time.monotonic()
            if number % 2:
                answer = client.get(f"{here.server.base}/Basic/x")
            else:
                answer = client.put(f"{here.server.base}/Basic/x", json=body)
            took.append(time.monotonic() - began)
            assert answer.status_code == 503
            assert answer.json()["issue"][0]["code"] == "transient"
            assert "nothing was stored" in answer.text
            waits.add(int(answer.headers["retry-after"]))
        assert median(took) < 0.05
        assert min(waits) >= 1 and len(waits) > 1
        assert client.get(f"{here.root}/health/live").status_code == 200
        breaker = client.get(f"{here.root}/health/ready").json()["checks"]["breaker"]
        assert breaker["state"] == "failing" and breaker["since_seconds"] > 0
        assert 'fhir_server_breaker_state{server="mongodb"} 0' not in client.get(f"{here.root}/metrics").text
        here.proxy.heal()
        print(f"refused in {median(took) * 1000:.1f} ms; ready again after {here.until(200, 10):.1f} s")
        assert client.put(f"{here.server.base}/Basic/x", json=body | {"code": {"text": "y"}}).status_code == 200
    assert sum("WARNING" in line or "ERROR" in line for line in here.server.log.read_text().splitlines()) < 30


async def test_what_clients_are_answered_is_true_through_faults(here: World) -> None:
    load = await _through(here, list(SHORT), 1, _RECOVERED_WITHIN)
    assert sum(told.status in (200, 201) for told in load.told) > 20
    await _whole(here, load)
    assert here.server.log.stat().st_size < 60_000


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", range(4))
async def test_what_clients_are_answered_is_true_through_minutes_of_faults(tmp_path: Path, seed: int) -> None:
    names = list(FAULTS) * 3
    random.Random(seed).shuffle(names)
    with world(tmp_path) as here:
        await _whole(here, await _through(here, names, seed, 5 * _RECOVERED_WITHIN))
