"""What the owner of a data folder does so that its files hold what other nodes have done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from fhir_server.privacy.nodes import agree, note_others, note_tenants
from fhir_server.settings import Settings
from fhir_server.storage.base import Store, StoreError
from fhir_server.tenancy.erasures import place_of
from fhir_server.tenancy.registration import DEFAULT
from fhir_server.terminology.systems.installed import FOLDER
from fhir_server.terminology.systems.shared import follow

logger = logging.getLogger(__name__)
_SYSTEMS_EVERY: Final = 2.0
_ERASURES_EVERY: Final = 30.0


class Tenants(Protocol):
    """The tenants as an owner has them."""

    def lend(self, tenant: str) -> AbstractAsyncContextManager[Store]:
        """Give the store of a tenant for a while."""

    async def written(self) -> dict[str, float]:
        """Return when each tenant that has a store was last written to."""

    async def erased(self) -> Iterable[str]:
        """Return the tenants that were erased."""

    def now(self) -> int:
        """Return the milliseconds since 1970 UTC."""


class Following:
    """For as long as `run` does."""

    def __init__(self, tenants: Tenants, settings: Settings) -> None:
        self._tenants, self._systems = tenants, settings.data_dir / FOLDER
        self._register: Path = place_of(settings)
        self._seen: dict[str, tuple[float, int]] = {}

    async def run(self) -> None:
        """Follow the other nodes."""
        await asyncio.gather(self._every(_SYSTEMS_EVERY, self.systems), self._every(_ERASURES_EVERY, self.erasures))

    async def begin(self) -> None:
        """Make ready what has to be before anything is served: a register that begins as those of the others do."""
        async with self._tenants.lend(DEFAULT) as home:
            await agree(home, self._register)

    async def systems(self) -> None:
        """Have the code systems that all nodes are to have."""
        async with self._tenants.lend(DEFAULT) as home:
            await follow(home, self._systems)

    async def erasures(self) -> None:
        """Have all erasures in the register of this node."""
        async with self._tenants.lend(DEFAULT) as home:
            if not await agree(home, self._register):
                return
        for tenant, written in (await self._tenants.written()).items():
            before, since = self._seen.get(tenant, (-1.0, 0))
            if before != written:
                async with self._tenants.lend(tenant) as store:
                    self._seen[tenant] = (written, await note_others(store, self._register, since))
        note_tenants(await self._tenants.erased(), self._register, self._tenants.now())

    async def _every(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        told = ""
        while True:
            try:
                await look()
                told = ""
            except (StoreError, OSError, ValueError, KeyError) as error:  # the next look may get through
                if (said := str(error)) != told:
                    logger.error("this node does not follow the others: %s", said)
                told = said
            await asyncio.sleep(seconds)
