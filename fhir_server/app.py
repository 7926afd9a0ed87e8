"""create_app(settings): the only place where the parts of the server meet."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.alerts import listening
from fhir_server.api.application import Application, Running, make_application
from fhir_server.api.decode import Parts
from fhir_server.api.plugin_routes import plugin_routes
from fhir_server.api.routes import Router
from fhir_server.api.xml import json_to_xml, xml_to_json
from fhir_server.audit.alarms import Alarms
from fhir_server.audit.recorder import Recorder
from fhir_server.auth.counts import Counts, Home, counts_of
from fhir_server.auth.desk import Desk
from fhir_server.auth.gate import Gate
from fhir_server.auth.limits import Limits
from fhir_server.auth.scopes import offer
from fhir_server.backstage import Backstage, backstage, index_parts
from fhir_server.definitions import Definitions, load
from fhir_server.dispatch import Server, context_of, dispatch, forget, known_base, record, run
from fhir_server.feed.background import Part
from fhir_server.interactions.patching import make_apply_patch
from fhir_server.interactions.tenant import Tenant
from fhir_server.interactions.tenant_administration import TenantAdministration
from fhir_server.interactions.tenant_keeper import TenantKeeper
from fhir_server.interactions.tenants import Added, Tenants
from fhir_server.jobs.indexing import IndexKeeper
from fhir_server.jobs.queue import JobQueue
from fhir_server.jobs.runner import Host, Runner
from fhir_server.model.json import decode_stored
from fhir_server.operations.core import core_operations
from fhir_server.operations.registry import Registry
from fhir_server.plugin_host.assembly import Assembly, definitions_with
from fhir_server.plugin_host.migrations import Readiness
from fhir_server.plugin_host.switch import Switch, administration
from fhir_server.plugins import load_plugins
from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.base import Store, StoreProvider
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.telemetry.breakers import BreakerNumbers, HasBreakers
from fhir_server.telemetry.health import Check, HasHealth
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import DEFAULT, public_base
from fhir_server.terminology.systems.installed import FOLDER
from fhir_server.terminology.systems.shared import Watch

Clock = Callable[[], int]
Engine = Callable[[Settings, Clock, Definitions], StoreProvider]

_VERSION = 0x7 << 76 | 0b10 << 62
_FREE = ~(0xF << 76 | 0b11 << 62)


_ENDED_WITHIN = 20
"""Seconds in which background work that is told to end does so; then it is told again."""


def now() -> int:
    """Return the time as milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def sqlite(settings: Settings, clock: Clock, definitions: Definitions) -> StoreProvider:
    """Return the embedded engine."""
    return SqliteProvider(settings.data_dir, settings, clock, extract_by(settings, definitions))


def mongodb(settings: Settings, clock: Clock, definitions: Definitions) -> StoreProvider:
    """Return the engine on MongoDB; its driver is an extra, and settings that ask for it without are refused."""
    from fhir_server.storage.mongodb.provider import MongoProvider

    return MongoProvider(settings, clock)


def indexed(stores: StoreProvider, settings: Settings, clock: Clock) -> StoreProvider:
    """Return an engine with the search index beside it that the settings name, or the engine alone."""
    if settings.search_index == "none":
        return stores
    from fhir_server.storage.elasticsearch.provider import IndexedProvider

    return IndexedProvider(stores, settings, clock)


ENGINES: Mapping[str, Engine] = {"sqlite": sqlite, "mongodb": mongodb}


def create_app(settings: Settings, *, engine: Engine | None = None, clock: Clock = now) -> Application:
    """Build the application; its lifespan opens the store and closes it.

    Args:
        engine: makes the stores, if not that of the settings; tests take the one in memory.
        clock: milliseconds since 1970 UTC.

    Raises:
        PluginFault: a plugin cannot be used; the message names it, its hook and the line.
    """
    assembly = Assembly(load_plugins(settings))
    offer({each.name: each.words for each in assembly.values("register_scopes")})
    core = (*core_operations(), *administration(assembly, Switch(assembly)))
    definitions, operations = definitions_of(settings), Registry(assembly.operations(core, settings))
    free = frozenset(each.facts.code for each in operations.operations if each.any_format)
    parts = Parts(definitions, settings, Router(definitions), free)
    served = plugin_routes(assembly.routes(), settings, assembly.faults)

    def opened() -> AbstractAsyncContextManager[Running]:
        return _opened(app, parts, operations, assembly, (engine or ENGINES[settings.storage], clock))

    app = make_application(parts, opened, operations.facts, served)
    app.assembly = app.watched.assembly = assembly
    return app


@dataclass(frozen=True, slots=True)
class _Held:
    """What is open while the application is, and closed after it."""

    stores: StoreProvider
    jobs: Runner
    recorder: Recorder | None
    register: Register
    counts: Counts
    limits: Limits


