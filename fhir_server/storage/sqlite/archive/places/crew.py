"""Several calls of a place side by side: what takes long there is the way, not the work."""

from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def each_of(items: Iterable[T], run: Callable[[T], R], at_once: int) -> Iterator[tuple[T, Callable[[], R]]]:
    """Yield each item with its outcome, which is returned or raised when it is called, in any order.

    The threads hold no end of a process, as a bucket may not answer then.
    """
    if at_once == 1:
        for item in items:
            yield item, _outcome(run, item)
        return
    waiting: Queue[tuple[T] | None] = Queue()
    done: Queue[tuple[T, Callable[[], R]]] = Queue()

    def work() -> None:
        while (taken := waiting.get()) is not None:
            done.put((taken[0], _outcome(run, taken[0])))

    workers = [Thread(target=work, daemon=True, name="archive") for _ in range(at_once)]
    for worker in workers:
        worker.start()
    given = answered = 0
    try:
        for item in items:
            waiting.put((item,))
            given += 1
            while not done.empty() or given - answered > 2 * at_once:
                answered += 1
                yield done.get()
        while answered < given:
            answered += 1
            yield done.get()
    finally:
        for _ in workers:
            waiting.put(None)


def _outcome(run: Callable[[T], R], item: T) -> Callable[[], R]:
    try:
        result = run(item)
    except Exception as error:
        failed = error

        def fail() -> R:
            raise failed

        return fail
    return lambda: result
