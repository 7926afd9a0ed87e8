"""Keeps the open tenants of a process as the register has them, and closes those that nobody asks for."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from fhir_server.interactions.tenant import Tenant
from fhir_server.interactions.tenants import Tenants
from fhir_server.resilience import Complaint
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError
from fhir_server.tenancy.register import Register

LOOK_EVERY: Final = 0.4
"""Seconds between looks into the register: within a second all workers know that a tenant is suspended."""

_log = logging.getLogger("fhir_server.tenants")


class TenantKeeper:
    """One for each process."""

    def __init__(self, tenants: Tenants, register: Register, settings: Settings, now: Callable[[], int]) -> None:
        self._tenants, self._register, self._now = tenants, register, now
        self._idle, self._region = settings.tenant_idle * 1_000, settings.region

    async def watch(self) -> None:
        """Look now and then, for as long as this runs."""
        complaint = Complaint()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.look()
                complaint.well()
            except StoreError as error:  # the next look may get through
                if complaint.is_new():
                    _log.warning("the register of tenants cannot be read: %s", error)

    async def look(self) -> None:
        """Take over what has changed, and close what is idle or not served any more."""
        await self._register.refresh()
        for tenant in self._tenants.house.all():
            known = self._register.known.get(tenant.name)
            if known is not None and known is not tenant.registration:
                self._tenants.take(tenant, known)
        await self._tenants.house.close_those(self._unwanted)

    def _unwanted(self, tenant: Tenant) -> bool:
        known = tenant.registration
        return (known is not None and not known.served_in(self._region)) or self._now() - tenant.used > self._idle
