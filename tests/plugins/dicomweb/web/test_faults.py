"""What goes wrong: nothing that was acknowledged is lost, and nothing is left behind of what was not."""

import asyncio
import os
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicomweb.doors import archive
from dicomweb.ingest.faults import ObjectFault
from dicomweb.ingest.meta import written_meta
from dicomweb.ingest.staging import patiently
from dicomweb.model.values import Incoming, Source
from fhir_server.plugin_api import PluginStore, StorageFull
from tests.integration.running import Running, start
from tests.plugins.dicomweb.dimse.objects import ct
from tests.plugins.dicomweb.web.conftest import Web, multipart, part10, slices

KIND = {"content-type": 'multipart/related; type="application/dicom"; boundary=b'}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """The server on a disk; who kills it puts the next one behind it."""
    found = [start(tmp_path_factory.mktemp("dicom") / "data", "--workers", "2")]
    yield found
    found[-1].kill()


@pytest.fixture
def running(servers: list[Running]) -> Running:
    return servers[-1]


def root(running: Running) -> str:
    return running.base.removesuffix("/fhir") + "/dicomweb"


def stow(running: Running, *objects: bytes) -> httpx.Response:
    return httpx.post(f"{root(running)}/studies", content=multipart(*objects), headers=KIND, timeout=60)


def files(running: Running) -> set[str]:
    return {each.name for each in running.folder.rglob("blobs/??/*")}


def staged(running: Running) -> list[Path]:
    return list(running.folder.rglob("blobs/staged/*"))


def rows(running: Running, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{root(running)}{path}", timeout=60).json()
    return found


def test_what_is_refused_leaves_no_file(running: Running) -> None:
    before = files(running)
    good = slices("1.4.1")[0]
    assert stow(running, good[:-10], good[:500], b"x" * 1000).status_code == 409
    assert files(running) == before
    assert staged(running) == []


def test_a_client_that_goes_away_leaves_no_file(running: Running) -> None:
    before = files(running)
    port = int(running.base.split(":")[2].split("/")[0])
    body = multipart(*slices("1.4.2", 3))
    with socket.create_connection(("127.0.0.1", port)) as client:
        head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + f"Content-Type: {KIND['content-type']}\r\n\r\n".encode() + body[:-300])
        time.sleep(0.3)
    for _ in range(50):
        if files(running) == before and not staged(running):
            break
        time.sleep(0.1)
    assert files(running) == before
    assert staged(running) == []
    assert rows(running, "/studies?StudyInstanceUID=1.4.2") == []
    assert "ClientDisconnect" not in running.log.read_text(), "that is no fault of the plugin"


def test_the_same_study_from_many_at_once_is_one_study(running: Running) -> None:
    objects = slices("1.4.3", 12)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: stow(running, *objects[number % 3 :: 3], objects[0]), range(6)))
    assert {each.status_code for each in answers} == {200}, [each.text for each in answers]
    (study,) = rows(running, "/studies?StudyInstanceUID=1.4.3")
    assert study["00201208"]["Value"] == [12]
    found = httpx.get(f"{running.base}/ImagingStudy?identifier=urn:dicom:uid|urn:oid:1.4.3").json()
    assert found["total"] == 1
    assert found["entry"][0]["resource"]["numberOfInstances"] == 12
    assert len(rows(running, "/studies/1.4.3/instances")) == 12
    assert staged(running) == []


def test_one_uid_with_two_contents_at_once_is_one_of_them(running: Running) -> None:
    both = [part10(ct(study="1.4.4", SeriesDescription=name)) for name in ("one", "other")]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda each: stow(running, each), both))
    assert sorted(each.status_code for each in answers) == [200, 409]
    one = f"{root(running)}/studies/1.4.4/series/1.4.4.1/instances/1.4.4.1.1"
    kept = httpx.get(one, headers={"accept": "application/dicom"})
    assert kept.content == both[[each.status_code for each in answers].index(200)]


def test_after_a_kill_what_was_acknowledged_is_there_and_nothing_else(servers: list[Running]) -> None:
    running, acknowledged = servers[-1], list[int]()
    sender = threading.Thread(target=_send_on, args=(running, acknowledged))
    sender.start()
    until = time.monotonic() + 30
    while len(acknowledged) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    running.kill()
    sender.join()
    assert acknowledged
    for mark in staged(running):
        os.utime(mark, (1, 1))  # as if the life of a staged blob were over
    again = start(running.folder, "--workers", "2")
    servers.append(again)
    there = {row["0020000D"]["Value"][0]: row for row in rows(again, "/studies?limit=2000")}
    for number in acknowledged:
        assert there[f"1.4.5.{number}"]["00201208"]["Value"] == [2]
        study = httpx.get(f"{root(again)}/studies/1.4.5.{number}").content
        assert all(each in study for each in slices(f"1.4.5.{number}", 2))
    until = time.monotonic() + 30  # what was stored but not answered is put together, and other files are swept away
    while (named := _named(again)) != len(files(again)) and time.monotonic() < until:
        time.sleep(0.2)
    assert len(files(again)) == named


def _named(running: Running) -> int:
    """Return how many objects are found."""
    studies = [row["0020000D"]["Value"][0] for row in rows(running, "/studies?limit=2000")]
    return sum(len(rows(running, f"/studies/{uid}/instances")) for uid in studies)


