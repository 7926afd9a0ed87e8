"""Handlers whose modules are imported when they are first called: pydicom and numpy would make every start longer."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any


def later(place: str) -> Callable[..., Awaitable[Any]]:
    """Return the async function `module:name`; its module is imported, on a thread, at the first call."""
    module, _, name = place.partition(":")

    async def call(*arguments: Any) -> Any:
        found = sys.modules.get(module)
        if found is None or not hasattr(found, name):
            found = await asyncio.to_thread(import_module, module)
        return await getattr(found, name)(*arguments)

    return call
