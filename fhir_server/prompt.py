"""Coroutines that run at once, up to where they wait for the first time: most reads never do, and need no task.

A task costs a read a fifth of its time: it is made, put on the loop, waits for its turn, and leaves again. Python 3.12
has eager tasks for this; for 3.11 the first step runs here, under a stand-in for the task that would have it.
"""

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # meant for this: docs.python.org/3/library/asyncio-extending.html
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from types import coroutine
from typing import Any


class _StandIn:
    """What `asyncio.current_task` returns in the first step, so that timeouts can be set there: they end the task that
    goes on."""

    __slots__ = ("__weakref__", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None

    def cancel(self, msg: Any = None) -> bool:
        return self.task.cancel(msg) if self.task is not None else False

    def cancelling(self) -> int:
        return self.task.cancelling() if self.task is not None else 0

    def uncancel(self) -> int:
        return self.task.uncancel() if self.task is not None else 0


def started(loop: asyncio.AbstractEventLoop, running: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run a coroutine up to its first wait; return the task that goes on from there, None where it came to its end.

    To be called on the loop, outside of tasks.
    """
    context, stand_in = copy_context(), _StandIn()
    _enter_task(loop, stand_in)  # type: ignore[arg-type]
    try:
        waits = context.run(running.send, None)
    except StopIteration:
        return None
    finally:
        _leave_task(loop, stand_in)  # type: ignore[arg-type]
    stand_in.task = loop.create_task(_rest(running, waits), context=context)
    return stand_in.task


async def in_task() -> None:
    """Go on in a task: before code that asks more of the current task than timeouts do, such as that of others."""
    if isinstance(asyncio.current_task(), _StandIn):
        await asyncio.sleep(0)


@coroutine
def _rest(running: Coroutine[Any, Any, None], waits: Any) -> Generator[Any, Any, None]:
    """Wait for what the coroutine waits for, and go on with it."""
    try:
        while True:
            try:
                got = yield waits
            except BaseException as error:
                waits = running.throw(error)
            else:
                waits = running.send(got)
    except StopIteration:
        return
