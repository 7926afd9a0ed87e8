"""Numbers: cheap to count, added up over processes, read by Prometheus' own parsers."""

import json
import os
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from fhir_server.telemetry import instruments, numbers, sharing
from fhir_server.telemetry.exposition import Families
from fhir_server.telemetry.numbers import COUNTERS, GAUGES, HISTOGRAMS
from fhir_server.telemetry.sharing import Board

ALL = (*COUNTERS, *GAUGES, *HISTOGRAMS)


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_samplers", [])  # servers of other tests of this process have theirs
    sharing.reset()


def counted() -> None:
    numbers.REQUESTS.add("read", "Patient", "200")
    numbers.REQUESTS.add("read", "Patient", "200")
    numbers.COMMIT_SECONDS.observe(0.004)
    numbers.COMMIT_SECONDS.observe(60)
    numbers.WRITERS.set(3)
    numbers.FEED_LAG.put({("fhir_bridges.out",): 1.5})


def registry(board: Board) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(Families(board.total()))
    return found


def test_every_instrument_is_listed_once_and_named_by_the_conventions() -> None:
    made = [each for each in vars(numbers).values() if isinstance(each, instruments.Instrument)]
    assert {each.name for each in made} == {each.name for each in ALL}
    assert len({each.name for each in ALL}) == len(ALL) == len(made)
    for each in ALL:
        assert each.name.startswith("fhir_server_")
        assert each.help.endswith(".")
        assert not each.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert "milliseconds" not in each.name
    for forbidden in ("tenant", "patient", "id", "user", "client"):
        assert all(forbidden not in each.labels for each in ALL)


def test_prometheus_own_parsers_read_what_is_told() -> None:
    counted()
    board = Board()
    text = {each.name: each for each in read_text(generate_latest(registry(board)).decode())}
    written = open_metrics(registry(board)).decode()  # type: ignore[no-untyped-call]
    open_ = {each.name: each for each in read_open_metrics(written)}  # type: ignore[no-untyped-call]
    assert set(open_) == {each.name for each in ALL}
    assert all(each.documentation for each in open_.values())
    (requests,) = open_["fhir_server_requests"].samples
    assert (requests.name, requests.value) == ("fhir_server_requests_total", 2)
    assert requests.labels == {"interaction": "read", "type": "Patient", "status": "200"}
    spread = {
        (each.name, each.labels.get("le")): each.value for each in text["fhir_server_store_commit_seconds"].samples
    }
    assert spread["fhir_server_store_commit_seconds_bucket", "0.005"] == 1
    assert spread["fhir_server_store_commit_seconds_bucket", "+Inf"] == 2
    assert spread["fhir_server_store_commit_seconds_sum", None] == pytest.approx(60.004)


def test_the_numbers_of_all_processes_are_added_up(tmp_path: Path) -> None:
    counted()
    theirs = Board(tmp_path / "n")
    theirs.save()
    (path,) = (tmp_path / "n").glob("*.json")
    other = path.rename(path.with_name(f"{os.getppid()}-a.json"))
    mine = Board(tmp_path / "n")
    found = mine.total()
    assert found.counters["fhir_server_requests"] == {"read\x1fPatient\x1f200": 4}
    assert found.histograms["fhir_server_store_commit_seconds"][""][-1] == pytest.approx(120.008)
    assert found.gauges["fhir_server_store_waiting_writers"] == {"": 6}
    assert found.gauges["fhir_server_feed_lag_seconds"] == {"fhir_bridges.out": 1.5}
    os.utime(other, (time.time() - 30, time.time() - 30))
    silent = mine.total()
    assert silent.counters["fhir_server_requests"] == {"read\x1fPatient\x1f200": 4}
    assert silent.gauges["fhir_server_store_waiting_writers"] == {"": 3}


def test_counts_of_a_dead_process_are_taken_over_once(tmp_path: Path) -> None:
    counted()
    Board(tmp_path).save()
    (path,) = tmp_path.glob("*.json")
    dead = path.rename(path.with_name("999999999-b.json"))
    os.utime(dead, (time.time() - 120, time.time() - 120))
    sharing.reset()
    board = Board(tmp_path)
    board.save()
    assert [each.name for each in tmp_path.glob("*.json")] == [f"{os.getpid()}-{board._name}.json"]
    assert board.total().counters["fhir_server_requests"] == {"read\x1fPatient\x1f200": 2}
    written = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert written["counters"]["fhir_server_requests"] == {"read\x1fPatient\x1f200": 2}
    assert written["gauges"] == {}


def test_a_file_that_is_broken_takes_nothing_away(tmp_path: Path) -> None:
    (tmp_path / f"{os.getppid()}-c.json").write_text("{")
    counted()
    assert Board(tmp_path).total().counters["fhir_server_requests"]


def test_labels_beyond_all_bounds_are_counted_under_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "MOST", 3)
    for number in range(10):
        numbers.REQUESTS.add(f"$x{number}", "", "404")
        numbers.REQUEST_SECONDS.observe(0.1, f"$x{number}")
    assert len(numbers.REQUESTS.values) == len(numbers.REQUEST_SECONDS.values) == 4
    assert numbers.REQUESTS.values["other", "other", "other"] == 7
    assert sum(numbers.REQUEST_SECONDS.values["other",][:-1]) == 7


def test_what_a_process_counted_under_an_earlier_board_counts_once(tmp_path: Path) -> None:
    counted()
    once = Board().total().counters
    first = Board(tmp_path)
    first.save()
    assert Board(tmp_path).total().counters != once
    first.withdraw()
    assert Board(tmp_path).total().counters == once
