"""create_app(settings): the only place where the parts of the server meet."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, tzinfo
from functools import partial
from zoneinfo import ZoneInfo

from fhir_server.alerts import listening
from fhir_server.api.application import Application, Running, make_application
from fhir_server.api.decode import Parts
from fhir_server.api.plugin_routes import plugin_routes
from fhir_server.api.routes import Router
from fhir_server.api.xml import json_to_xml, xml_to_json
from fhir_server.audit.alarms import Alarms
from fhir_server.audit.recorder import Recorder
from fhir_server.auth.desk import Desk
from fhir_server.auth.gate import Gate
from fhir_server.definitions import load
from fhir_server.dispatch import Server, context_of, dispatch, forget, known_base, record, run
from fhir_server.interactions.patching import make_apply_patch
from fhir_server.interactions.tenant import Tenant
from fhir_server.interactions.tenant_administration import TenantAdministration
from fhir_server.interactions.tenant_keeper import TenantKeeper
from fhir_server.interactions.tenants import Added, Tenants
from fhir_server.jobs.indexing import IndexKeeper
from fhir_server.jobs.runner import Host, Runner
from fhir_server.model.json import decode
from fhir_server.operations.core import core_operations
from fhir_server.operations.registry import Registry
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugins import load_plugins
from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.provider import SqliteProvider
from fhir_server.tenancy.register import Register
from fhir_server.tenancy.registration import DEFAULT, public_base

_VERSION = 0x7 << 76 | 0b10 << 62
_FREE = ~(0xF << 76 | 0b11 << 62)


def create_app(settings: Settings) -> Application:
    """Build the application; its lifespan opens the store and closes it."""
    assembly = Assembly(load_plugins(settings))
    definitions, operations = load(), Registry(assembly.operations(core_operations()))
    parts = Parts(definitions, settings, Router(definitions))
    served = plugin_routes(assembly.routes(), settings, assembly.faults)
    return make_application(parts, partial(_opened, parts, operations, assembly), operations.facts, served)


@asynccontextmanager
async def _opened(parts: Parts, operations: Registry, assembly: Assembly) -> AsyncIterator[Running]:
    settings = parts.settings
    stores = SqliteProvider(settings.data_dir, settings, now, extract_by(settings))
    jobs = Runner(now)
    recorder = Recorder(now) if settings.audited else None
    watching: asyncio.Task[None] | None = None
    try:
        keeper = IndexKeeper(jobs, lambda request: context_of(server, request), lambda name: known_base(server, name))
        register = Register(settings, partial(stores.open, DEFAULT))
        added = Added(assembly.values("register_search_parameters"), tuple(assembly.collections()))
        tenants = Tenants(stores, settings, now, keeper.changed, register, added)
        server = replace(
            _server(parts, tenants, operations, jobs), recorder=recorder, deciders=assembly.deciders(),
            plugin_scopes=assembly.scopes(),
        )  # fmt: skip
        assembly.server = server
        store = (await tenants.of(DEFAULT)).store
        tenants.house.busy_by(jobs.uses)
        tenants.house.when_closed(partial(_parted, server))
        watching = asyncio.create_task(TenantKeeper(tenants, register, settings, now).watch())
        jobs.start(Host(partial(context_of, server), run, tenants.stores))

        async def ready() -> bool:
            return await store.last_txid() >= 0

        async def desk_of(name: str, base: str) -> Desk:
            gate = server.gate
            assert gate is not None
            own = settings.base_url.rstrip("/") if name == DEFAULT else ""
            return await gate.desk(await server.tenants.of(name), own or base or public_base(settings, name))

        await register.refresh()
        await assembly.observe("on_start")
        with listening(Alarms(recorder, tenants.held)) if recorder is not None else nullcontext():
            yield Running(
                partial(dispatch, server), ready, desk_of, partial(record, server), tenants.held, register.hosts,
                TenantAdministration(tenants, register, stores, settings, now),
            )  # fmt: skip
    finally:
        if assembly.server is not None:
            await assembly.observe("on_stop")
        if watching is not None:
            watching.cancel()
        await jobs.close()
        if recorder is not None:
            await recorder.close()
        await stores.close()


async def _parted(server: Server, tenant: Tenant) -> None:
    """Let go of a tenant whose store is about to be closed."""
    forget(server, tenant.name)
    if server.recorder is not None:
        await server.recorder.part(tenant.name)


def _server(parts: Parts, tenants: Tenants, operations: Registry, jobs: Runner) -> Server:
    return Server(
        settings=parts.settings,
        definitions=parts.definitions,
        tenants=tenants,
        router=parts.router,
        operations=operations,
        apply_patch=make_apply_patch(json_to_xml, xml_to_json),
        now=now,
        new_id=new_id,
        jobs=jobs,
        gate=Gate(parts.settings, parts.definitions, now) if parts.settings.auth == "smart" else None,
    )


def now() -> int:
    """Return the time as milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def new_id() -> str:
    """Return a fresh logical id: a UUID of version 7, whose order is that of time, so new keys lie beside each other.

    Source: RFC 9562, section 5.7
    """
    bits = now() << 80 | int.from_bytes(os.urandom(10))
    digits = f"{bits & _FREE | _VERSION:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def extract_by(settings: Settings) -> Callable[[str, bytes], IndexEntries]:
    """Return what makes the index rows of stored bytes anew, by the standard parameters."""
    zone: tzinfo = UTC if settings.default_timezone == "UTC" else ZoneInfo(settings.default_timezone)
    extractor = Extractor(ParameterRegistry.standard(), zone=zone)

    def extract(type_: str, data: bytes) -> IndexEntries:
        return extractor.extract(type_, decode(data))

    return extract
