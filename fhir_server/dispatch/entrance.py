"""The way in: the tenant of a request, who asks, and the context that they get."""

from functools import partial

from fhir_server.audit.events import Agent
from fhir_server.auth.access import Access, stranger
from fhir_server.auth.gate import CLIENT
from fhir_server.auth.unrestricted import Open, Public
from fhir_server.context import Caller, Context, Restriction
from fhir_server.dispatch.contexts import OPEN, kept
from fhir_server.dispatch.server import Server
from fhir_server.errors import FhirError, Unauthorized, UnknownPath
from fhir_server.interactions.tenant import Tenant
from fhir_server.model.exchange import FhirRequest
from fhir_server.tenancy.registration import DEFAULT, public_base

PLUGIN = "plugin:"
"""What the grant of a plugin begins with; only the server itself makes requests under it."""
_DOOR = "http://local/"
_PUBLIC = Public()
_EVERYBODY = Caller(admin=True)
_NOBODY = Caller(grant="")


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


def authorize(server: Server, request: FhirRequest) -> tuple[Caller, Restriction]:
    """Return who asks and what they may see: in a server without authorization, everybody everything."""
    return _EVERYBODY, OPEN


async def _let_in(server: Server, tenant: Tenant, base: str, request: FhirRequest) -> Context:
    """Return the context of who asks. Raises Unauthorized."""
    gate = server.gate
    if gate is None and request.grant in server.plugin_grants:
        plugin = request.grant
        return kept(server, tenant, base, server.unasked.setdefault(plugin, Open()), partial(_plugin, plugin))
    if gate is None and request.grant.startswith(CLIENT):
        device = request.grant
        return kept(server, tenant, base, server.unasked.setdefault(device, Open()), partial(_device, device))
    if gate is None or request.grant == "*":
        caller, restriction = authorize(server, request)
        return kept(server, tenant, base, restriction, lambda: caller)
    if request.interaction == "capabilities":
        return kept(server, tenant, base, _PUBLIC, lambda: _NOBODY)
    if request.grant.startswith(PLUGIN):
        access = await gate.of_plugin(tenant, base, request.grant, server.plugin_grants)
    elif request.grant.startswith(CLIENT):
        access = await gate.of_client(tenant, base, request.grant.removeprefix(CLIENT))
    elif request.grant:
        access = await gate.under(tenant, base, request.grant)
    else:
        access = await gate.access(tenant, base, request.headers.get("authorization"))
    return kept(server, tenant, base, access.restriction, partial(_caller_of, access))


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


def known_base(server: Server, tenant: str) -> str:
    """Return the URL under which clients know a tenant, for work that no request has asked for.

    Commands that come by the local door name no host that anybody else could reach.
    """
    open_ = [base for name, base, restriction in server.contexts if name == tenant and restriction == id(OPEN)]
    seen = [base for base in open_ if not base.startswith(_DOOR)]
    return public_base(server.settings, tenant) or (seen[-1] if seen else "")


def forget(server: Server, tenant: str) -> None:
    """Forget what is kept of a tenant, whose store is about to be closed."""
    for key in [key for key in server.contexts if key[0] == tenant]:
        del server.contexts[key]
    if server.gate is not None:
        server.gate.forget(tenant)
