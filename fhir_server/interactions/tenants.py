"""What the server keeps of each tenant: its store, the search parameters in force there, its conformance resources
with what is made of them, the secret of page links.

Custom SearchParameters, profiles, ValueSets and the like are resources of the tenant, packages are its records. Every
commit that touches one changes a record, by which other workers notice, at most `CHECK_EVERY` later, that they have to
read them again.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from fhir_server.interactions.conformance import Conformance
from fhir_server.model.json import decode
from fhir_server.packages import CANONICAL_TYPES, Library, Package, installed, load_library
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    Audit,
    Change,
    Collection,
    CommitResult,
    Record,
    RecordChange,
    RecordChanged,
    StorageFull,
    Store,
    StoreProvider,
)
from fhir_server.terminology import Terminology
from fhir_server.validation import Validator

_log = logging.getLogger("fhir_server.definitions")

CHECK_EVERY = 1_000
"""Milliseconds after which a worker looks whether another one changed the definitions."""

_STATE = Collection("server.state")
_DEFINITIONS = "definitions"
_SECRET = "page-links"  # noqa: S105  # the name of the record, not the secret
_TERMS = "terminology"
_PACKAGES = "packages"
_DEFINING = "SearchParameter"
_PAGE = 1_000

_MARKED = {_DEFINITIONS: (_DEFINING,), _TERMS: CANONICAL_TYPES}
"""The record that a commit changes, and the types that make it do so."""

Changed = Callable[["Tenant", ParameterRegistry, ParameterRegistry], None]


@dataclass(slots=True)
class Tenant:
    """One tenant.

    `parameters` and `extractor` are replaced together when a SearchParameter changes; `library`, `terminology` and
    `validator` when a conformance resource or a package does.
    """

    name: str
    store: Store
    link_secret: bytes
    parameters: ParameterRegistry
    extractor: Extractor
    library: Library
    terminology: Terminology
    validator: Validator
    packages: tuple[Package, ...] = ()
    token: str = ""
    terms_token: str = ""
    terms_revision: int = 0
    packages_token: str = ""
    generation: int = 0
    checked: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Tenants:
    """The tenants that were asked for so far.

    Args:
        changed: told of the registry before and after, when it changes while serving: what has to be reindexed.
    """

    def __init__(
        self, stores: StoreProvider, settings: Settings, now: Callable[[], int], changed: Changed | None = None
    ) -> None:
        self._stores = stores
        self._now = now
        self._zone: tzinfo = UTC if settings.default_timezone == "UTC" else ZoneInfo(settings.default_timezone)
        self._trusted = settings.validation != "off"
        self._changed = changed
        self.conformance = Conformance(settings)
        self._open: dict[str, Tenant] = {}
        self._turn = asyncio.Lock()

    async def of(self, name: str) -> Tenant:
        """Return the tenant, its definitions up to date. Raises KeyError for an unknown one."""
        tenant = self._open.get(name)
        if tenant is None:
            async with self._turn:
                tenant = self._open.get(name) or await self._start(name)
        if self._now() - tenant.checked >= CHECK_EVERY and not tenant.turn.locked():
            await self._refresh(tenant)  # who comes while it runs goes on with what is known
        return tenant

    def stores(self) -> list[Store]:
        """Return the stores that are open."""
        return [tenant.store for tenant in self._open.values()]

    async def commit(self, tenant: Tenant, changes: Sequence[Change], *, audit: Audit | None = None) -> CommitResult:
        """Commit; where SearchParameters or terminology change, all workers get to know."""
        types = {change.key.type for change in changes}
        names = [name for name, marking in _MARKED.items() if not types.isdisjoint(marking)]
        if not names:
            return await tenant.store.commit(changes, audit=audit)
        token = secrets.token_hex(8)
        marks = [RecordChange(_STATE.name, name, {"token": token}) for name in names]
        result = await tenant.store.commit(changes, marks, audit=audit)
        if _TERMS in names:
            await self._take_terms(tenant, changes, token)
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
        result = await installed.install(tenant.store, package, data, _mark(_PACKAGES), replace=replace)
        tenant.checked = 0
        await self._refresh(tenant)
        return result

    async def uninstall(self, tenant: Tenant, name: str) -> bool:
        """Remove the package `name#version`; tell whether it was installed."""
        found = await installed.remove(tenant.store, name, _mark(_PACKAGES))
        tenant.checked = 0
        await self._refresh(tenant)
        return found

    async def _start(self, name: str) -> Tenant:
        store = await self._stores.open(name)
        await store.declare(_STATE)
        await store.declare(installed.PACKAGES)
        standard = ParameterRegistry.standard()
        extractor = Extractor(standard, zone=self._zone, trusted=self._trusted)
        base = self.conformance.base
        tenant = Tenant(name, store, await _secret(store), standard, extractor, base, *self.conformance.made_of(base))
        await self._load_library(tenant, always=True)
        await self._load(tenant, await store.records.get(_STATE.name, _DEFINITIONS))
        self._open[name] = tenant
        return tenant

    async def _refresh(self, tenant: Tenant) -> None:
        async with tenant.turn:
            if self._now() - tenant.checked < CHECK_EVERY:
                return
            await self._load_library(tenant)
            record = await tenant.store.records.get(_STATE.name, _DEFINITIONS)
            if _token(record) == tenant.token:
                tenant.checked = self._now()
                return
            before = tenant.parameters
            await self._load(tenant, record)
            if self._changed is not None and before.version != tenant.parameters.version:
                self._changed(tenant, before, tenant.parameters)

    async def _load(self, tenant: Tenant, record: Record | None) -> None:
        if record is not None:
            custom = await _custom(tenant.store)
            tenant.parameters = _registry(custom)
            tenant.extractor = Extractor(tenant.parameters, zone=self._zone, trusted=self._trusted)
        tenant.token, tenant.checked = _token(record), self._now()

    async def _load_library(self, tenant: Tenant, *, always: bool = False) -> None:
        """Read again what others have changed of packages and conformance resources."""
        records = tenant.store.records
        terms, packages = await records.get(_STATE.name, _TERMS), await records.get(_STATE.name, _PACKAGES)
        of_packages = always or _token(packages) != tenant.packages_token
        of_terms = always or _token(terms) != tenant.terms_token
        generation = self.conformance.generation
        if of_packages:
            tenant.packages = await installed.load_packages(tenant.store, self.conformance.limits)
            tenant.packages_token = _token(packages)
        if of_packages or of_terms:
            below = self.conformance.over_packages(tenant.packages) if of_packages else tenant.library.below
            library = await load_library(tenant.store, below) if of_terms else tenant.library.over(below)
            self._keep(tenant, library, terms if of_terms else None)
        elif generation != tenant.generation:
            self._keep(tenant, tenant.library, None)
        tenant.generation = generation

    async def _take_terms(self, tenant: Tenant, changes: Sequence[Change], token: str) -> None:
        """Take over one's own changes without reading all again, if nobody else's came before or after them."""
        async with tenant.turn:
            record = await tenant.store.records.get(_STATE.name, _TERMS)
            if record is not None and _token(record) == token and record.revision == tenant.terms_revision + 1:
                written = ((change.key, change.body.data) for change in changes)
                self._keep(tenant, tenant.library.changed(written), record)

    def _keep(self, tenant: Tenant, library: Library, record: Record | None) -> None:
        tenant.library = library
        tenant.terminology, tenant.validator = self.conformance.made_of(library)
        if record is not None:
            tenant.terms_token, tenant.terms_revision = _token(record), record.revision


def _mark(name: str) -> RecordChange:
    """Return the change by which other workers notice that something changed."""
    return RecordChange(_STATE.name, name, {"token": secrets.token_hex(8)})


def _registry(custom: Sequence[Mapping[str, object]]) -> ParameterRegistry:
    """Return the parameters in force. A definition that an older release took and this one does not is left out and
    named in the log, so that the server starts all the same."""
    standard = ParameterRegistry.standard()
    try:
        return standard.with_custom(custom)
    except ValueError as error:
        _log.error("a SearchParameter is not in force: %s", error)
    sound: list[Mapping[str, object]] = []
    for resource in custom:
        with suppress(ValueError):
            standard.with_custom([*sound, resource])
            sound.append(resource)
    return standard.with_custom(sound)


def _token(record: Record | None) -> str:
    return "" if record is None else str(record.value["token"])


async def _custom(store: Store) -> list[dict[str, object]]:
    """Return all SearchParameters of the store, read in pages."""
    search = Search({_DEFINING: EVERYTHING}, count=_PAGE)
    found: list[dict[str, object]] = []
    while True:
        page = await store.search(search)
        found += [decode(version.body.data) for version in page.versions]
        if page.next is None:
            return found
        search = replace(search, after=page.next)


async def _secret(store: Store) -> bytes:
    """Return the secret of page links, made by whoever comes first."""
    record = await store.records.get(_STATE.name, _SECRET)
    if record is None:
        fresh = RecordChange(_STATE.name, _SECRET, {"key": secrets.token_hex(32)}, expected=0)
        try:
            await store.commit((), (fresh,))
        except StorageFull:  # a new store on a full disk answers all the same; its links live as long as this process
            return secrets.token_bytes(32)
        except RecordChanged:
            pass
        record = await store.records.get(_STATE.name, _SECRET)
    if record is None:
        raise AssertionError("the record was written")
    return bytes.fromhex(str(record.value["key"]))
