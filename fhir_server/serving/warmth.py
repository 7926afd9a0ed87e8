"""What a process makes once and keeps: before its workers are forked, or in the background once it answers, so that
neither its start nor the first requests wait for it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from fhir_server.app import extract_by
from fhir_server.interactions.conformance import shared_library
from fhir_server.plugin_host.later import load_waiting
from fhir_server.settings import Settings
from fhir_server.validation import structure_validator

_AFTER: Final = 0.3
"""Seconds from the first answer."""

_LOOK: Final = 0.1

_log = logging.getLogger(__name__)


def steps(settings: Settings) -> tuple[Callable[[], object], ...]:
    """Return what is to be made."""
    return (
        lambda: extract_by(settings),
        structure_validator,
        lambda: shared_library(settings),
        load_waiting,
    )


async def warm(settings: Settings, answers: Callable[[], bool]) -> None:
    """Make it on a thread, a moment after the process answers; what fails now will say so when it is needed."""
    while not answers():  # noqa: ASYNC110  # uvicorn says so by a flag
        await asyncio.sleep(_LOOK)
    await asyncio.sleep(_AFTER)
    for step in steps(settings):
        try:
            await asyncio.to_thread(step)
        except Exception:
            _log.exception("something could not be made ready")
