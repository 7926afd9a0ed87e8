"""The upper layer by itself: what it writes it reads, and whatever else comes is refused and never breaks it."""

import asyncio
import struct
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from dicomweb.dimse.wire import command, dataset
from dicomweb.dimse.wire.association import Association, Patience
from dicomweb.dimse.wire.faults import Aborted, Ended, ProtocolFault
from dicomweb.dimse.wire.link import Link, Pdu
from dicomweb.dimse.wire.negotiation import (
    Accept,
    Context,
    Identity,
    Proposed,
    Request,
    Role,
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
REQUEST = Request(
    "CT1", "ANY", (Proposed(1, "1.2.840.10008.1.1", (EXPLICIT, IMPLICIT)), Proposed(3, "1.2.3", (IMPLICIT,))), 16_384,
    (Role("1.2.3", user=True, provider=True),),
)  # fmt: skip
CONTEXT = Context(1, "1.2.840.10008.1.1", EXPLICIT)
uids = st.lists(st.integers(1, 99_999), min_size=2, max_size=6).map(lambda parts: ".".join(map(str, parts)))
titles = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)


@FAST
@given(
    titles,
    titles,
    st.lists(st.tuples(uids, st.lists(uids, min_size=1, max_size=4)), max_size=20),
    st.integers(0, 2**32 - 1),
)
def test_a_request_is_read_as_it_was_written(calling: str, called: str, asked: list[Any], most: int) -> None:
    contexts = tuple(Proposed(2 * number + 1, name, tuple(one)) for number, (name, one) in enumerate(asked))
    request = Request(calling, called, contexts, most, tuple(Role(name) for name, _ in asked[:3]))
    assert decode_request(encode_request(request)) == request


def test_pynetdicom_reads_what_we_write() -> None:
    body = encode_request(REQUEST)
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(struct.pack(">BxL", 1, len(body)) + body)
    assert theirs.calling_ae_title.strip() == "CT1"
    assert [each.abstract_syntax for each in theirs.presentation_context] == ["1.2.840.10008.1.1", "1.2.3"]
    answer = encode_accept(REQUEST, Accept((CONTEXT, Context(3, "1.2.3", IMPLICIT, 3)), 32_768))
    accepted = A_ASSOCIATE_AC()
    accepted.decode(struct.pack(">BxL", 2, len(answer)) + answer)
    assert [each.result for each in accepted.presentation_context] == [0, 3]
    assert decode_accept(answer, REQUEST).max_pdu == 32_768


def test_identities_are_read() -> None:
    item = struct.pack(">BBH", 2, 1, 3) + b"ann" + struct.pack(">H", 2) + b"pw"
    user = struct.pack(">BxH", 0x58, len(item)) + item
    body = encode_request(REQUEST)
    whole = body + struct.pack(">BxH", 0x50, len(user)) + user
    assert decode_request(whole).identity == Identity(2, b"ann", b"pw")


@FAST
@given(st.binary(max_size=400), st.integers(0, 300))
def test_whatever_comes_as_a_request_is_read_or_refused(noise: bytes, place: int) -> None:
    body = bytearray(encode_request(REQUEST))
    body[place : place + len(noise)] = noise
    for data in (noise, bytes(body)):
        try:
            decode_request(data)
            decode_accept(data, REQUEST)
        except ProtocolFault as fault:
            assert 0 <= fault.reason <= 6


@FAST
@given(
    st.fixed_dictionaries(
        {"CommandField": st.integers(0, 0xFFFF), "CommandDataSetType": st.integers(0, 0xFFFF)},
        optional={
            "AffectedSOPClassUID": uids,
            "MessageID": st.integers(0, 0xFFFF),
            "MoveDestination": titles,
            "OffendingElement": st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3).map(tuple),
            "ErrorComment": st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
        },
    )
)
def test_a_command_is_read_as_it_was_written(given_: dict[str, Any]) -> None:
    assert command.decode(command.encode(given_)) == given_


