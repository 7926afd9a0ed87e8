"""Gate: lets requests in, or refuses them, for all tenants of a process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from urllib.parse import parse_qsl

from fhir_server.auth.access import Access, Tokens, refused
from fhir_server.auth.clients import find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant
from fhir_server.auth.limits import Limits
from fhir_server.auth.providers import providers_of
from fhir_server.auth.records import COLLECTIONS
from fhir_server.auth.roles import roles_of
from fhir_server.auth.scopes import Scopes, parse_scopes
from fhir_server.definitions import Definitions
from fhir_server.errors import BadRequest
from fhir_server.plugins import PluginGrant
from fhir_server.search.expander import CodeExpander
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import parse_search
from fhir_server.search.query import NOTHING, Node, Visibility
from fhir_server.settings import Settings
from fhir_server.storage.base import Store

CLIENT = "client:"
"""What the grant of a client begins with that proved who it is without a token; no request from outside has it."""


class Housed(Protocol):
    """What the gate has to know of a tenant."""

    @property
    def name(self) -> str:
        """Name of the tenant, as it stands in URLs."""

    @property
    def store(self) -> Store:
        """Its store, of which users, clients, masks and consents are read."""

    @property
    def settings(self) -> Settings:
        """The server's settings, with those of the tenant over them."""

    @property
    def parameters(self) -> ParameterRegistry:
        """The search parameters that the tenant has now."""

    @property
    def terminology(self) -> CodeExpander:
        """What widens a code in a criterion of a scope or consent to those that it subsumes."""


@dataclass(slots=True)
class _Known:
    parameters: ParameterRegistry
    settings: Settings
    tokens: Tokens
    desk: Desk
    limits: Limits | None

    def fits(self, tenant: Housed) -> bool:
        """Tell whether the tenant is as it was when this was made."""
        return (
            self.parameters is tenant.parameters
            and self.settings is tenant.settings
            and self.desk.store is tenant.store
        )


class Gate:
    """Looks at the tokens of requests."""

    def __init__(
        self, settings: Settings, facts: Definitions, now: Callable[[], int], limits: Limits | None = None
    ) -> None:
        self._facts, self._now = facts, now
        self._known: dict[str, _Known] = {}
        self._limits = limits or Limits(settings, now)
        roles_of(settings.roles_file)  # refused now, not at the first token
        providers_of(settings.providers_file)

    async def access(self, tenant: Housed, base: str, header: str | None) -> Access:
        """Return what the caller was granted. Raises Unauthorized."""
        known = await self._of(tenant, base)
        access = await known.tokens.access(known.desk, header)
        if known.limits is not None:
            await _spend(known.limits, tenant.name, access.grant)
        return access

    async def under(self, tenant: Housed, base: str, grant_id: str) -> Access:
        """Return what a grant gives, for work that goes on by itself. Raises Unauthorized: it has ended."""
        desk = await self.desk(tenant, base)
        return await self._known[tenant.name].tokens.under(desk, grant_id)

    async def of_plugin(self, tenant: Housed, base: str, grant_id: str, given: Mapping[str, PluginGrant]) -> Access:
        """Return what a plugin may do by itself: what its scopes give, as far as consent and labels let it be."""
        desk = await self.desk(tenant, base)
        allowed = given.get(grant_id, PluginGrant())
        grant = Grant(grant_id, client=grant_id, scopes=allowed.scopes)
        return await self._known[tenant.name].tokens.made(desk, grant, limited=not allowed.past_consent)

    async def of_client(self, tenant: Housed, base: str, client_id: str) -> Access:
        """Return what a registered client may do by itself, for a device that proves who it is without a token.

        Raises:
            Unauthorized: no such client is registered, or it is switched off.
        """
        desk = await self.desk(tenant, base)
        client = await find_client(desk, client_id)
        if client is None:
            raise refused("the client of this device is not registered, or switched off", "invalid_token")
        own = tuple(scope for scope in parse_scopes(client.scopes).resources if scope.level == "system")
        grant = Grant(f"{CLIENT}{client.id}", client=client.id, scopes=str(Scopes(own, frozenset())))
        return await self._known[tenant.name].tokens.made(desk, grant, limited=True)

    async def desk(self, tenant: Housed, base: str) -> Desk:
        """Return the desk of a tenant, whose clients know it under a base URL."""
        return (await self._of(tenant, base)).desk

    async def _of(self, tenant: Housed, base: str) -> _Known:
        known = self._known.get(tenant.name)
        if known is None:
            for collection in COLLECTIONS:
                await tenant.store.declare(collection)
        if known is None or not known.fits(tenant):
            narrow = partial(narrowed_to, tenant, tenant.settings, self._now)
            desk = Desk(tenant.store, tenant.settings, base, base, self._now)
            tokens = Tokens(self._facts, narrow, tenant.parameters, tenant.name)
            limits = self._limits.under(tenant.settings)
            limited = limits.has("client", "user", "tenant")
            known = _Known(tenant.parameters, tenant.settings, tokens, desk, limits if limited else None)
            self._known[tenant.name] = known
        elif known.desk.base != base:
            known = self._known[tenant.name] = replace(known, desk=replace(known.desk, base=base, issuer=base))
        return known

    def forget(self, tenant: str) -> None:
        """Forget what is kept of a tenant, whose store is about to be closed."""
        self._known.pop(tenant, None)


async def _spend(limits: Limits, tenant: str, grant: Grant) -> None:
    """Count a request. Raises TooManyRequests."""
    await limits.spend("tenant", tenant)
    await limits.spend("client", f"{tenant} {grant.client}")
    if grant.user:
        await limits.spend("user", f"{tenant} {grant.user}")


def narrowed_to(tenant: Housed, settings: Settings, now: Callable[[], int], type_: str, query: str) -> Node:
    """Return the predicate of a granular scope; what cannot be read for a type grants nothing of it."""
    try:
        parsed = parse_search(
            tuple(parse_qsl(query, keep_blank_values=True)),
            types=(type_,),
            registry=tenant.parameters,
            settings=settings,
            visibility=Visibility(),
            expander=tenant.terminology,
            now=now(),
        )
    except BadRequest:
        return NOTHING
    return parsed.search.branches.get(type_, NOTHING)
