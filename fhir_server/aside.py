"""Work on a thread that nobody has to wait for, not even the end of the process: files of a mount that may be dead.

Threads of an executor are waited for when the interpreter ends. One that reads from a network mount whose server is
gone never returns, so it would hold the process until somebody kills it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def aside(run: Callable[[], T]) -> T:
    """Do something that blocks; whoever stops waiting leaves it to itself."""
    loop, context = asyncio.get_running_loop(), copy_context()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, failed = None, None
        try:
            result = context.run(run)
        except BaseException as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, failed)

    Thread(target=work, daemon=True, name="aside").start()
    return await done
