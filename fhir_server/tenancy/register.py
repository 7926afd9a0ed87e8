"""Register: the tenants of an installation, as one process knows them; kept as records of the default tenant.

Names stay in it for ever, those of erased tenants too, so that nobody gets the name of another.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from fhir_server.errors import Conflict, NotFound
from fhir_server.settings import Settings
from fhir_server.storage.base import Collection, RecordChange, RecordChanged, RecordField, Store, Where
from fhir_server.tenancy.registration import Registration, checked, read_registration

TENANTS: Final = Collection("server.tenants", (RecordField("serial", "integer"),))
_MARK: Final = "~"
"""The record that says how many changes there were; no tenant can be called so."""

_PAGE: Final = 500
_TRIES: Final = 20


class Register:
    """What is known of each tenant. `known` and `hosts` are as of the last `refresh`.

    Args:
        home: gives the store of the default tenant.
    """

    def __init__(self, settings: Settings, home: Callable[[], Awaitable[Store]]) -> None:
        self._settings, self._home = settings, home
        self._declared = False
        self._serial = 0
        self._fixed = dict(pair.lower().split("=", 1) for pair in settings.tenant_hosts)
        self.known: dict[str, Registration] = {}
        self.hosts: dict[str, str] = dict(self._fixed)

    async def refresh(self) -> list[Registration]:
        """Read what has changed, and return it."""
        store = await self._store()
        mark = await store.records.get(TENANTS.name, _MARK)
        serial = _number(mark.value["mark"]) if mark else 0
        if serial == self._serial:
            return []
        changed = await self._since(store, self._serial)
        self._serial = serial
        self.known.update({each.name: each for each in changed})
        self._map_hosts()
        return changed

    async def find(self, name: str) -> Registration | None:
        """Return a registration, one that another process made, finished or resumed a moment ago too."""
        known = self.known.get(name)
        if known is None or known.state in ("creating", "suspended"):
            await self.refresh()
        return self.known.get(name)

    async def add(self, registration: Registration) -> Registration:
        """Register a tenant. Raises BadValue, and Conflict where the name or a host was ever given away."""
        for _ in range(_TRIES):
            await self.refresh()
            known = self.known.get(registration.name)
            if known is not None and known.state != "creating":
                raise Conflict(f"the name {registration.name!r} is taken; names of erased tenants stay so")
            if await self._put(registration):
                return self.known[registration.name]
        raise Conflict("the register changes all the time; try again")

    async def change(self, name: str, **values: Any) -> Registration:
        """Change a registration. Raises NotFound, BadValue, and Conflict for a host that another tenant has."""
        for _ in range(_TRIES):
            await self.refresh()
            known = self.known.get(name)
            if known is None:
                raise NotFound(f"there is no tenant {name[:80]!r}")
            if await self._put(replace(known, **values)):
                return self.known[name]
        raise Conflict("the register changes all the time; try again")

    async def _put(self, registration: Registration) -> bool:
        """Write a registration as the next change; False if somebody else's came first."""
        wanted = checked(registration, self._settings)
        taken = [host for host in wanted.hosts if self.hosts.get(host, wanted.name) != wanted.name]
        if taken:
            raise Conflict(f"{', '.join(taken)[:200]} serves another tenant")
        store = await self._store()
        mark = await store.records.get(TENANTS.name, _MARK)
        serial = (_number(mark.value["mark"]) if mark else 0) + 1
        if serial != self._serial + 1:
            return False
        value = {**asdict(replace(wanted, serial=serial)), "hosts": list(wanted.hosts)}
        told = RecordChange(TENANTS.name, _MARK, {"mark": serial}, expected=mark.revision if mark else 0)
        try:
            await store.commit((), (RecordChange(TENANTS.name, wanted.name, value), told))
        except RecordChanged:
            return False
        await self.refresh()
        return True

    async def _since(self, store: Store, serial: int) -> list[Registration]:
        found: list[Registration] = []
        after = None
        where = (Where("serial", ">", serial),)
        while page := await store.records.find(TENANTS.name, where, after=after, limit=_PAGE):
            found += [read_registration(record.value) for record in page]
            after = page[-1].key
        return found

    def _map_hosts(self) -> None:
        """Make the map anew in place: the edge looks into it."""
        served: Mapping[str, str] = {
            host: each.name for each in self.known.values() if each.state != "erased" for host in each.hosts
        }
        self.hosts.clear()
        self.hosts.update({**served, **self._fixed})

    async def _store(self) -> Store:
        store = await self._home()
        if not self._declared:
            await store.declare(TENANTS)
            self._declared = True
        return store


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
