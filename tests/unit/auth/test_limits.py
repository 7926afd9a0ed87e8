"""Rate limits are counted over all workers, and say when to come again."""

from pathlib import Path

import pytest

from fhir_server.auth.limits import BadLimit, Limits, rules_of
from fhir_server.errors import TooManyRequests
from fhir_server.settings import Settings

START = 1_800_000_000_000


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now


def _let_through(limits: Limits, kind: str, key: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limits.spend(kind, key)
        except TooManyRequests:
            continue
        count += 1
    return count


@pytest.mark.parametrize("most", [7, 5_000])
def test_several_workers_together_let_no_more_through_than_the_limit(tmp_path: Path, most: int) -> None:
    settings = Settings(data_dir=tmp_path, rate_user=f"{most}/minute")
    clock = Clock()
    workers = [Limits(settings, clock) for _ in range(3)]
    through = sum(_let_through(worker, "user", "ann", most) for worker in workers)
    assert through == most
    assert _let_through(workers[0], "user", "bob", 3) == 3, "others have their own"
    clock.now += 60_000
    assert _let_through(workers[1], "user", "ann", 3) == 3, "the next minute is new"


def test_the_refusal_says_when_to_come_again(tmp_path: Path) -> None:
    clock = Clock()
    clock.now += 45_000
    limits = Limits(Settings(data_dir=tmp_path, rate_client="1/minute;100/hour"), clock)
    limits.spend("client", "app")
    with pytest.raises(TooManyRequests) as refused:
        limits.spend("client", "app")
    assert refused.value.headers["retry-after"] == "15"
    assert refused.value.status == 429
    assert refused.value.issues[0].code == "throttled"


def test_without_limits_no_file_is_made(tmp_path: Path) -> None:
    limits = Limits(Settings(data_dir=tmp_path, rate_sign_in="", rate_token=""), Clock())
    assert not limits.has("sign_in", "token", "client", "user", "tenant", "address")
    limits.spend("user", "ann")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadLimit, match="rate_user"):
        rules_of(Settings(rate_user="many"))
