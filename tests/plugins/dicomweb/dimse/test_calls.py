"""Who is let in, and what becomes of those who do not keep to the protocol."""

import asyncio
import logging
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.sop_class import CTImageStorage, Verification

from dicomweb.dimse.admission import Drops
from tests.plugins.dicomweb.dimse.conftest import TITLE, Site, ae, eventually, listening

pytestmark = pytest.mark.usefixtures("dcmtk")
LIMITS = {"dimse_greeting": 1, "dimse_stalled": 1, "dimse_idle": 1.5}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    table = ae("CT1") + ae("ECHO", may=["echo"]) + '[[ae]]\ntitle = "FAR"\nhost = "192.0.2.7"\nmay = ["echo"]\n'
    with listening(tmp_path_factory.mktemp("dimse"), table, dicom=LIMITS) as found:
        yield found


def test_dcmtk_echoes(site: Site) -> None:
    assert site.dcmtk("echoscu").returncode == 0


def test_pynetdicom_echoes_twice_and_releases(site: Site) -> None:
    association = AE("CT1")
    association.add_requested_context(Verification)
    found = association.associate("127.0.0.1", site.port, ae_title=TITLE)
    assert [found.send_c_echo().Status for _ in range(2)] == [0, 0]
    found.release()
    assert found.is_released


@pytest.mark.parametrize(
    ("calling", "said"),
    [("NOBODY", "Calling AE Title Not Recognized"), ("FAR", "Calling AE Title Not Recognized")],
    ids=["unknown", "from elsewhere"],
)
def test_who_is_not_in_the_table_is_refused(
    site: Site, calling: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = site.dcmtk("echoscu", title=calling)
    assert answer.returncode != 0
    assert said in answer.stderr
    assert f"a call of '{calling}' from 127.0.0.1 is refused: calling AE title not recognized" in caplog.text


def test_another_called_title_is_refused(site: Site) -> None:
    answer = site.dcmtk("echoscu", "-aec", "OTHER")
    assert "Called AE Title Not Recognized" in answer.stderr


def test_an_ae_may_do_only_what_the_table_says(site: Site) -> None:
    user = AE("ECHO")
    user.add_requested_context(Verification)
    user.add_requested_context(CTImageStorage)
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE)
    assert [each.abstract_syntax for each in found.accepted_contexts] == [Verification]
    found.release()


@pytest.fixture
def patient_site(tmp_path: Path) -> Iterator[Site]:
    """A site that waits for callers as long as by default."""
    with listening(tmp_path, ae("CT1"), dicom={"dimse_associations_each": 3}) as found:
        yield found


def test_a_flood_of_associations_of_one_ae_is_refused_and_then_let_in(patient_site: Site) -> None:
    site, user = patient_site, AE("CT1")
    user.add_requested_context(Verification)
    held = [user.associate("127.0.0.1", site.port, ae_title=TITLE) for _ in range(5)]
    assert sum(each.is_established for each in held) == 3
    assert sum(each.is_rejected for each in held) == 2
    refused = next(each for each in held if each.is_rejected)
    assert (refused.acceptor.primitive.result, refused.acceptor.primitive.diagnostic) == (2, 2)
    for each in held:
        if each.is_established:
            each.release()
    assert eventually(lambda: site.dcmtk("echoscu").returncode == 0)


def _answer(port: int, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as talk:
        talk.sendall(sent)
        found = b""
        while chunk := talk.recv(4096):
            found += chunk
        return found


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00" + struct.pack(">L", 0xFFFFFFF0),
        b"\x01\x00" + struct.pack(">L", 10) + bytes(10),
        b"\x01\x00" + struct.pack(">L", 80) + bytes(68) + b"\x50\x00\xff\xff" + bytes(8),
        b"\x04\x00" + struct.pack(">L", 6) + bytes(6),
        b"\x05\x00\x00\x00\x00\x04" + bytes(4),
    ],
    ids=["http", "lying length", "short request", "lying item", "data first", "release first"],
)
def test_what_is_no_request_is_aborted(site: Site, sent: bytes) -> None:
    found = _answer(site.port, sent)
    assert found[:1] == b"\x07"
    assert found[8] == 2


def test_who_says_nothing_is_hung_up_on(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dicomweb.dimse")
    assert _answer(site.port, b"") == b""
    assert "is over before it began: nothing came for" in caplog.text


def test_who_stalls_within_a_request_is_hung_up_on(site: Site) -> None:
    assert _answer(site.port, b"\x01\x00\x00\x00\x00\xff" + bytes(20)) == b""


def test_an_idle_association_is_aborted_and_the_log_says_so(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    user, aborts = AE("CT1"), list[Any]()
    user.add_requested_context(Verification)
    heard = [(evt.EVT_PDU_RECV, lambda event: aborts.append(event.pdu))]
    found = user.associate("127.0.0.1", site.port, ae_title=TITLE, evt_handlers=heard)
    eventually(lambda: found.is_aborted, 5)
    assert isinstance(aborts[-1], A_ABORT_RQ)
    assert "the association of CT1 has broken off: nothing came for" in caplog.text


def test_the_table_is_read_again_and_a_broken_one_passed_over(site: Site) -> None:
    before = site.table.read_text()
    site.table.write_text(before + ae("NEW"))
    assert site.dcmtk("echoscu", title="NEW").returncode == 0
    site.table.write_text("[[ae]]\ntitle = 7\n")
    assert site.dcmtk("echoscu", title="NEW").returncode == 0
    checks = site.server.client.get("/health/ready").json()
    assert "title" in str(checks)
    site.table.write_text(before)
    assert site.dcmtk("echoscu", title="NEW").returncode != 0


def test_calls_are_counted(site: Site) -> None:
    numbers = site.server.client.get("/metrics").text
    assert 'dicom_associations_total{how="rejected"}' in numbers
    assert 'dicom_messages_total{message="C-ECHO",outcome="ok"}' in numbers


async def test_a_flood_of_calls_from_one_address_is_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def calls() -> list[bytes]:
        with listening(tmp_path, ae("CT1"), dicom={"dimse_calls_per_minute": 5, "dimse_greeting": 0.2}) as few:
            return [_tried(few.port) for _ in range(8)]

    answers = await asyncio.to_thread(calls)
    assert answers[-1] == b"reset"
    assert "is closed at once: over 5 in a minute" in caplog.text


def test_a_flood_is_told_of_in_few_lines() -> None:
    now = [0.0]
    drops = Drops(lambda: now[0])
    assert [drops.told("full") for _ in range(3)] == ["", None, None]
    assert drops.told("too often") == ""
    now[0] = 10
    assert drops.told("full") == "; as were 2 before it"


def _tried(port: int) -> bytes:
    try:
        return _answer(port, b"GET / HTTP/1.0\r\n\r\n")
    except ConnectionError:
        return b"reset"