@asynccontextmanager
async def _opened(
    app: Application, parts: Parts, operations: Registry, assembly: Assembly, made: tuple[Engine, Clock]
) -> AsyncIterator[Running]:
    settings, (engine, now) = parts.settings, made
    stores = indexed(engine(settings, now, parts.definitions), settings, now)
    home = partial(stores.open, DEFAULT)
    counts = counts_of(settings, home)
    register, limits = Register(settings, home), Limits(settings, now, counts)
    held = _Held(stores, Runner(now, settings), Recorder(now) if settings.audited else None, register, counts, limits)
    watching: list[asyncio.Task[Any]] = []
    breakers = BreakerNumbers(stores.breakers if isinstance(stores, HasBreakers) else list)
    try:
        server = assembly.server = _server(parts, operations, assembly, held, now)
        tenants = server.tenants
        store = (await tenants.of(DEFAULT)).store
        tenants.house.busy_by(held.jobs.uses)
        tenants.house.when_closed(partial(_parted, server))
        watching += map(
            asyncio.create_task, (TenantKeeper(tenants, register, settings, now).watch(), Switch(assembly).watch())
        )
        held.jobs.start(Host(partial(context_of, server), run, tenants.held, stores.ring, operations))
        await register.refresh()
        await assembly.observe("on_start")
        parts_behind = [Part("the jobs", JobQueue(held.jobs, stores).run), *index_parts(server, stores)]
        behind = backstage(server, assembly, stores, parts_behind)
        if app.background:
            watching.append(asyncio.create_task(behind.background.run()))
        alarms = listening(Alarms(held.recorder, tenants.held)) if held.recorder is not None else nullcontext()
        with alarms, app.checks.having(*_checks(settings, home, stores, behind)):
            yield Running(
                partial(dispatch, server), partial(_ready, store), partial(_desk_of, server), partial(record, server),
                tenants.held, register.hosts, TenantAdministration(tenants, register, stores, settings, now),
                behind.feed.settled, held.limits, behind.numbers,
            )  # fmt: skip
    finally:
        breakers.close()
        await _closed(watching, assembly, held)


async def _closed(watching: Sequence[asyncio.Task[Any]], assembly: Assembly, held: _Held) -> None:
    while waiting := [task for task in watching if not task.done()]:
        for task in waiting:  # again, should one have lost it
            task.cancel()
        await asyncio.wait(waiting, timeout=_ENDED_WITHIN)
    if assembly.server is not None:
        await assembly.observe("on_stop")
    await held.jobs.close()
    if held.recorder is not None:
        await held.recorder.close()
    await held.counts.close()
    await held.stores.close()
    assembly.server = None  # whoever still holds the application, holds no tenants


def _checks(settings: Settings, home: Home, stores: StoreProvider, behind: Backstage) -> list[Check]:
    """Return what `/health/ready` asks beside whether the store answers."""
    own = stores.health_checks() if isinstance(stores, HasHealth) else ()
    systems = [Watch(home, settings.data_dir / FOLDER).check] if settings.shared else []
    return [*own, *systems, *behind.checks]


async def _ready(store: Store) -> bool:
    return await store.last_txid() >= 0


async def _desk_of(server: Server, name: str, base: str) -> Desk:
    """Return what authorization needs of a tenant that is known under a base URL."""
    gate, settings = server.gate, server.settings
    assert gate is not None
    own = settings.base_url.rstrip("/") if name == DEFAULT else ""
    return await gate.desk(await server.tenants.of(name), own or base or public_base(settings, name))


async def _parted(server: Server, tenant: Tenant) -> None:
    """Let go of a tenant whose store is about to be closed."""
    forget(server, tenant.name)
    if server.recorder is not None:
        await server.recorder.part(tenant.name)


def _server(parts: Parts, operations: Registry, assembly: Assembly, held: _Held, now: Clock) -> Server:
    settings = parts.settings
    keeper = IndexKeeper(held.jobs, lambda request: context_of(server, request), lambda name: known_base(server, name))
    added = Added(
        assembly.values("register_search_parameters"),
        Readiness(held.stores, assembly.collections(), assembly.values("register_migrations")),
        parts.definitions,
        assembly.conformance(),
    )
    server = Server(
        settings=settings,
        definitions=parts.definitions,
        tenants=Tenants(held.stores, settings, now, keeper.changed, held.register, added),
        router=parts.router,
        operations=operations,
        apply_patch=make_apply_patch(json_to_xml, xml_to_json),
        now=now,
        new_id=new_id,
        jobs=held.jobs,
        gate=Gate(settings, parts.definitions, now, held.limits) if settings.auth == "smart" else None,
        recorder=held.recorder,
        deciders=assembly.deciders(),
        plugin_grants=assembly.grants(),
    )
    return server


def new_id() -> str:
    """Return a fresh logical id: a UUID of version 7, whose order is that of time, so new keys lie beside each other.

    Source: RFC 9562, section 5.7
    """
    bits = now() << 80 | int.from_bytes(os.urandom(10))
    digits = f"{bits & _FREE | _VERSION:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@lru_cache(4)
def definitions_of(settings: Settings) -> Definitions:
    """Return R4's facts with the types of the plugins that are there; the same for all parts of a process, which keep
    what they compile by them."""
    return definitions_with(load_plugins(settings), load())


def extract_by(settings: Settings, definitions: Definitions | None = None) -> Callable[[str, bytes], IndexEntries]:
    """Return what makes the index rows of stored bytes anew, by the standard parameters.

    Without definitions they are those of R4 with the types of the plugins that are there.
    """
    zone: tzinfo = UTC if settings.default_timezone == "UTC" else ZoneInfo(settings.default_timezone)
    facts = definitions or definitions_of(settings)
    extractor = Extractor(ParameterRegistry.of_definitions(facts), zone=zone)

    def extract(type_: str, data: bytes) -> IndexEntries:
        return extractor.extract(type_, decode_stored(data))

    return extract
