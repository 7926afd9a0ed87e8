"""Request bodies: limits, time, and decompression that cannot be blown up."""

import asyncio
import gzip
import os
import time
import zlib
from functools import partial
from typing import Any

import pytest

from fhir_server.api.body import ClientGone, inflate, read
from fhir_server.errors import BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType
from fhir_server.settings import Settings

packed = partial(gzip.compress, mtime=0)  # without the time, which would stand in the names of tests
TEXT = b'{"resourceType":"Patient"}' * 50


def messages(*chunks: bytes, complete: bool = True) -> Any:
    last = len(chunks) - 1
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": at < last or not complete}
        for at, chunk in enumerate(chunks)
    ]

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    return receive


async def body(receive: Any, headers: dict[str, str] | None = None, **settings: Any) -> bytes:
    return await read(receive, headers or {}, Settings(**settings))


async def test_chunks_are_put_together() -> None:
    assert await body(messages(b"a", b"", b"bc")) == b"abc"
    assert await body(messages(b"")) == b""


async def test_a_body_over_the_limit_is_refused_and_the_connection_closed() -> None:
    assert await body(messages(b"x" * 10), max_body=10) == b"x" * 10
    for chunks in ((b"x" * 11,), (b"x" * 6, b"x" * 6)):
        with pytest.raises(TooLarge) as caught:
            await body(messages(*chunks), max_body=10)
        assert caught.value.headers == {"Connection": "close"}


async def test_a_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    async def never() -> Any:
        raise AssertionError("read")

    for length in ("11", "9" * 400):
        with pytest.raises(TooLarge):
            await body(never, {"content-length": length}, max_body=10)


async def test_a_length_that_is_no_number_is_refused() -> None:
    for length in ("-1", "ten", "1e3", "٣"):
        with pytest.raises(BadRequest):
            await body(messages(b"x"), {"content-length": length})


async def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.4)
        return {"type": "http.request", "body": b"x", "more_body": True}

    with pytest.raises(RequestTimeout) as caught:
        await body(slow, read_timeout=1)
    assert caught.value.status == 408


async def test_a_client_that_hangs_up_is_not_answered() -> None:
    with pytest.raises(ClientGone):
        await body(messages(b"half", complete=False))


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", packed(TEXT)),
        ("x-gzip", packed(TEXT)),
        ("GZIP", packed(TEXT)),
        ("identity", TEXT),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT, wbits=-15)),
        ("gzip", packed(TEXT[:10]) + packed(TEXT[10:])),
        ("deflate, gzip", packed(zlib.compress(TEXT))),
        ("gzip", packed(TEXT * 1000)),
    ],
)
async def test_compressed_bodies_are_unpacked(coding: str, packed: bytes) -> None:
    found = await body(messages(packed), {"content-encoding": coding})
    assert found in (TEXT, TEXT * 1000)


async def test_unknown_codings_are_refused_with_those_that_are_known() -> None:
    for coding in ("br", "gzip, br", "gzip, gzip, gzip"):
        with pytest.raises(UnsupportedMediaType) as caught:
            await body(messages(b"x"), {"content-encoding": coding})
        assert caught.value.headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize("broken", [b"junk", packed(TEXT)[:-5], packed(TEXT) + b"junk", b"\x1f\x8b"])
async def test_broken_compression_is_refused(broken: bytes) -> None:
    with pytest.raises(BadRequest):
        await body(messages(broken), {"content-encoding": "gzip"})


async def test_a_bomb_is_refused_at_the_limit_without_being_unpacked() -> None:
    bomb = packed(b"\0" * 200_000_000, 9)
    started = time.perf_counter()
    with pytest.raises(TooLarge):
        await body(messages(bomb), {"content-encoding": "gzip"}, max_body=1_000_000)
    assert time.perf_counter() - started < 1
    nested = packed(bomb, 9)
    with pytest.raises(TooLarge):
        await body(messages(nested), {"content-encoding": "gzip, gzip"}, max_body=1_000_000)


def test_the_work_stays_in_proportion_to_the_size() -> None:
    started = time.perf_counter()
    with pytest.raises(BadRequest):
        inflate(packed(b"") * 200_000, "gzip", 100)
    noise = os.urandom(20_000_000)
    assert inflate(packed(noise, 1), "gzip", 20_000_000) == noise
    assert time.perf_counter() - started < 5
