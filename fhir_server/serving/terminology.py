"""The code systems that the owner makes of what came with the server, in a process of its own, once."""

import asyncio
import logging
import sys
from contextlib import suppress
from pathlib import Path

from fhir_server.terminology.loaders.boxed import ready
from fhir_server.terminology.systems.installed import FOLDER

logger = logging.getLogger(__name__)


async def make_terminology(data_dir: Path) -> None:
    """Make what is not there yet; the server goes on without it, and finds it when it is there."""
    if ready(data_dir / FOLDER):
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fhir_server.terminology.loaders.boxed", str(data_dir / FOLDER)
    )
    try:
        if await process.wait() != 0:
            logger.error("ICD-10-CM could not be made; its codes cannot be checked")
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
