"""AuditEvent over the FHIR API: read, search, and the reports of apps; nothing of it is ever changed or deleted.

Spec: https://hl7.org/fhir/R4/auditevent.html
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from fhir_server.audit.auditor import agent_of_caller
from fhir_server.audit.events import REPORTED, Event, agent_text, row_of
from fhir_server.audit.history import history_entry, history_type
from fhir_server.audit.render import TYPE, View, version_of
from fhir_server.audit.search import fits, search
from fhir_server.audit.sight import sight_of, visible_to
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.findings import Wishes
from fhir_server.interactions.preconditions import not_modified
from fhir_server.interactions.prepare import Prepared, prepare
from fhir_server.interactions.read import represent
from fhir_server.interactions.visibility import holds_of
from fhir_server.interactions.write import answer
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.query import EVERYTHING, And
from fhir_server.storage.base import Written

_LARGEST = 20_000


async def read(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/AuditEvent/7`. Raises NotFound: there is none, or none that the caller may see."""
    version = await _visible(ctx, request)
    return not_modified(request, version) or represent(ctx, request, version)


async def vread(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/AuditEvent/7/_history/1`: there is no other version. Raises NotFound."""
    version = await _visible(ctx, request)
    if request.vid != "1":
        raise NotFound(f"{request.key} has one version only")
    return represent(ctx, request, version)


async def history(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/AuditEvent/7/_history`. Raises NotFound."""
    entry = history_entry(request, await _visible(ctx, request))
    return FhirResponse(200, (write_bundle("history", (entry,), identity=(ctx.new_id(), ctx.now()), total=1),))


async def create(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `POST [base]/AuditEvent`: an app reports what happened on its side, and the audit keeps it as it is.

    Raises:
        BadRequest: larger than an event is, or on a condition.
        InvalidResource: no AuditEvent.
        Forbidden: about somebody who is not within what was granted.
    """
    if len(request.body) > _LARGEST:
        raise BadRequest(f"an AuditEvent that is reported has {_LARGEST} bytes at most", expression=TYPE)
    if "if-none-exist" in request.headers:
        raise BadRequest("events are reported without conditions", expression="http.if-none-exist")
    key = ResourceKey(TYPE, ctx.new_id())
    prepared = await prepare(ctx, request.body, key, wishes=Wishes.of(request))
    await _admit(ctx, prepared, key)
    refs = [f"{type_}/{id_}" for _, type_, id_, *_ in prepared.entries.references if type_ and id_]
    others = tuple(dict.fromkeys(f"{r[1]}/{r[2]}" for r in prepared.entries.references if r[0] == "agent" and r[2]))
    agent = msgspec.structs.replace(agent_of_caller(ctx.caller, request.address), others=others)
    event = Event(REPORTED, 201, request=request.request_id, document=prepared.body.data)
    seq = await ctx.store.audit.append([row_of(ctx.now(), agent_text(agent), event, refs)])
    entry = await ctx.store.audit.read(seq)
    assert entry is not None
    return answer(request, Written(version_of(entry, View(ctx.base)), changed=True, created=True), prepared.issues)


async def refuse(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Refuse to change what was recorded. Raises MethodNotAllowed."""
    error = MethodNotAllowed("the audit is never changed", expression="http.method")
    error.headers["Allow"] = "GET, OPTIONS"
    raise error


async def _visible(ctx: Context, request: FhirRequest) -> Version:
    id_ = request.id or ""
    entry = await ctx.store.audit.read(int(id_)) if id_.isascii() and id_.isdigit() and len(id_) < 16 else None
    if entry is not None and str(entry.seq) == id_:
        sight = sight_of(ctx)
        version = version_of(entry, View(ctx.base, sight.patients))
        node = visible_to(ctx).of(TYPE)
        if fits(ctx, node if sight.predicate is None else And((node, sight.predicate)), version):
            return version
    raise NotFound(f"there is no {request.key}")


async def _admit(ctx: Context, prepared: Prepared, key: ResourceKey) -> None:
    predicate = ctx.restriction.writable("c", TYPE)
    if predicate == EVERYTHING:
        return
    future = Version(0, key, 1, 0, ctx.now(), "POST", prepared.body)
    if not await holds_of(ctx, predicate, future, prepared.entries):
        raise Forbidden("this event is outside of what was granted", expression=TYPE)


AUDIT_HANDLERS: Mapping[str, Callable[[Context, FhirRequest], Awaitable[FhirResponse]]] = {
    "read": read,
    "vread": vread,
    "history-instance": history,
    "history-type": history_type,
    "search-type": search,
    "search-compartment": search,
    "create": create,
    "update": refuse,
    "patch": refuse,
    "delete": refuse,
}
"""How each interaction on AuditEvent is answered where the audit is on."""
