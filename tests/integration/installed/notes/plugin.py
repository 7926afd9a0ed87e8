"""One consumer that notes and takes its time, one whose work fails on some, one that computes on and on."""

import os
import time
from asyncio import sleep
from collections.abc import Sequence
from pathlib import Path

from fhir_server.plugin_api import Consumer, FeedChange, PluginContext, Scheduled, hookimpl

OUT = Path(os.environ["NOTES_OUT"])


def _note(name: str, lines: Sequence[str]) -> None:
    with (OUT / name).open("a") as file:
        file.write("".join(f"{os.getpid()} {line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


async def note(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Write down each change by itself, so that a kill comes in the middle of a batch."""
    for change in changes:
        _note("notes", [f"{ctx.tenant} {change.id} {change.method}"])
        await sleep(0.002)


async def picky(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Refuse what is called `poison`, unless there is an antidote."""
    if any(change.key.id == "poison" for change in changes) and not (OUT / "antidote").exists():
        raise ValueError("poison")
    _note("picky", [f"{ctx.tenant} {change.id}" for change in changes])


async def heavy(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Keep the interpreter busy, if it is asked to."""
    if (OUT / "heavy").exists():
        for _ in range(5):
            began = time.perf_counter()
            while time.perf_counter() - began < 1:
                pass
            await sleep(0)


async def tick(ctx: PluginContext) -> None:
    """Note the time."""
    _note("ticks", [ctx.tenant])


@hookimpl
def register_consumers() -> list[Consumer]:
    """Add them."""
    return [
        Consumer("notes", note, start="beginning", partitions=2, batch=50),
        Consumer("picky", picky, start="beginning"),
        Consumer("heavy", heavy),
    ]


@hookimpl
def register_scheduled_jobs() -> list[Scheduled]:
    """Add it."""
    return [Scheduled("tick", tick, every=1)]
