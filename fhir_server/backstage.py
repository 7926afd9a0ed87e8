"""What goes on beside requests, put together: the feed, the schedule, the background work of plugins."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from fhir_server.alerts import Alert, raise_alert
from fhir_server.audit.verify import verify
from fhir_server.auth.expired import sweep_expired
from fhir_server.context import Context
from fhir_server.dispatch import Server, context_of, known_base
from fhir_server.feed.background import Background, Part
from fhir_server.feed.feed import Feed
from fhir_server.feed.numbers import feed_health, read_numbers
from fhir_server.feed.schedule import Scheduler
from fhir_server.feed.scheduled import Scheduled
from fhir_server.interactions.tenant import Tenant
from fhir_server.jobs.counts import count_jobs
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.json import decode, encode
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.storage.base import Fed, Store, StoreProvider
from fhir_server.telemetry.health import Check, Finding
from fhir_server.telemetry.numbers import AUDIT_FAILURES, AUDIT_VERIFIED
from fhir_server.tenancy.registration import DEFAULT

_HOUR: Final = 3_600


@dataclass(frozen=True, slots=True)
class Held:
    """A tenant that is kept open; see feed/tenant_feed.py."""

    store: Store
    created: int


class Stage:
    """The server as feed and schedule see it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @asynccontextmanager
    async def held(self, tenant: str) -> AsyncIterator[Held]:
        """Keep a tenant open. Raises KeyError: there is none; FhirError: it is not served now."""
        async with self._server.tenants.held(tenant) as found:
            yield Held(found.store, found.registration.created if found.registration else 0)

    async def context_of(self, tenant: str, name: str) -> Context:
        """Return the server's own context of a tenant."""
        base = known_base(self._server, tenant) or _local(self._server, tenant)
        return await context_of(self._server, FhirRequest("GET", "operation", base, grant="*", tenant=tenant))


@dataclass(frozen=True, slots=True)
class Backstage:
    """What runs, and the feed in it."""

    background: Background
    feed: Feed
    numbers: Callable[[], Awaitable[None]]
    checks: Sequence[Check] = ()


def backstage(server: Server, assembly: Assembly, stores: StoreProvider, more: Sequence[Part] = ()) -> Backstage:
    """Put it together. Raises ValueError: two consumers, or two scheduled works, have one name."""
    stage, settings = Stage(server), server.settings
    feed = Feed(stores, stage, settings, server.now, assembly.consumers())
    scheduler = Scheduler(stores, stage, settings, server.now, [*_own(server), *assembly.scheduled()])

    def parted(tenant: Tenant) -> None:
        if tenant.registration is not None and not tenant.registration.served_in(settings.region):
            feed.let_go(tenant.name)

    server.tenants.when_changed(parted)
    parts = [Part("the feed", feed.run), Part("the schedule", scheduler.run), *more]
    for host, each in assembly.background():
        noted = partial(assembly.faults.note, host.plugin.name, each.name)
        parts.append(Part(f"{host.plugin.name}: {each.name}", partial(each.run, host), noted))

    async def numbers() -> list[Store]:
        open_, home = [each.store for each in server.tenants.house.all()], server.tenants.house.get(DEFAULT)
        await read_numbers(open_, server.now(), home.store if home else None)
        return open_

    async def read() -> None:
        await count_jobs(await numbers(), server.now())

    async def followed() -> Finding:
        await numbers()
        return feed_health()

    return Backstage(Background(stores, parts), feed, read, [Check("feed", followed, fresh_for=5)])


@dataclass(frozen=True, slots=True)
class _Extraction:
    """Makes index rows; equal to another by the same search parameters."""

    extractor: Extractor
    base: str

    def __call__(self, type_: str, data: bytes) -> IndexEntries:
        return self.extractor.extract(type_, decode(data), own_base=self.base)


def index_parts(server: Server, stores: StoreProvider) -> list[Part]:
    """Return what feeds the search index, where there is one."""
    if not isinstance(stores, Fed):
        return []
    stage = Stage(server)

    async def extract_of(tenant: str) -> Callable[[str, bytes], IndexEntries]:
        ctx = await stage.context_of(tenant, "search index")
        return _Extraction(ctx.extractor, ctx.base)

    return [Part("the search index", stores.feeder(stage, extract_of).run)]


def _own(server: Server) -> list[Scheduled]:
    """Return what the server itself does on the clock."""

    async def sweep_tokens(ctx: Context) -> None:
        await sweep_expired(ctx.store, ctx.now())

    async def follow_policies(ctx: Context) -> None:
        asked = {"resourceType": "Parameters", "parameter": [{"name": "dryRun", "valueBoolean": False}]}
        request = FhirRequest("POST", "operation", ctx.base, operation="retention", body=encode(asked), grant="*")
        await ctx.execute(request.but(tenant=ctx.tenant))

    verified: dict[str, float] = {}

    async def verify_audit(ctx: Context) -> None:
        report = await verify(ctx.store)
        if report.problems:
            AUDIT_FAILURES.add("verify")
            said = "the audit is not as its signed heads have it; see `fhir-server audit verify`"
            raise_alert(Alert("audit-broken", ctx.tenant, said))
            return
        verified[ctx.tenant] = ctx.now() / 1_000
        AUDIT_VERIFIED.set(min(verified.values()))

    found = []
    if server.settings.audit_verify_cron:
        cron = server.settings.audit_verify_cron
        found.append(Scheduled("server.audit", verify_audit, cron=cron, each_tenant=True))
    if server.settings.auth == "smart":
        found.append(Scheduled("server.tokens", sweep_tokens, every=_HOUR, each_tenant=True, written_only=True))
    if server.settings.retention_cron:
        cron = server.settings.retention_cron
        found.append(Scheduled("server.retention", follow_policies, cron=cron, each_tenant=True))
    return found


def _local(server: Server, tenant: str) -> str:
    """Return the URL of a tenant's endpoint on this machine, where no other is known."""
    settings = server.settings
    scheme = "https" if settings.tls_cert or settings.tls_self_signed else "http"
    root = f"{scheme}://{settings.host}:{settings.port}"
    return f"{root}/fhir" if tenant == DEFAULT else f"{root}/t/{tenant}/fhir"
