"""Where work is done: what was quick before at once, all else in a thread.

A thread costs a few hundred microseconds and, on a busy machine, milliseconds of waiting: more than most checks of a
code take. But there are value sets where a check takes seconds, and then nobody else may wait for it.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from fhir_server.operations.terminology.faults import told_as_text
from fhir_server.operations.terminology.service import answered
from fhir_server.terminology import Terminology

T = TypeVar("T")

_QUICK = 0.001
_MOST = 5_000

_known: WeakKeyDictionary[Terminology, set[str]] = WeakKeyDictionary()


async def quickly(work: Callable[..., T], terminology: Terminology, *arguments: Any, about: str) -> T:
    """Do the work, which takes the service first.

    Args:
        about: what the time that it takes depends on (a value set), empty where that has no name.
    """
    known = _known.setdefault(terminology, set())
    started = perf_counter()
    if about in known:
        with told_as_text():
            result = work(terminology, *arguments)
        took = perf_counter() - started
    else:
        result, took = await answered(_timed, work, terminology, *arguments)
    if took > _QUICK or len(known) >= _MOST:
        known.discard(about)
    elif about:
        known.add(about)
    return result


def _timed(work: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    started = perf_counter()
    result = work(*arguments)
    return result, perf_counter() - started
