"""What the server keeps of each tenant: its store, the search parameters in force there, its conformance resources
with what is made of them, the secret of page links.

Custom SearchParameters, profiles, ValueSets and the like are resources of the tenant, packages are its records. Every
commit that touches one changes a record, by which other workers notice, at most `CHECK_EVERY` later, that they have to
read them again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from fhir_server.definitions import Definitions, load
from fhir_server.interactions.conformance import Conformance
from fhir_server.interactions.house import House
from fhir_server.interactions.legal_holds import LEGAL_HOLDS, keep_held
from fhir_server.interactions.link_secret import link_secret
from fhir_server.interactions.marks import DEFINITIONS, PACKAGES, STATE, TERMS, is_of, mark, marks_of, read_mark, token
from fhir_server.interactions.parameters_in_force import custom_parameters, registry_of
from fhir_server.interactions.tenant import Tenant, keep_to_limits, refused
from fhir_server.packages import Library, installed, load_library
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    Audit,
    BlobChange,
    Change,
    CommitResult,
    Record,
    RecordChange,
    Store,
    StoreProvider,
    StoreUnavailable,
)
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import DEFAULT, Registration

CHECK_EVERY = 1_000
"""Milliseconds after which a worker looks whether another one changed the definitions."""

Changed = Callable[[Tenant, ParameterRegistry, ParameterRegistry], None]


async def _nothing(tenant: str, store: Store) -> None:
    """There are no plugins."""


@dataclass(frozen=True, slots=True)
class Added:
    """What plugins add to each tenant: SearchParameter resources, conformance resources, records.

    ready: makes the collections of plugins ready in a store.
    definitions: those of R4, with the resource types that plugins add; R4's alone if None.
    """

    parameters: Sequence[Mapping[str, object]] = ()
    ready: Callable[[str, Store], Awaitable[None]] = _nothing
    definitions: Definitions | None = None
    conformance: Sequence[Mapping[str, object]] = ()


_NOTHING_ADDED = Added()


class Tenants:
    """The tenants that are open.

    Args:
        changed: told of the registry before and after, when it changes while serving: what has to be reindexed.
        register: who is a tenant; without one, whoever has a store. added: what plugins add.
    """

    def __init__(
        self,
        stores: StoreProvider,
        settings: Settings,
        now: Callable[[], int],
        changed: Changed | None = None,
        register: Register | None = None,
        added: Added = _NOTHING_ADDED,
    ) -> None:
        self._stores = stores
        self._now = now
        self._settings = settings
        self._register = register
        self._added = added
        self._told: list[Callable[[Tenant], None]] = []
        definitions = added.definitions or load()
        self._facts = ParameterRegistry.of_definitions(definitions)
        self._standard = registry_of(self._facts, added.parameters) if added.parameters else self._facts
        self.house = House(stores, settings.tenants_open)
        self._zone: tzinfo = UTC if settings.default_timezone == "UTC" else ZoneInfo(settings.default_timezone)
        self._changed = changed
        self.conformance = Conformance(settings, definitions, added.conformance)

    def at_hand(self, name: str) -> Tenant | None:
        """Return a tenant that is open and served, if it is too early to look whether something of it changed."""
        tenant = self.house.get(name)
        if tenant is None or self._now() - tenant.checked >= CHECK_EVERY:
            return None
        return tenant if tenant.registration is None or tenant.registration.served_in(self._settings.region) else None

    async def of(self, name: str) -> Tenant:
        """Return the tenant, its definitions up to date.

        Raises:
            KeyError: there is none of this name.
            Suspended: nobody is served by it now. Elsewhere: it is bound to another region.
            Busy: as many tenants as may be open are at work.
        """
        tenant = self.house.get(name)
        if tenant is None:
            async with self.house.turn:
                tenant = self.house.get(name) or await self._start(name)
        if tenant.registration is not None and not tenant.registration.served_in(self._settings.region):
            raise refused(tenant.registration, self._settings)
        if self._now() - tenant.checked >= CHECK_EVERY and not tenant.turn.locked():
            tenant.held += 1
            try:
                await self._refresh(tenant)  # who comes while it runs goes on with what is known
            finally:
                tenant.held -= 1
        return tenant

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[Tenant]:
        """Keep a tenant open while the context lasts. Raises as `of` does."""
        tenant = await self.of(name)
        while self.house.get(name) is not tenant:
            tenant = await self.of(name)  # it was closed while its definitions were looked at
        tenant.held += 1
        try:
            yield tenant
        finally:
            tenant.held -= 1
            tenant.used = self._now()

    def take(self, tenant: Tenant, known: Registration) -> None:
        """Have an open tenant as the register has it now."""
        tenant.registration = known
        tenant.settings = known.over(self._settings)
        tenant.extractor = self._extractor(tenant.parameters, tenant.settings)
        for told in self._told:
            told(tenant)

    def when_changed(self, told: Callable[[Tenant], None]) -> None:
        """Have it told of each open tenant whose registration has changed."""
        self._told.append(told)

    def stores(self) -> list[Store]:
        """Return the stores that are open."""
        return [tenant.store for tenant in self.house.all()]

    async def commit(
        self,
        tenant: Tenant,
        changes: Sequence[Change],
        records: Sequence[RecordChange] = (),
        blobs: Sequence[BlobChange] = (),
        /,
        *,
        audit: Audit | None = None,
    ) -> CommitResult:
        """Commit; where SearchParameters or terminology change, all workers get to know. Raises Conflict: a hold."""
        await keep_held(tenant.store, changes)
        if tenant.registration is not None:
            await keep_to_limits(tenant, changes, self._stores.size, self._now())
        marks = marks_of(change.key.type for change in changes)
        if not marks:
            return await tenant.store.commit(changes, records, blobs, audit=audit)
        result = await tenant.store.commit(changes, [*records, *marks], blobs, audit=audit)
        with suppress(StoreUnavailable):  # it is stored; what is known of it here is read by who comes next
            for change in marks:
                if change.key == TERMS:
                    await self._take_terms(tenant, changes, change)
            tenant.checked = 0
            await self._refresh(tenant)
        return result

    async def install(self, tenant: Tenant, data: bytes, *, replace: bool) -> installed.Installed:
        """Install a package; it is in force here at once.

        Raises:
            PackageError: it cannot be used.
            AlreadyInstalled: this name and version with other content, and it is not to be replaced.
        """
        package = await installed.read(data, self.conformance.limits)
        result = await installed.install(tenant.store, package, data, mark(PACKAGES), replace=replace)
        tenant.checked = 0
        await self._refresh(tenant)
        return result

    async def uninstall(self, tenant: Tenant, name: str) -> bool:
        """Remove the package `name#version`; tell whether it was installed."""
        found = await installed.remove(tenant.store, name, mark(PACKAGES))
        tenant.checked = 0
        await self._refresh(tenant)
        return found

    async def _start(self, name: str) -> Tenant:
        registration = await self._registered(name)
        if registration is not None:
            await self.house.make_room()
        store = await self._stores.open(name)
        await store.declare(STATE)
        await store.declare(LEGAL_HOLDS)
        await store.declare(installed.PACKAGES)
        await self._added.ready(name, store)
        standard = self._standard
        settings = registration.over(self._settings) if registration else self._settings
        extractor = self._extractor(standard, settings)
        base = self.conformance.base
        tenant = Tenant(
            name, store, settings, await link_secret(store), standard, extractor, base, *self.conformance.made_of(base),
            registration=registration, used=self._now(),
        )  # fmt: skip
        await self._load_library(tenant, always=True)
        await self._load(tenant, await read_mark(store, DEFINITIONS))
        self.house.add(tenant)
        return tenant

    def _extractor(self, parameters: ParameterRegistry, settings: Settings) -> Extractor:
        return Extractor(parameters, zone=self._zone, trusted=settings.validation != "off")

    async def _registered(self, name: str) -> Registration | None:
        """Return what is known of a tenant, or nothing where all are served. Raises as `of` does."""
        if name == DEFAULT or self._register is None:
            return None
        registration = await self._register.find(name)
        if registration is None:
            raise KeyError(name)
        if not registration.served_in(self._settings.region):
            raise refused(registration, self._settings)
        return registration

    async def _refresh(self, tenant: Tenant) -> None:
        async with tenant.turn:
            if self._now() - tenant.checked < CHECK_EVERY:
                return
            await self._load_library(tenant)
            record = await read_mark(tenant.store, DEFINITIONS)
            if token(record) == tenant.token:
                tenant.checked = self._now()
                return
            before = tenant.parameters
            await self._load(tenant, record)
            if self._changed is not None and before.version != tenant.parameters.version:
                self._changed(tenant, before, tenant.parameters)

    async def _load(self, tenant: Tenant, record: Record | None) -> None:
        if record is not None:
            custom = await custom_parameters(tenant.store)
            tenant.parameters = registry_of(self._facts, [*self._added.parameters, *custom])
            tenant.extractor = self._extractor(tenant.parameters, tenant.settings)
        tenant.token, tenant.checked = token(record), self._now()

    async def _load_library(self, tenant: Tenant, *, always: bool = False) -> None:
        """Read again what others have changed of packages and conformance resources."""
        terms, packages = await read_mark(tenant.store, TERMS), await read_mark(tenant.store, PACKAGES)
        of_packages = always or token(packages) != tenant.packages_token
        of_terms = always or token(terms) != tenant.terms_token
        generation = self.conformance.generation
        if of_packages:
            tenant.packages = await installed.load_packages(tenant.store, self.conformance.limits)
            tenant.packages_token = token(packages)
        if of_packages or of_terms:
            below = self.conformance.over_packages(tenant.packages) if of_packages else tenant.library.below
            library = await load_library(tenant.store, below) if of_terms else tenant.library.over(below)
            self._keep(tenant, library, terms if of_terms else None)
        elif generation != tenant.generation:
            self._keep(tenant, tenant.library, None)
        tenant.generation = generation

    async def _take_terms(self, tenant: Tenant, changes: Sequence[Change], marked: RecordChange) -> None:
        """Take over one's own changes without reading all again, if nobody else's came before or after them."""
        async with tenant.turn:
            record = await read_mark(tenant.store, TERMS)
            if record is not None and is_of(record, marked) and record.revision == tenant.terms_revision + 1:
                written = ((change.key, change.body.data) for change in changes)
                self._keep(tenant, tenant.library.changed(written), record)

    def _keep(self, tenant: Tenant, library: Library, record: Record | None) -> None:
        tenant.library = library
        tenant.terminology, tenant.validator = self.conformance.made_of(library)
        if record is not None:
            tenant.terms_token, tenant.terms_revision = token(record), record.revision
