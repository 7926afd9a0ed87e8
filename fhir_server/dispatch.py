"""FhirRequest to FhirResponse: authorize, then the interaction or operation, then audit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from fhir_server.audit.auditor import Auditor
from fhir_server.audit.events import Agent, Event, agent_text, row_of
from fhir_server.audit.interactions import AUDIT_HANDLERS
from fhir_server.audit.recorder import Recorder
from fhir_server.auth.access import Access, stranger
from fhir_server.auth.gate import CLIENT, Gate
from fhir_server.auth.unrestricted import Open, Public
from fhir_server.context import (
    ApplyPatch,
    Caller,
    Commit,
    Context,
    Deciders,
    Jobs,
    Level,
    Operation,
    Operations,
    Restriction,
    Router,
)  # fmt: skip
from fhir_server.definitions import Definitions
from fhir_server.errors import FhirError, Forbidden, Unauthorized, UnknownPath
from fhir_server.interactions.admission import admit
from fhir_server.interactions.batch import batch
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.evening import SEARCHES, even_out, found_nothing
from fhir_server.interactions.history import history
from fhir_server.interactions.masking import answered, store_of, written
from fhir_server.interactions.packages import TenantPackages
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.store_errors import translate, unavailable
from fhir_server.interactions.tenant import Tenant
from fhir_server.interactions.tenants import Tenants
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.jobs.status import job_cancel, job_status
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.plugins import PluginGrant
from fhir_server.prompt import in_task
from fhir_server.resilience import within
from fhir_server.settings import Settings
from fhir_server.storage.base import (
    BlobChange,
    Change,
    CommitResult,
    ConditionChanged,
    RecordChange,
    SearchTooCostly,
    StoreError,
    StoreUnavailable,
    VersionChanged,
)  # fmt: skip
from fhir_server.telemetry.numbers import CUT_OFF, OPERATION_SECONDS, STORE_ERRORS
from fhir_server.tenancy.registration import DEFAULT, public_base

PLUGIN = "plugin:"
"""What the grant of a plugin begins with; only the server itself makes requests under it."""
Handler = Callable[[Context, FhirRequest], Awaitable[FhirResponse]]

HANDLERS: Mapping[str, Handler] = {
    "read": read,
    "vread": vread,
    "update": update,
    "patch": patch,
    "delete": delete,
    "create": create,
    "history-instance": history,
    "history-type": history,
    "history-system": history,
    "search-type": search,
    "search-system": search,
    "search-compartment": search,
    "capabilities": capabilities,
    "batch": batch,
    "transaction": transaction,
    "job-status": job_status,
    "job-cancel": job_cancel,
}


@dataclass(frozen=True, slots=True)
class Server:
    """The long-lived parts of one process; app.py makes it. Without a gate everybody is let in;
    without a recorder nothing is audited. plugin_grants: what each plugin may do by itself."""

    settings: Settings
    definitions: Definitions
    tenants: Tenants
    router: Router
    operations: Operations
    apply_patch: ApplyPatch
    now: Callable[[], int]
    new_id: Callable[[], str]
    jobs: Jobs | None = None
    gate: Gate | None = None
    recorder: Recorder | None = None
    deciders: Deciders | None = None
    plugin_grants: Mapping[str, PluginGrant] = field(default_factory=dict)
    contexts: dict[tuple[str, str, int], Context] = field(init=False, default_factory=dict, repr=False, compare=False)
    """Contexts made lately, by tenant, base URL and the identity of their restriction, which they keep alive."""
    unasked: dict[str, Restriction] = field(init=False, default_factory=dict, repr=False, compare=False)
    """The restriction of each plugin where nobody is asked for a token: its own, so that it is told from others."""


_OPEN = Open()
_DOOR = "http://local/"
_PUBLIC = Public()
MOST_CONTEXTS = 1_000
_EVERYBODY = Caller(admin=True)
_NOBODY = Caller(grant="")


async def dispatch(server: Server, request: FhirRequest) -> FhirResponse:
    """Answer one request.

    Raises:
        FhirError: for the edge to answer.
    """
    with within(server.settings.store_deadline):
        try:
            ctx = await context_of(server, request)
        except StoreUnavailable as error:
            raise unavailable(error) from error
        return await run(ctx, request)


async def context_of(server: Server, request: FhirRequest) -> Context:
    """Return the context of a request, its caller authorized."""
    tenant = server.tenants.at_hand(request.tenant) or await _tenant(server, request)
    base = request.base if tenant.registration else server.settings.base_url.rstrip("/") or request.base
    try:
        return await _let_in(server, tenant, base, request)
    except FhirError as error:
        if server.recorder is not None:
            book = server.recorder.book(tenant.name, tenant.store.audit)
            server.recorder.refused(book, Agent(address=request.address), error.status)
        raise


def known_base(server: Server, tenant: str) -> str:
    """Return the URL under which clients know a tenant, for work that no request has asked for.

    Commands that come by the local door name no host that anybody else could reach.
    """
    open_ = [base for name, base, restriction in server.contexts if name == tenant and restriction == id(_OPEN)]
    seen = [base for base in open_ if not base.startswith(_DOOR)]
    return public_base(server.settings, tenant) or (seen[-1] if seen else "")


def authorize(server: Server, request: FhirRequest) -> tuple[Caller, Restriction]:
    """Return who asks and what they may see: in a server without authorization, everybody everything."""
    return _EVERYBODY, _OPEN


async def _let_in(server: Server, tenant: Tenant, base: str, request: FhirRequest) -> Context:
    """Return the context of who asks. Raises Unauthorized."""
    gate = server.gate
    if gate is None and request.grant in server.plugin_grants:
        plugin = request.grant
        return _kept(server, tenant, base, server.unasked.setdefault(plugin, Open()), partial(_plugin, plugin))
    if gate is None and request.grant.startswith(CLIENT):
        device = request.grant
        return _kept(server, tenant, base, server.unasked.setdefault(device, Open()), partial(_device, device))
    if gate is None or request.grant == "*":
        caller, restriction = authorize(server, request)
        return _kept(server, tenant, base, restriction, lambda: caller)
    if request.interaction == "capabilities":
        return _kept(server, tenant, base, _PUBLIC, lambda: _NOBODY)
    if request.grant.startswith(PLUGIN):
        access = await gate.of_plugin(tenant, base, request.grant, server.plugin_grants)
    elif request.grant.startswith(CLIENT):
        access = await gate.of_client(tenant, base, request.grant.removeprefix(CLIENT))
    elif request.grant:
        access = await gate.under(tenant, base, request.grant)
    else:
        access = await gate.access(tenant, base, request.headers.get("authorization"))
    return _kept(server, tenant, base, access.restriction, partial(_caller_of, access))


def _plugin(grant: str) -> Caller:
    return Caller(grant, grant=grant, client=grant)


def _device(grant: str) -> Caller:
    name = grant.removeprefix(CLIENT)
    return Caller(name, grant=grant, client=name)


def _caller_of(access: Access) -> Caller:
    grant = access.grant
    name = grant.subject or grant.user or grant.client
    return Caller(
        name, "admin" in grant.roles and access.restriction.whole, grant.id, grant.client, grant.subject, grant.user,
        grant.roles, (grant.patient,) if grant.patient else (), bool(grant.emergency), str(access.scopes),
    )  # fmt: skip


async def record(server: Server, tenant: str, agent: Agent, event: Event) -> None:
    """Record what is no FHIR request: what the authorization server does."""
    recorder = server.recorder
    if recorder is None:
        return
    found = await server.tenants.of(tenant)
    book = recorder.book(found.name, found.store.audit)
    if event.status >= 400:
        recorder.refused(book, agent, event.status, event.code)
    else:
        recorder.add(book, row_of(server.now(), agent_text(agent), event))


async def _tenant(server: Server, request: FhirRequest) -> Tenant:
    """Return the tenant of a request. One that is not there is refused as a token that is not good."""
    try:
        return await server.tenants.of(request.tenant)
    except KeyError:
        if server.gate is None or request.grant == "*":
            raise UnknownPath("there is nothing here", expression="http.url") from None
    if server.recorder is not None:
        home = await server.tenants.of(DEFAULT)
        server.recorder.refused(
            server.recorder.book(home.name, home.store.audit), Agent(address=request.address), Unauthorized.status
        )
    raise stranger(request.headers.get("authorization"))


def forget(server: Server, tenant: str) -> None:
    """Forget what is kept of a tenant, whose store is about to be closed."""
    for key in [key for key in server.contexts if key[0] == tenant]:
        del server.contexts[key]
    if server.gate is not None:
        server.gate.forget(tenant)


def _kept(server: Server, tenant: Tenant, base: str, restriction: Restriction, caller: Callable[[], Caller]) -> Context:
    """Return the context of a restriction, which belongs to one caller. It is kept as long as definitions and
    terminology stay; not too many are, for a client may name any host in its base."""
    key = tenant.name, base, id(restriction)
    ctx = server.contexts.get(key)
    if (
        ctx is None
        or ctx.extractor is not tenant.extractor
        or ctx.terminology is not tenant.terminology
        or ctx.settings is not tenant.settings
    ):
        if len(server.contexts) >= MOST_CONTEXTS:
            server.contexts.clear()
        ctx = server.contexts[key] = _context(server, tenant, base, caller(), restriction)
    return ctx


def _context(server: Server, tenant: Tenant, base: str, caller: Caller, restriction: Restriction) -> Context:
    commit: Commit = partial(server.tenants.commit, tenant)
    auditor = None
    if server.recorder is not None:
        book = server.recorder.book(tenant.name, tenant.store.audit)
        auditor = Auditor(server.recorder, book, server.definitions, caller)
        commit = auditor.around(tenant.store, partial(server.tenants.commit, tenant))

    async def decided(
        changes: Sequence[Change], records: Sequence[RecordChange] = (), blobs: Sequence[BlobChange] = (), /
    ) -> CommitResult:
        checked = changes if deciders is None else await deciders.check(ctx, changes)
        if restriction is _OPEN:
            return await commit(checked, records, blobs)
        try:
            return written(restriction.mask, await commit(await admit(ctx, checked), records, blobs))
        except VersionChanged as error:
            if any(change.key == error.key and change.expected is None for change in changes):
                raise ConditionChanged(f"{error.key} was changed after it was looked at") from error
            raise

    deciders = server.deciders if server.deciders is not None and server.deciders.checks else None
    ctx = Context(
        store=store_of(tenant.store, restriction.mask),
        settings=tenant.settings,
        definitions=server.definitions,
        parameters=tenant.parameters,
        extractor=tenant.extractor,
        library=tenant.library,
        validator=tenant.validator,
        terminology=tenant.terminology,
        packages=TenantPackages(server.tenants, tenant),
        operations=server.operations,
        router=server.router,
        apply_patch=server.apply_patch,
        caller=caller,
        restriction=restriction,
        now=server.now,
        new_id=server.new_id,
        execute=lambda inner: run(ctx, inner),
        commit=commit if restriction is _OPEN and deciders is None else decided,
        base=base,
        link_secret=tenant.link_secret,
        jobs=server.jobs,
        auditor=auditor,
        tenant=tenant.name,
        deciders=server.deciders,
    )
    return ctx


async def run(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Run one request, or one entry of a Bundle, for the caller of the context."""
    if ctx.auditor is not None:
        return await ctx.auditor.watch(ctx, request, _run)
    return await _run(ctx, request)