@FAST
@given(st.binary(max_size=200))
def test_whatever_comes_as_a_command_is_read_or_refused(noise: bytes) -> None:
    for data in (noise, command.encode({"CommandField": 1, "MessageID": 2})[:-3] + noise):
        try:
            command.decode(data)
        except ProtocolFault:
            continue


@FAST
@given(st.binary(max_size=300), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_whatever_comes_as_a_data_set_is_read_or_refused(noise: bytes, transfer: str) -> None:
    known = dataset.encode({"00400100": dataset.sequence_item({"00080060": dataset.element("CS", "CT")})}, transfer)
    for data in (noise, known[:-4] + noise, known[: len(noise) % len(known)]):
        try:
            dataset.decode(data, transfer)
        except ProtocolFault:
            continue


@pytest.mark.parametrize("transfer", [EXPLICIT, IMPLICIT])
def test_data_sets_are_those_of_pydicom(transfer: str) -> None:
    rows = {
        "00080020": dataset.element("DA", "20260301"),
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
        "00280010": dataset.element("US", 512),
        "00400100": dataset.sequence_item({"00400001": dataset.element("AE", "CT1"), "00080060": {"vr": "CS"}}),
    }
    raw = dataset.encode(rows, transfer)
    assert dataset.decode(raw, transfer) == {"00080005": dataset.element("CS", "ISO_IR 192"), **rows}
    theirs = read_dataset(BytesIO(raw), transfer == IMPLICIT, True)
    assert isinstance(theirs, Dataset)
    assert (str(theirs.PatientName), theirs.Rows) == ("Yamada^Tarou=山田^太郎", 512)
    assert theirs.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "CT1"


class _Wire:
    """A stream writer that keeps what is written, and nobody reads."""

    def __init__(self) -> None:
        self.written, self.transport = bytearray(), self

    def writelines(self, parts: Any) -> None:
        self.written += b"".join(parts)

    async def drain(self) -> None:
        return None

    def close(self) -> None:
        return None

    abort = close
    wait_closed = drain


def _association(*chunks: bytes) -> tuple[Association, _Wire]:
    reader, wire = asyncio.StreamReader(), _Wire()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    link = Link(reader, wire, 4_096)  # type: ignore[arg-type]
    return Association(link, [CONTEXT], 2_048, Patience(1, 1)), wire


async def _said(data: bytes, most: int) -> bytes:
    sent, wire = _association()
    sent._fragment = most
    await sent.send(CONTEXT, {"CommandField": 1, "MessageID": 7}, data)
    heard, _ = _association(bytes(wire.written))
    message = await heard.receive()
    assert message.id == 7
    return await message.data(1 << 20)


@FAST
@given(st.binary(max_size=5_000), st.integers(2, 3_000))
def test_a_message_is_heard_as_it_was_said(data: bytes, most: int) -> None:
    assert asyncio.run(_said(data, most)) == data


@FAST
@given(st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=60)), max_size=4), st.binary(max_size=30))
def test_whatever_comes_in_an_association_ends_it_in_order(pdus: list[tuple[int, bytes]], rest: bytes) -> None:
    async def hear() -> None:
        stream = b"".join(struct.pack(">BxL", kind, len(body)) + body for kind, body in pdus) + rest
        heard, _ = _association(stream)
        with pytest.raises((Ended, ProtocolFault)):
            while True:
                message = await heard.receive()
                async for _ in message.chunks():
                    pass

    asyncio.run(hear())


async def test_a_pdu_larger_than_agreed_on_is_refused_before_it_is_read() -> None:
    heard, _ = _association(struct.pack(">BxL", Pdu.DATA, 0xFFFFFFF0))
    with pytest.raises(ProtocolFault, match="larger than was agreed on"):
        await heard.receive()


async def test_a_data_set_of_any_size_is_heard_in_pieces() -> None:
    sent, wire = _association()
    await sent.send(CONTEXT, {"CommandField": 1, "MessageID": 1}, bytes(100_000))
    heard, _ = _association(bytes(wire.written))
    message = await heard.receive()
    assert max([len(chunk) async for chunk in message.chunks()]) <= 2_048
    with pytest.raises(Aborted):
        await heard.receive()
