"""The notification channel by a real WebSocket client, on a real server with two workers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.integration.running import Running, running
from tests.plugins.dicomweb.ups.test_workitems import BASE, dicom, state, workitem

ALL, MATCHING = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("ups")
    config = folder / "config.toml"
    config.write_text("[plugins.dicomweb]\nups_poll = 0.05\n")
    with running(folder / "data", "--config", str(config), "--workers", "2") as found:
        yield found


@pytest.fixture
def http(site: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.base.removesuffix("/fhir"), timeout=30) as client:
        yield client


def make(http: httpx.Client, uid: str, **more: Any) -> None:
    assert http.post(f"{BASE}?{uid}", json=[workitem(**more)]).status_code == 201


def listen(http: httpx.Client, uid: str, title: str, **query: str) -> ClientConnection:
    answer = http.post(f"{BASE}/{uid}/subscribers/{title}", params=query)
    assert answer.status_code == 201, answer.text
    return connect(answer.headers["content-location"])


def event(socket: ClientConnection) -> tuple[str, int, Any]:
    told = json.loads(socket.recv(10))
    return told["00001000"]["Value"][0], told["00001002"]["Value"][0], told


def test_a_follower_of_all_is_told_of_each_step(http: httpx.Client) -> None:
    with listen(http, ALL, "EVERY") as socket:
        make(http, "1.3.1")
        assert event(socket)[:2] == ("1.3.1", 1)
        http.put(f"{BASE}/1.3.1/state", json=state("IN PROGRESS"))
        uid, kind, told = event(socket)
        assert (uid, kind, told["00741000"]["Value"]) == ("1.3.1", 1, ["IN PROGRESS"])
        progress = dicom(SQ_00741002=[dicom(DS_00741004="50")])
        http.post(f"{BASE}/1.3.1?transaction-uid=1.2.840.99.1", json=[progress])
        assert event(socket)[:2] == ("1.3.1", 3)
        http.post(f"{BASE}/1.3.1/cancelrequest", json=[dicom(LT_00741238="stop")])
        uid, kind, told = event(socket)
        assert (kind, told["00741238"]["Value"]) == (2, ["stop"])
        assert told["00000110"]["Value"] == [4]


def test_what_happened_while_nobody_listened_comes_first(http: httpx.Client) -> None:
    make(http, "1.3.2")
    address = http.post(f"{BASE}/1.3.2/subscribers/LATER").headers["content-location"]
    http.put(f"{BASE}/1.3.2/state", json=state("IN PROGRESS"))
    with connect(address) as socket:
        assert event(socket)[:2] == ("1.3.2", 1)


def test_a_filter_decides_what_is_followed(http: httpx.Client) -> None:
    with listen(http, MATCHING, "SOME", ProcedureStepLabel="Bone*") as socket:
        make(http, "1.3.3", label="Lung")
        make(http, "1.3.4", label="Bone age")
        assert event(socket)[0] == "1.3.4"
    assert http.post(f"{BASE}/{MATCHING}/subscribers/SOME").status_code == 400


def test_suspended_and_ended_subscriptions_are_silent_for_what_comes(http: httpx.Client) -> None:
    with listen(http, ALL, "PAUSED") as socket:
        make(http, "1.3.5")
        assert event(socket)[0] == "1.3.5"
        assert http.post(f"{BASE}/{ALL}/subscribers/PAUSED/suspend").status_code == 200
        make(http, "1.3.6")
        http.put(f"{BASE}/1.3.5/state", json=state("IN PROGRESS"))
        assert event(socket)[0] == "1.3.5"
        assert http.delete(f"{BASE}/1.3.5/subscribers/PAUSED").status_code == 200
        assert http.delete(f"{BASE}/1.3.5/subscribers/PAUSED").status_code == 404


def test_nobody_listens_under_a_title_that_nobody_has_taken(site: Running) -> None:
    address = site.base.replace("http", "ws", 1).removesuffix("/fhir") + "/dicomweb/subscribers/NOBODY"
    with connect(address) as socket, pytest.raises(ConnectionClosed):
        socket.recv(10)


def test_a_bad_title_is_refused(http: httpx.Client) -> None:
    assert http.post(f"{BASE}/{ALL}/subscribers/MUCH-TOO-LONG-A-TITLE").status_code == 400
