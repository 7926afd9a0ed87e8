"""Micro-batches: predictions that are asked for at the same time are one run of the graph."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from fhir_ai.models.errors import ModelUnavailable
from fhir_ai.models.inference import Output

Columns = Sequence[float]
RunMany = Callable[[Sequence[Columns], float], Sequence[Output]]
_MOST: Final = 256
"""Rows of one run."""


class Batches:
    """Asks one graph from many tasks. While a run goes on the next rows gather, so nobody waits for others to come.

    Args:
        run: computes rows within seconds; it is called in a thread.
    """

    def __init__(self, name: str, run: RunMany) -> None:
        self._name, self._run = name, run
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue] = WeakKeyDictionary()

    async def ask(self, columns: Columns, within: float) -> Output:
        """Compute one row.

        Raises:
            ModelUnavailable: no answer within the time, or the graph failed.
        """
        loop = asyncio.get_running_loop()
        queue = self._loops.setdefault(loop, _Queue(self._run))
        try:
            return await asyncio.wait_for(queue.add(columns, within), within)
        except TimeoutError:
            raise ModelUnavailable(f"the model {self._name!r} took longer than {within:g} s") from None


class _Queue:
    """The rows that wait in one event loop."""

    def __init__(self, run: RunMany) -> None:
        self._run = run
        self._waiting: list[tuple[Columns, asyncio.Future[Output]]] = []
        self._going: asyncio.Task[None] | None = None

    def add(self, columns: Columns, within: float) -> "asyncio.Future[Output]":
        answer: asyncio.Future[Output] = asyncio.get_running_loop().create_future()
        self._waiting.append((columns, answer))
        if self._going is None or self._going.done():
            self._going = asyncio.create_task(self._drain(within))
        return answer

    async def _drain(self, within: float) -> None:
        await asyncio.sleep(0)  # who asks in this turn of the loop comes along
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            rows = [columns for columns, _ in batch]
            try:
                outputs = await asyncio.to_thread(self._run, rows, within)
                pairs = list(zip(batch, outputs, strict=True))
            except Exception as error:  # whoever waits is told; ModelUnavailable says why
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), output in pairs:
                if not answer.done():
                    answer.set_result(output)
