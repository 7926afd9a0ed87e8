"""What plugins work with: PluginContext within a request, a job or a batch of changes; Host for what runs beside."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fhir_server.audit.events import Event
from fhir_server.auth.gate import CLIENT
from fhir_server.auth.lasting import end_lasting, make_lasting, still_lasts
from fhir_server.context import Caller, Context, JobHandle
from fhir_server.dispatch import PLUGIN, Server, context_of
from fhir_server.errors import FhirError
from fhir_server.model.exchange import FhirRequest
from fhir_server.operations.operation import CoreOperation
from fhir_server.plugin_host.client import Client
from fhir_server.plugin_host.faults import Faults
from fhir_server.plugins import Loaded
from fhir_server.storage.base import BlobRef, Record, RecordChange, Store, StoreError, Where

SERVER = "*"
"""The grant of what the server does by itself, and of everybody where nothing asks for tokens."""


def _unheard(event: Event) -> None:
    """Nothing is audited."""


class PluginStore:
    """Records and blobs of one plugin in one tenant; its collections are `NAME.something`, and no others."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._prefix = store, f"{name}."

    async def get(self, collection: str, key: str) -> Record | None:
        """Return one record."""
        return await self._store.records.get(self._own(collection), key)

    async def find(
        self, collection: str, where: Sequence[Where] = (), *, order: str = "key", after: str | None = None,
        limit: int = 100, offset: int = 0,
    ) -> list[Record]:  # fmt: skip
        """Return records in the order of a declared field (or key), `-field` for descending; `after` a key."""
        return await self._store.records.find(
            self._own(collection), where, order=order, after=after, limit=limit, offset=offset
        )

    async def put(self, *changes: RecordChange) -> None:
        """Write records, all or nothing. Raises RecordChanged where one is not at the revision that is expected."""
        for change in changes:
            self._own(change.collection)
        await self._store.commit((), changes)

    async def stage(self, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Write a large object; it stays once a commit attaches it (`Beside(blobs=[BlobChange(id, attach=True)])`)."""
        return await self._store.blobs.stage(chunks)

    async def discard(self, blob_id: str) -> None:
        """Remove a staged blob that is not wanted after all."""
        await self._store.blobs.discard(blob_id)

    async def keep(self, *blobs: Any, records: Sequence[RecordChange] = ()) -> None:
        """Attach or release blobs (BlobChange), and write records with that."""
        for change in records:
            self._own(change.collection)
        await self._store.commit((), records, blobs)

    async def open(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read a range [start, end) of a large object. Raises KeyError: there is none."""
        return await self._store.blobs.open(blob_id, start, end)

    async def stat(self, blob_id: str) -> BlobRef | None:
        """Return size and digest of a large object."""
        return await self._store.blobs.stat(blob_id)

    def _own(self, collection: str) -> str:
        if not collection.startswith(self._prefix):
            raise ValueError(
                f"the plugin {self._prefix[:-1]} has no collection {collection}: name it {self._prefix}..."
            )
        return collection


@dataclass(frozen=True, slots=True)
class PluginContext:
    """One piece of work of a plugin, in one tenant.

    client: FHIR under the authority of the caller; in consumers, jobs and background work of the plugin itself.
    own: FHIR under the plugin's own scopes, audited as the plugin.
    caller: who asks. base: URL of the FHIR endpoint. settings: the plugin's. core: the server's own context.
    host: the server as the plugin sees it outside of any request.
    """

    tenant: str
    base: str
    caller: Caller
    client: Client
    own: Client
    settings: Any
    store: PluginStore
    core: Context
    services: Mapping[str, object]
    host: "Host"

    @property
    def shared(self) -> dict[str, Any]:
        """What the plugin keeps in this process, the same in all its contexts and its Host."""
        return self.host.shared

    async def lasting_grant(self) -> str:
        """Return a grant under which work may go on for the caller when their token has expired; see Host."""
        return await self.host.lasting_grant(self)

    def service(self, name: str) -> Any:
        """Return a service of another plugin that the manifest requires.

        Of one that it only `uses`, ask `services.get(name)`: None where its plugin is off.
        """
        return self.services[name]

    def note(self, event: Event) -> None:
        """Record an AuditEvent of the caller that sums up what a route with `sums_up`, or work beside requests, showed.

        Raises:
            Busy: nothing can be recorded, so nothing may be shown.
        """
        self.noting()(event)

    def noting(self) -> Callable[[Event], None]:
        """Return `note` as of now: what is noted later, when the request is over, is still from where it came."""
        return self.core.auditor.noting() if self.core.auditor is not None else _unheard

    def acting(self, address: str = "") -> AbstractContextManager[None]:
        """Have what is written within recorded as the caller's, where no request is under way (DIMSE)."""
        return self.core.auditor.acting(address) if self.core.auditor is not None else nullcontext()

    def now(self) -> int:
        """Return the time as milliseconds since 1970 UTC."""
        return self.core.now()

    def new_id(self) -> str:
        """Return a fresh logical id."""
        return self.core.new_id()

    @property
    def job(self) -> JobHandle | None:
        """The job that an operation runs as, where to keep how far it came; None outside of one."""
        return self.core.job

    def progress(self, done: int, of: int = 0) -> None:
        """Say how far a job came."""
        self.core.progress(done, of)


class Host:
    """The server as one plugin sees it outside of any request.

    Args:
        server: gives the dispatcher's parts, once they are there.
        services: of the plugins that this one requires.
    """

    def __init__(self, server: Callable[[], Server], plugin: Loaded, services: Mapping[str, object]) -> None:
        self._server, self.plugin, self._services = server, plugin, services
        self.shared: dict[str, Any] = {}
        self.provided: Mapping[str, object] = {}
        """What the plugin's own `register_services` gave, so that `on_start` can set it to work."""

    @property
    def settings(self) -> Any:
        """The plugin's settings."""
        return self.plugin.settings

    @property
    def asks_for_tokens(self) -> bool:
        """Tell whether callers have to show who they are; else everybody may do everything."""
        return self._server().gate is not None

    async def context(self, tenant: str = "default", base: str = "") -> PluginContext:
        """Return a context in which the plugin works for itself. Raises UnknownPath: there is no such tenant."""
        return self.within(await self._own(tenant, base))

    async def let_in(self, tenant: str, authorization: str, base: str = "") -> PluginContext:
        """Return the context of a caller by an Authorization header. Raises Unauthorized."""
        request = FhirRequest(
            "GET", "operation", base, tenant=tenant, headers={"authorization": authorization} if authorization else {}
        )
        return self.within(await self.context_for(request))

    async def context_for(self, request: FhirRequest) -> Context:
        """Return the server's context of a request, its caller let in. Raises Unauthorized."""
        return await context_of(self._server(), request)

    async def under(self, tenant: str, grant: str, base: str = "") -> PluginContext:
        """Return a context under a lasting grant. Raises Unauthorized: it has ended, with its app or its user."""
        server = self._server()
        if server.gate is not None and grant != SERVER:
            found = await server.tenants.of(tenant)
            await still_lasts(await server.gate.desk(found, base), grant)
        return self.within(await context_of(server, FhirRequest("GET", "operation", base, tenant=tenant, grant=grant)))

    async def as_client(self, tenant: str, client: str, base: str = "") -> PluginContext:
        """Return the context of a registered client that proved who it is without a token (a device, by its
        certificate or address): it may do what its system scopes say. Where nobody is asked for tokens, `client` is
        the name that the audit knows it by.

        Raises:
            Unauthorized: no such client is registered, or it is switched off. UnknownPath: there is no such tenant.
        """
        request = FhirRequest("GET", "operation", base, tenant=tenant, grant=f"{CLIENT}{client}")
        return self.within(await context_of(self._server(), request))

    async def lasting_grant(self, ctx: PluginContext) -> str:
        """Return a grant for work that goes on for the caller when their token has expired.

        It gives what theirs gives, at each moment; the user sees it among their apps and may revoke it, and it ends
        with the app and with the user.
        """
        server = self._server()
        if server.gate is None or ctx.caller.grant == SERVER or ctx.caller.grant.startswith(PLUGIN):
            return ctx.caller.grant
        found = await server.tenants.of(ctx.tenant)
        return await make_lasting(await server.gate.desk(found, ctx.base), ctx.caller.grant)

    async def end_lasting(self, tenant: str, grant: str) -> None:
        """End a grant that `lasting_grant` made, when the work is done. Others are left alone."""
        server = self._server()
        if server.gate is not None and grant != SERVER and not grant.startswith(PLUGIN):
            await end_lasting(await server.gate.desk(await server.tenants.of(tenant), ""), grant)

    def within(self, ctx: Context, tenant: str = "") -> PluginContext:
        """Return the plugin's view of a context of the server."""
        name = tenant or ctx.tenant

        async def same() -> Context:
            return ctx

        return PluginContext(
            tenant=name,
            base=ctx.base,
            caller=ctx.caller,
            client=Client(same, name, ctx.base),
            own=Client(partial(self._own, name, ctx.base), name, ctx.base),
            settings=self.plugin.settings,
            store=PluginStore(ctx.store, self.plugin.name),
            core=ctx,
            services=self._services,
            host=self,
        )

    async def _own(self, tenant: str, base: str) -> Context:
        request = FhirRequest("GET", "operation", base, tenant=tenant, grant=f"{PLUGIN}{self.plugin.name}")
        return await context_of(self._server(), request)


class PluginOff(FhirError):
    """The plugin that would answer is switched off."""

    status, code = 503, "not-supported"


Handler = Callable[[PluginContext, Any], Awaitable[Any]]


def guarded(host: Host, faults: Faults, what: str, handler: Handler) -> Callable[[Context, Any], Awaitable[Any]]:
    """Return a handler of the plugin as the core calls its own: with the server's context, its failures counted."""

    async def handle(ctx: Context, call: Any) -> Any:
        if faults.is_off(host.plugin.name):
            raise PluginOff(f"the plugin {host.plugin.name} is switched off; an administrator may enable it")
        try:
            return await handler(host.within(ctx), call)
        except (FhirError, StoreError):
            raise
        except Exception as error:
            faults.note(host.plugin.name, what, error)
            raise

    return handle


def own_operation(host: Host, faults: Faults, operation: CoreOperation) -> CoreOperation:
    """Return an operation of a plugin, its handler guarded."""
    return replace(operation, handler=guarded(host, faults, f"${operation.facts.code}", operation.handler))
