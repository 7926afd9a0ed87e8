"""What the server keeps of each tenant: its store, the search parameters in force there, its terminology, the secret
of page links.

Custom SearchParameters, ValueSets and CodeSystems are resources of the tenant. Every commit that touches one changes a
record, by which other workers notice, at most `CHECK_EVERY` later, that they have to read them again.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from fhir_server.model.json import decode
from fhir_server.packages import CANONICAL_TYPES, Library, core_library, load_library
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import (
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

_log = logging.getLogger("fhir_server.definitions")

CHECK_EVERY = 1_000
"""Milliseconds after which a worker looks whether another one changed the definitions."""

_STATE = Collection("server.state")
_DEFINITIONS = "definitions"
_SECRET = "page-links"  # noqa: S105  # the name of the record, not the secret
_TERMS = "terminology"
_DEFINING = "SearchParameter"
_PAGE = 1_000

_MARKED = {_DEFINITIONS: (_DEFINING,), _TERMS: CANONICAL_TYPES}
"""The record that a commit changes, and the types that make it do so."""

Changed = Callable[["Tenant", ParameterRegistry, ParameterRegistry], None]


@dataclass(slots=True)
class Tenant:
    """One tenant; `parameters` and `extractor` are replaced together when the definitions change, `terminology` when
    a ValueSet or CodeSystem does."""

    name: str
    store: Store
    parameters: ParameterRegistry
    extractor: Extractor
    link_secret: bytes
    terminology: Terminology
    token: str = ""
    terms_token: str = ""
    terms_revision: int = 0
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
        self._most_codes = settings.max_or_values
        self._open: dict[str, Tenant] = {}
        self._turn = asyncio.Lock()

    async def of(self, name: str) -> Tenant:
        """Return the tenant, its definitions up to date. Raises KeyError for an unknown one."""
        tenant = self._open.get(name)
        if tenant is None:
            async with self._turn:
                tenant = self._open.get(name) or await self._start(name)
        if self._now() - tenant.checked >= CHECK_EVERY:
            await self._refresh(tenant)
        return tenant

    def stores(self) -> list[Store]:
        """Return the stores that are open."""
        return [tenant.store for tenant in self._open.values()]

    async def commit(self, tenant: Tenant, changes: Sequence[Change]) -> CommitResult:
        """Commit; where SearchParameters or terminology change, all workers get to know."""
        types = {change.key.type for change in changes}
        names = [name for name, marking in _MARKED.items() if not types.isdisjoint(marking)]
        if not names:
            return await tenant.store.commit(changes)
        token = secrets.token_hex(8)
        marks = [RecordChange(_STATE.name, name, {"token": token}) for name in names]
        result = await tenant.store.commit(changes, marks)
        if _TERMS in names:
            await self._take_terms(tenant, changes, token)
        tenant.checked = 0
        await self._refresh(tenant)
        return result

    async def _start(self, name: str) -> Tenant:
        store = await self._stores.open(name)
        await store.declare(_STATE)
        standard = ParameterRegistry.standard()
        extractor, terminology = (
            Extractor(standard, zone=self._zone, trusted=self._trusted),
            Terminology(core_library(), self._most_codes),
        )
        tenant = Tenant(name, store, standard, extractor, await _secret(store), terminology)
        await self._load_terms(tenant, await store.records.get(_STATE.name, _TERMS))
        await self._load(tenant, await store.records.get(_STATE.name, _DEFINITIONS))
        self._open[name] = tenant
        return tenant

    async def _refresh(self, tenant: Tenant) -> None:
        async with tenant.turn:
            if self._now() - tenant.checked < CHECK_EVERY:
                return
            terms = await tenant.store.records.get(_STATE.name, _TERMS)
            if _token(terms) != tenant.terms_token:
                await self._load_terms(tenant, terms)
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

    async def _load_terms(self, tenant: Tenant, record: Record | None) -> None:
        self._keep_terms(tenant, await load_library(tenant.store, core_library()), record)

    async def _take_terms(self, tenant: Tenant, changes: Sequence[Change], token: str) -> None:
        """Take over one's own changes without reading all again, if nobody else's came before or after them."""
        async with tenant.turn:
            record = await tenant.store.records.get(_STATE.name, _TERMS)
            if record is not None and _token(record) == token and record.revision == tenant.terms_revision + 1:
                written = ((change.key, change.body.data) for change in changes)
                self._keep_terms(tenant, tenant.terminology.library.changed(written), record)

    def _keep_terms(self, tenant: Tenant, library: Library, record: Record | None) -> None:
        tenant.terminology = Terminology(library, self._most_codes)
        tenant.terms_token, tenant.terms_revision = _token(record), 0 if record is None else record.revision


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
