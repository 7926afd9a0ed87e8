"""Coroutines that run at once are none the worse for it when they have to wait."""

import asyncio
from contextvars import ContextVar

import pytest

from fhir_server.prompt import in_task, started

word: ContextVar[str] = ContextVar("word", default="")


async def callback(run: "asyncio.Future[object]", coro: object) -> None:
    """Start a coroutine as a callback of the loop would."""

    def call() -> None:
        try:
            run.set_result(started(loop, coro))  # type: ignore[arg-type]
        except BaseException as error:
            run.set_exception(error)

    loop = asyncio.get_running_loop()
    loop.call_soon(call)
    await asyncio.sleep(0)


async def start(coro: object) -> asyncio.Task[None] | None:
    run: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    await callback(run, coro)
    task = await run
    assert task is None or isinstance(task, asyncio.Task)
    return task


async def test_what_never_waits_is_done_at_once() -> None:
    done = []

    async def inner() -> int:
        return 7

    async def work() -> None:
        done.append(await inner())

    assert await start(work()) is None
    assert done == [7]


async def test_what_waits_goes_on_in_a_task_with_its_variables() -> None:
    seen = []

    async def work() -> None:
        token = word.set("mine")
        for _ in range(3):
            await asyncio.sleep(0.001)
            seen.append(word.get())
        word.reset(token)
        await in_task()
        seen.append(type(asyncio.current_task()).__name__)

    task = await start(work())
    assert task is not None
    await task
    assert seen == ["mine"] * 3 + ["Task"]
    assert word.get() == ""


async def test_a_timeout_that_was_set_before_the_first_wait_strikes() -> None:
    async def work() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)

    task = await start(work())
    assert task is not None
    with pytest.raises(TimeoutError):
        await task


async def test_a_timeout_that_is_kept_leaves_no_trace() -> None:
    async def work() -> None:
        async with asyncio.timeout(5):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)

    task = await start(work())
    assert task is not None
    await task
    assert task.cancelling() == 0


async def test_who_cancels_the_task_cancels_what_waits() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    task = await start(work())
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_faults_come_out_of_the_first_step_and_of_later_ones() -> None:
    async def now() -> None:
        raise ValueError("now")

    async def later() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("later")

    with pytest.raises(ValueError, match="now"):
        await start(now())
    task = await start(later())
    assert task is not None
    with pytest.raises(ValueError, match="later"):
        await task


async def test_whoever_needs_a_task_gets_one() -> None:
    kinds = []

    async def work() -> None:
        kinds.append(isinstance(asyncio.current_task(), asyncio.Task))
        await in_task()
        kinds.append(isinstance(asyncio.current_task(), asyncio.Task))

    task = await start(work())
    assert task is not None
    await task
    assert kinds == [False, True]