async def _run(ctx: Context, request: FhirRequest) -> FhirResponse:
    if not ctx.restriction.may(request.interaction, request.type):
        raise Forbidden(f"{request.interaction} of {request.type or 'the system'} is not allowed")
    if ctx.jobs is not None and _is_to_be_job(ctx, request):
        return await ctx.jobs.submit(ctx, request)
    handler = operate if request.interaction == "operation" else HANDLERS[request.interaction]
    if ctx.auditor is not None and request.type == "AuditEvent":
        handler = AUDIT_HANDLERS.get(request.interaction, handler)
    began = perf_counter()
    try:
        response = await handler(ctx, request)
    except StoreError as error:
        STORE_ERRORS.add(type(error).__name__)
        if isinstance(error, SearchTooCostly):
            CUT_OFF.add()
        raise await translate(ctx, error) from error
    except FhirError:
        await even_out(ctx, request, began)
        raise
    if request.interaction in SEARCHES and found_nothing(response):
        await even_out(ctx, request, began)
    if ctx.deciders is None or not ctx.deciders.shows:
        return response
    await in_task()
    return await ctx.deciders.show(ctx, response)


def _is_to_be_job(ctx: Context, request: FhirRequest) -> bool:
    """Tell whether the client asks for a job, and not from within one or about one.

    What everybody may ask without a token is never one: strangers would fill the record with jobs.
    """
    if request.preference("respond-async") is None or ctx.in_job:
        return False
    if request.interaction == "operation":
        operation = _operation(ctx, request)
        return operation is None or not operation.makes_job
    return request.interaction not in ("job-status", "job-cancel", "capabilities")


def _operation(ctx: Context, request: FhirRequest) -> Operation | None:
    level: Level = "instance" if request.id else "type" if request.type else "system"
    return ctx.operations.find(request.operation or "", request.type, level)


async def operate(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer a call of an operation."""
    operation = _operation(ctx, request)
    if operation is None:
        raise UnknownPath(f"there is no operation ${request.operation} here", expression="http.url")
    if operation.facts.affects_state and not _may_change(ctx, request.type or operation.facts.resources[0]):
        named = request.type or operation.facts.resources[0]
        what = named if named != "Resource" else "the record"
        said = f"${request.operation} changes {what}, and your access allows no change of it"
        raise Forbidden(f"{said}: ask for a token with a scope that writes", expression="http.url")
    with OPERATION_SECONDS.timed(f"${operation.facts.code}"):
        return answered(ctx.restriction.mask, await operation.run(ctx, request))


def _may_change(ctx: Context, type_: str) -> bool:
    """Tell whether the caller may write some resources of a type; what each write comes to is looked at in `admit`."""
    return any(ctx.restriction.may(interaction, type_) for interaction in ("create", "update", "delete"))
