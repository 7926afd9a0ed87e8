"""Rate limits are counted over all workers, and say when to come again."""

import asyncio
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from fhir_server.auth.counts import CountsAway
from fhir_server.auth.counts.counts import Window
from fhir_server.auth.counts.records import RecordCounts
from fhir_server.auth.counts.redis import RedisCounts
from fhir_server.auth.limits import BadLimit, Limits, rules_of
from fhir_server.errors import TooManyRequests
from fhir_server.settings import Settings
from fhir_server.storage.memory import MemoryProvider

START = 1_800_000_000_000


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now


async def _let_through(limits: Limits, kind: str, key: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            await limits.spend(kind, key)
        except TooManyRequests:
            continue
        count += 1
    return count


@pytest.mark.parametrize("most", [7, 5_000])
async def test_several_workers_together_let_no_more_through_than_the_limit(tmp_path: Path, most: int) -> None:
    settings = Settings(data_dir=tmp_path, rate_user=f"{most}/minute")
    clock = Clock()
    workers = [Limits(settings, clock) for _ in range(3)]
    through = sum([await _let_through(worker, "user", "ann", most) for worker in workers])
    assert through == most
    assert await _let_through(workers[0], "user", "bob", 3) == 3, "others have their own"
    clock.now += 60_000
    assert await _let_through(workers[1], "user", "ann", 3) == 3, "the next minute is new"


async def test_the_refusal_says_when_to_come_again(tmp_path: Path) -> None:
    clock = Clock()
    clock.now += 45_000
    limits = Limits(Settings(data_dir=tmp_path, rate_client="1/minute;100/hour"), clock)
    await limits.spend("client", "app")
    with pytest.raises(TooManyRequests) as refused:
        await limits.spend("client", "app")
    assert refused.value.headers["retry-after"] == "15"
    assert refused.value.status == 429
    assert refused.value.issues[0].code == "throttled"


async def test_without_limits_no_file_is_made(tmp_path: Path) -> None:
    limits = Limits(Settings(data_dir=tmp_path, rate_sign_in="", rate_token=""), Clock())
    assert not limits.has("sign_in", "token", "client", "user", "tenant", "address")
    await limits.spend("user", "ann")
    assert list(tmp_path.iterdir()) == []


class _Away:
    """Counts that do not answer."""

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        raise CountsAway("nobody is there")

    async def close(self) -> None:
        pass


async def test_nodes_whose_shared_counts_do_not_answer_count_for_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = [Limits(Settings(data_dir=tmp_path / name, rate_user="5/minute"), Clock(), _Away()) for name in "ab"]
    assert [await _let_through(node, "user", "ann", 9) for node in nodes] == [5, 5]
    assert len(caplog.records) == 2, "each node says so once"


class _Asked:
    """Counts that note how often they are asked."""

    asked, left = 0, 5

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        given = min(wanted, max(0, self.left))
        self.left -= given
        return given

    async def close(self) -> None:
        pass


async def test_a_flood_of_what_is_refused_does_not_reach_the_place_of_the_counts(tmp_path: Path) -> None:
    counts, clock = _Asked(), Clock()
    limits = Limits(Settings(data_dir=tmp_path, rate_user="5/minute"), clock, counts)
    assert sum(await asyncio.gather(*(_let_through(limits, "user", "ann", 10) for _ in range(10)))) == 5
    assert counts.asked == 6, "the last answer said that nothing is left"
    counts.left = 5
    assert await _let_through(limits.under(Settings(rate_user="9/minute")), "user", "ann", 9) == 5, (
        "the limit was raised"
    )
    counts.left, clock.now = 5, START + 60_000
    assert await _let_through(limits, "user", "ann", 9) == 5


async def test_the_store_counts_for_several_nodes_and_keeps_no_name() -> None:
    clock, provider = Clock(), MemoryProvider(Settings(), lambda: START)
    settings, home = Settings(rate_user="50/minute"), partial(provider.open, "default")
    nodes = [Limits(settings, clock, RecordCounts(home)) for _ in range(3)]
    let = await asyncio.gather(*(_let_through(node, "user", "ann", 40) for node in nodes))
    assert sum(let) == 50
    (record,) = await (await home()).records.find("auth.rates")
    assert "ann" not in record.key
    assert record.value == {"number": START // 60_000, "count": 50, "expires": (START // 60_000 + 1) * 60_000}


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
async def test_redis_counts_for_several_nodes_and_is_left_alone_while_it_is_away(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(tmp_path / "r"), "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        while not (tmp_path / "r").exists():
            await asyncio.sleep(0.01)
        settings, clock = Settings(data_dir=tmp_path, rate_user="50/minute"), Clock()
        clock.now = int(time.time()) * 1000
        counts = [RedisCounts(f"unix://{tmp_path}/r", "fhir") for _ in range(3)]
        nodes = [Limits(settings, clock, each) for each in counts]
        let = await asyncio.gather(*(_let_through(node, "user", "ann", 40) for node in nodes))
        assert sum(let) == 50
        process.terminate()
        process.wait()
        assert await _let_through(nodes[0], "user", "bob", 60) == 50, "this node counts for itself"
        for each in counts:
            await each.close()
    finally:
        process.kill()
        process.wait()


def test_a_limit_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadLimit, match="rate_user"):
        rules_of(Settings(rate_user="many"))
