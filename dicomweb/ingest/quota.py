"""The quota of a tenant: how many bytes its objects take, counted from the index now and then."""

import time
from typing import Final

from dicomweb.index.collections import STUDIES
from fhir_server.plugin_api import PluginContext

_AGAIN: Final = 60.0
_PAGE: Final = 1_000


class Quota:
    """Of one process; `most` bytes, 0 for no limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._used: dict[str, tuple[float, int]] = {}

    async def has_room(self, ctx: PluginContext, size: int) -> bool:
        """Tell whether that many bytes more are within the quota."""
        counted, used = self._used.get(ctx.tenant, (0.0, 0))
        if time.monotonic() - counted > _AGAIN or not counted:
            used = await used_bytes(ctx)
            self._used[ctx.tenant] = time.monotonic(), used
        return used + size <= self.most

    def add(self, tenant: str, size: int) -> None:
        """Count what was stored."""
        if tenant in self._used:
            counted, used = self._used[tenant]
            self._used[tenant] = counted, used + size


async def used_bytes(ctx: PluginContext) -> int:
    """Return the bytes of all objects of a tenant."""
    total, after = 0, None
    while True:
        page = await ctx.store.find(STUDIES.name, after=after, limit=_PAGE)
        total += sum(int(str(record.value.get("size", 0))) for record in page)
        if len(page) < _PAGE:
            return total
        after = page[-1].key