def _send_on(running: Running, acknowledged: list[int]) -> None:
    """Store studies until nobody answers."""
    for number in range(1, 1_000):
        try:
            if stow(running, *slices(f"1.4.5.{number}", 2)).status_code == 200:
                acknowledged.append(number)
        except httpx.HTTPError:
            return


def test_a_bomb_of_zeros_is_refused_in_little_memory(web: Web) -> None:
    squeezer = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 192" + b"\xe0\x7f\x10\x00OW\x00\x00" + (3 << 30).to_bytes(4, "little")
    body = squeezer.compress(head) + b"".join(squeezer.compress(bytes(1 << 24)) for _ in range(5)) + squeezer.flush()
    meta = written_meta(DeflatedExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.2", "1.4.6.1")
    answer = web.store(meta + body)
    assert answer.status_code in (409, 507)
    assert "deflated" in answer.headers["warning"]


def test_a_hundred_thousand_frames_are_found_one_by_one(web: Web) -> None:
    pixels = b"".join(number.to_bytes(8, "little") for number in range(100_000))
    many = ct(study="1.4.7", side=2, NumberOfFrames=100_000, PixelData=pixels)
    assert web.store(part10(many)).status_code == 200
    one = "/studies/1.4.7/series/1.4.7.1/instances/1.4.7.1.1"
    assert web.get(f"{one}/frames/99999", "application/octet-stream").content == (99_998).to_bytes(8, "little")
    assert web.get(f"{one}/frames/100001").status_code == 404


def test_more_frames_than_there_are_bytes_are_not_believed(web: Web) -> None:
    assert web.store(part10(ct(study="1.4.8", NumberOfFrames=100_000))).status_code == 200
    one = "/studies/1.4.8/series/1.4.8.1/instances/1.4.8.1.1"
    assert web.get(f"{one}/frames/1").status_code == 200
    assert web.get(f"{one}/frames/2").status_code == 404


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"DICM", b"DICX", "preamble"),
        (b"\x20\x00\x0d\x00UI\x06\x00", b"\x20\x00\x0d\x00UI\xff\xff", "says it has 65535 bytes"),
        (b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00\x01\x02", "value representation of (0008,0060)"),
        (b"\x08\x00\x60\x00CS", b"\xfe\xff\x0d\xe0CS", "delimiter"),
        (b"\xe0\x7f\x10\x00OW\x00\x00\x00\x02", b"\xe0\x7f\x10\x00OW\x00\x00\x00\x12", "4096 bytes before the value"),
        (b"\x20\x00\x0d\x00UI\x06\x001.4.9\x00", b"\x20\x00\x0d\x00UI\x06\x00../../", "no UID"),
        (b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.2\x00", ""),
    ],
)
def test_an_object_that_is_none_is_refused_with_the_reason(web: Web, old: bytes, new: bytes, said: str) -> None:
    good = slices("1.4.9")[0]
    assert old in good
    answer = web.store(good.replace(old, new, 1))
    assert answer.status_code == 409
    assert said in answer.headers["warning"]
    assert web.found("/studies?StudyInstanceUID=1.4.9") == []


def test_sequences_without_end_are_refused(web: Web) -> None:
    deep = b"\x40\x00\x30\xa7SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5_000
    good = slices("1.4.10")[0]
    place = good.index(b"\xe0\x7f\x10\x00OW")
    answer = web.store(good[:place] + deep + good[place:])
    assert answer.status_code == 409
    assert "deeper than" in answer.headers["warning"]


def test_private_elements_and_odd_padding_are_taken_as_they_are(web: Web) -> None:
    junk = ct(study="1.4.11")
    junk.add_new((0x0009, 0x0010), "LO", "JUNK")
    junk.add_new((0x0009, 0x10FE), "UN", bytes(range(256)) * 10)
    sent = part10(junk) + bytes(64)
    assert web.store(sent).status_code == 200
    path = "/studies/1.4.11/series/1.4.11.1/instances/1.4.11.1.1"
    assert web.get(path, "application/dicom").content == sent
    assert pydicom.dcmread(BytesIO(sent)).SOPInstanceUID == "1.4.11.1.1"


def test_what_nobody_finished_gets_its_imaging_study(web: Web) -> None:
    async def receive() -> None:
        host = web.server.app.assembly.hosts["dicomweb"]
        ctx = await host.context("default")
        door = archive(ctx)
        group = door.begin(ctx, Source("c-store", "CT1"))
        outcome = await door.receive(ctx, group, Incoming(slices("1.4.12")[0]))
        assert outcome.stored

    web.server.call(receive)
    assert len(web.found("/studies?StudyInstanceUID=1.4.12")) == 0
    web.server.clock.go_on(10)
    for _ in range(40):
        if web.found("/studies?StudyInstanceUID=1.4.12"):
            break
        time.sleep(0.1)
    assert web.imaging_study("1.4.12")["numberOfInstances"] == 1


def test_a_full_disk_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise StorageFull("no space")

    monkeypatch.setattr(PluginStore, "stage", full)
    answer = web.store(*slices("1.4.13", 2))
    assert answer.status_code == 507
    assert {item["00081197"]["Value"][0] for item in answer.json()["0008119A"]["Value"]} == {0xA700}


async def test_who_sends_nothing_for_a_while_is_given_up() -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.sleep(60)

    seen = []
    with pytest.raises(ObjectFault, match="nothing came"):
        async for chunk in patiently(stalling(), 0.05):
            seen.append(chunk)
    assert seen == [b"some"]
