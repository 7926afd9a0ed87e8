"""What administrators of the installation do with tenants: create, change, suspend and erase them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import COLLECTIONS
from fhir_server.auth.user_administration import ADMIN, UserAsked, add_user, found_user, set_password
from fhir_server.errors import BadValue, Conflict, NotFound
from fhir_server.interactions.legal_holds import LEGAL_HOLDS, held_patients
from fhir_server.interactions.tenant import Elsewhere
from fhir_server.interactions.tenant_keeper import LOOK_EVERY
from fhir_server.interactions.tenants import Tenants
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import Store, StoreProvider
from fhir_server.tenancy.erasures import bring, note_tenant, place_of
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import DEFAULT, Registration

_PAGE: Final = 1_000
_LEAVING: Final = 50
"""Looks for requests that are under way, before the files of an erased tenant go all the same."""


class TenantAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A tenant as an administrator describes it; what is UNSET stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    display: str | msgspec.UnsetType = msgspec.UNSET
    settings: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    hosts: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    max_resources: int | msgspec.UnsetType = msgspec.UNSET
    max_bytes: int | msgspec.UnsetType = msgspec.UNSET
    region: str | msgspec.UnsetType = msgspec.UNSET
    administrator: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class TenantAdministration:
    """The tenants of an installation, by any of its processes."""

    tenants: Tenants
    register: Register
    stores: StoreProvider
    settings: Settings
    now: Callable[[], int]

    async def all(self) -> list[Registration]:
        """Return every tenant but the default one, erased ones too."""
        await self.register.refresh()
        return [self.register.known[name] for name in sorted(self.register.known)]

    async def one(self, name: str) -> Registration:
        """Return a tenant. Raises NotFound."""
        found = await self.register.find(name)
        if found is None:
            raise NotFound(f"there is no tenant {name[:80]!r}")
        return found

    async def here(self, name: str) -> Registration:
        """Return a tenant whose data this server may show. Raises NotFound, Elsewhere."""
        found = await self.one(name)
        if found.region not in ("", self.settings.region):
            raise Elsewhere(found, self.settings)
        return found

    async def create(self, asked: TenantAsked) -> tuple[Registration, str]:
        """Make a tenant; return it with the password that its first administrator signs in with once.

        Its name is taken before its store is made; where that is cut off, the same call goes on.

        Raises:
            BadValue: something of it cannot be.
            Conflict: the name was ever taken, or a host is, or it is to lie in another region.
        """
        values = _given(asked)
        others = {pair.partition("=")[0] for pair in self.settings.region_urls} - {self.settings.region}
        if values.get("region") in others:
            raise Conflict(f"its data would lie here, in the region {self.settings.region!r}: create it there")
        who = values.pop("administrator", ADMIN)
        made = await self.register.add(Registration(**{"name": "", **values, "created": self.now()}))
        async with self.tenants.house.turn:
            store = await self.stores.create(made.name)
            once = await self._first_administrator(store, made, who)
            await self.stores.shut(made.name)
        return await self.register.change(made.name, state="active"), once

    async def change(self, name: str, asked: TenantAsked) -> Registration:
        """Change what is given. Raises BadValue, Conflict and NotFound."""
        values = _given(asked)
        if "name" in values or "administrator" in values:
            raise BadValue("the name of a tenant stays, and its administrators are users of it")
        self._alive(await self.one(name))
        if "settings" in values:  # those named; null takes one away
            merged = {**(await self.one(name)).settings, **values["settings"]}
            values["settings"] = {key: value for key, value in merged.items() if value is not None}
        return await self.register.change(name, **values)

    async def suspend(self, name: str, reason: str = "") -> Registration:
        """Serve a tenant no more; in all workers within a second."""
        self._alive(await self.one(name))
        return await self.register.change(name, state="suspended", reason=reason)

    async def resume(self, name: str) -> Registration:
        """Serve a tenant again."""
        self._alive(await self.one(name))
        return await self.register.change(name, state="active", reason="")

    async def erase(self, name: str, confirm: str) -> Registration:
        """Remove all that a tenant has, its keys too; its name stays taken. Return it with the certificate.

        It is noted for restores first: an older backup does not bring it back.

        Raises:
            BadValue: the name was not given a second time.
            Conflict: a patient of it is under a legal hold.
        """
        known = await self.one(name)
        if confirm != name:
            raise BadValue("to erase a tenant, give its name once more as `confirm`")
        if known.state in ("active", "suspended"):
            await self._need_no_holds(name)
        await asyncio.to_thread(note_tenant, place_of(self.settings), name, self.now(), {})
        await bring(self.settings)
        before = known.certificate or (await self._weight(name) if known.state != "creating" else {})
        nothing: dict[str, Any] = {"display": "", "reason": "", "hosts": (), "settings": {}}
        await self.register.change(name, state="erased", certificate=before, **nothing)
        await self._all_left(name)
        await self.stores.remove(name)
        after = {"bytesLeft": self.stores.size(name), "erased": datetime.now(UTC).isoformat(timespec="seconds")}
        return await self.register.change(name, certificate={**before, **after})

    async def exported(self, name: str) -> AsyncIterator[bytes]:
        """Yield the current resources of a tenant, a suspended one too, as NDJSON; those of a type are of one instant.

        Raises:
            KeyError: there is none.
        """
        async with self.tenants.house.borrow(name) as store:
            for type_ in sorted(await store.statistics()):
                search: Search | None = Search({type_: EVERYTHING}, count=_PAGE)
                while search is not None:
                    page = await store.search(search)
                    yield b"".join(version.stamped() + b"\n" for version in page.versions)
                    search = replace(search, after=page.next) if page.next else None

    async def _first_administrator(self, store: Store, made: Registration, name: str) -> str:
        desk = Desk(store, made.over(self.settings), "", "", self.now)
        for collection in COLLECTIONS:
            await store.declare(collection)
        try:
            return (await add_user(desk, UserAsked(name=name, roles=(ADMIN,))))[1]
        except Conflict:  # an earlier call was cut off after this
            return await set_password(desk, await found_user(desk, name), None)

    async def _need_no_holds(self, name: str) -> None:
        async with self.tenants.house.borrow(name) as store:
            await store.declare(LEGAL_HOLDS)
            held = await held_patients(store)
        if held:
            raise Conflict(f"{len(held)} patients of the tenant {name!r} are under a legal hold: release them first")

    async def _weight(self, name: str) -> dict[str, Any]:
        """Return what there is of a tenant."""
        async with self.tenants.house.borrow(name) as store:
            resources = sum((await store.statistics()).values())
            commits = await store.last_txid()
        size = await asyncio.to_thread(self.stores.size, name)
        return {"resources": resources, "commits": commits, "bytes": size}

    async def _all_left(self, name: str) -> None:
        """Wait until all workers have heard of it, and until what is under way here has ended."""
        await asyncio.sleep(2.5 * LOOK_EVERY)
        for _ in range(_LEAVING):
            if self.tenants.house.get(name) is None:
                return
            await asyncio.sleep(LOOK_EVERY)

    def _alive(self, known: Registration) -> None:
        if known.name == DEFAULT or known.state in ("creating", "erased"):
            raise Conflict(f"the tenant {known.name!r} is {known.state}")


def _given(asked: TenantAsked) -> dict[str, Any]:
    values = {name: getattr(asked, name) for name in asked.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
