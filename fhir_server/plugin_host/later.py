"""Handlers that are loaded when they are first called, or a moment after the start, for they need much."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

_WAITING: Final[dict[str, None]] = {}


def later(module: str, name: str) -> Callable[..., Any]:
    """Return an async handler that stands for the one of this name in a module that is not loaded yet."""
    _WAITING[module] = None

    async def handle(*arguments: Any) -> Any:
        return await getattr(import_module(module), name)(*arguments)

    return handle


def load_waiting() -> None:
    """Load all modules that wait, on any thread. Raises ImportError."""
    for module in list(_WAITING):
        import_module(module)
        _WAITING.pop(module, None)
