"""Workers may crash, hang and eat memory: the task fails by name, the next one works."""

import asyncio
import os
import signal
from dataclasses import asdict

import pytest

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.layout import Layout
from dicomweb.pixels.pool import Pool
from dicomweb.pixels.syntaxes import EXPLICIT, JPEG_2000_LOSSLESS, RLE

SMALL = Layout(8, 8)


async def work(pool: Pool, layout: Layout = SMALL, target: str = RLE) -> bytes:
    frame = bytes(layout.frame_bytes)
    done = await pool.run(
        "transcode", frames=[frame], layout=asdict(layout), source=EXPLICIT, target=target, quality=90
    )
    return bytes(done["frames"][0])


async def test_a_worker_that_dies_is_named_and_replaced() -> None:
    pool = Pool(workers=1)
    try:
        await work(pool)
        first = pool.pids[0]
        running = asyncio.create_task(work(pool, Layout(6000, 6000, allocated=16, stored=16), JPEG_2000_LOSSLESS))
        await asyncio.sleep(0.3)
        os.kill(first, signal.SIGSEGV)
        with pytest.raises(PixelFailure, match="SIGSEGV") as caught:
            await running
        assert caught.value.kind == "crashed"
        assert len(await work(pool)) > 0
        assert pool.pids[0] != first
        assert pool.lost == 1
    finally:
        await pool.close()


async def test_work_that_takes_too_long_is_broken_off() -> None:
    pool = Pool(workers=1, timeout=10)
    try:
        await work(pool)
        pool._timeout = 0.2
        with pytest.raises(PixelFailure, match=r"longer than 0\.2 s") as caught:
            await work(pool, Layout(8000, 8000, allocated=16, stored=16), JPEG_2000_LOSSLESS)
        assert caught.value.kind == "timeout"
        pool._timeout = 10
        assert len(await work(pool)) > 0
    finally:
        await pool.close()


async def test_memory_is_limited() -> None:
    pool = Pool(workers=1, memory=700_000_000)
    try:
        with pytest.raises(PixelFailure, match="memory") as caught:
            await work(pool, Layout(9000, 9000, samples=3, photometric="RGB", allocated=16, stored=16), RLE)
        assert caught.value.kind == "memory"
        assert len(await work(pool)) > 0
    finally:
        await pool.close()


async def test_a_crowd_is_refused() -> None:
    pool = Pool(workers=1, waiting=2)
    try:
        done = await asyncio.gather(*(work(pool) for _ in range(6)), return_exceptions=True)
        refused = [each for each in done if isinstance(each, PixelFailure)]
        assert [each.kind for each in refused] == ["busy"] * 3
        assert sum(isinstance(each, bytes) for each in done) == 3
    finally:
        await pool.close()


async def test_nothing_of_a_worker_is_left_when_the_pool_closes() -> None:
    pool = Pool(workers=2)
    await asyncio.gather(work(pool), work(pool))
    pids = pool.pids
    await pool.close()
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_workers_code_needs_nothing_of_the_server() -> None:
    import subprocess
    import sys

    from dicomweb.pixels import process

    code = process._BEGIN.split("from dicomweb")[0].replace("sys.argv[3]", "sys.argv[1]")
    code += "import dicomweb.pixels.worker; print([n for n in sys.modules if n.startswith('fhir_server')])"
    folder = os.path.dirname(os.path.dirname(process.__file__))
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
