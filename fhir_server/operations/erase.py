"""`$erase`, `$legal-hold`, `$replay-erasures`: the right to be forgotten.

Spec: GDPR Article 17, https://eur-lex.europa.eu/eli/reg/2016/679/art_17/oj
"""

from fhir_server.context import Context
from fhir_server.errors import BadValue, Forbidden, NotFound
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import instant
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Pairs
from fhir_server.privacy import holds
from fhir_server.privacy.erasure import Asked, Erased, Found, erase, find
from fhir_server.privacy.register import Register, enter, open_register, path_of
from fhir_server.storage.base import HistoryQuery

AT_ONCE = 5_000
"""Versions in the store up to which a call is answered when it is done: each of them is looked at for mentions."""
_NAMED = 100
_PAGE = 1_000


async def _erase(ctx: Context, call: Call) -> Outputs | FhirResponse:
    """Erase, and certify with figures of before and after.

    Raises:
        Forbidden: the caller is no administrator.
        NotFound: there never was such a patient, or nothing is left.
        Conflict: a legal hold.
    """
    _need_admin(ctx, call.request)
    key = call.request.key
    if await ctx.store.read(key) is None:
        raise NotFound(f"there is no {key}", expression="http.url")
    await holds.need_free(ctx, key.id)
    if ctx.jobs is not None and not ctx.in_job and await _size(ctx) > AT_ONCE:
        return await ctx.jobs.submit(ctx, call.request)
    handling = call.inputs.one("mentions", "redact")
    if handling not in ("redact", "report"):
        raise BadValue(f"mentions: {handling[:40]!r} is neither redact nor report", expression="http.mentions")
    asked = Asked(key, handling, call.inputs.one("compact", True))
    began, found = ctx.now(), await find(ctx, key)
    if call.inputs.one("dryRun", False):
        return Outputs([("outcome", "dry-run"), ("before", _figures(found.counts)), *_listed(found)])
    register = open_register(path_of(ctx))
    subject = register.subject(call.request.tenant, key.id)
    id_ = await enter(ctx, subject, found.counts)
    return Outputs(_certificate(ctx, (id_, subject, began), await erase(ctx, asked, found)))


async def _legal_hold(ctx: Context, call: Call) -> Outputs:
    """Place, release or tell of a hold. Raises Forbidden, NotFound, BadValue."""
    _need_admin(ctx, call.request)
    key, action = call.request.key, call.inputs.one("action", "status")
    if await ctx.store.read(key) is None:
        raise NotFound(f"there is no {key}", expression="http.url")
    if action == "release":
        return Outputs([("held", False), ("released", await holds.release(ctx, key.id))])
    if action == "place":
        reason = call.inputs.one("reason")
        if not reason:
            raise BadValue("a hold needs a reason", expression="http.reason")
        await holds.place(ctx, key.id, reason)
    elif action != "status":
        raise BadValue(f"action: {action[:40]!r} is none of place, release, status", expression="http.action")
    hold = await holds.hold_of(ctx, key.id)
    if hold is None:
        return Outputs([("held", False)])
    return Outputs([("held", True), ("reason", hold.reason), ("by", hold.by), ("since", instant(hold.since))])


async def _replay(ctx: Context, call: Call) -> Outputs | FhirResponse:
    """Erase again whoever the register names, after a restore. Raises Forbidden, BadValue."""
    _need_admin(ctx, call.request)
    if ctx.jobs is not None and not ctx.in_job and await _size(ctx) > AT_ONCE:
        return await ctx.jobs.submit(ctx, call.request)
    try:
        register = open_register(path_of(ctx))
    except ValueError as error:
        raise BadValue(str(error)) from None
    erased = 0
    for id_ in await _known(ctx):
        if register.subject(call.request.tenant, id_) in register.subjects:
            erased += await _again(ctx, register, (call.request.tenant, id_))
    return Outputs([("entries", len(register.subjects)), ("erased", erased)])


async def _again(ctx: Context, register: Register, whose: tuple[str, str]) -> bool:
    """Erase one; what is a deletion without content already is left alone. The law of a hold was weighed then."""
    key = ResourceKey("Patient", whose[1])
    found = await find(ctx, key)
    if not any(found.counts.values()):
        return False
    await enter(ctx, register.subject(*whose), found.counts)
    await erase(ctx, Asked(key), found)
    return True


async def _known(ctx: Context) -> list[str]:
    """Return the ids of all patients, deleted ones too."""
    found: dict[str, None] = {}
    query = HistoryQuery(type="Patient", count=_PAGE)
    while True:
        page = await ctx.store.history(query)
        found |= {version.key.id: None for version in page.versions}
        if page.next is None:
            return list(found)
        query = HistoryQuery(type="Patient", count=_PAGE, before=page.next, until=page.txid)


async def _size(ctx: Context) -> int:
    page = await ctx.store.history(HistoryQuery(count=1))
    return page.total or 0


def _need_admin(ctx: Context, request: FhirRequest) -> None:
    if not ctx.caller.admin:
        raise Forbidden(f"${request.operation} is for administrators", expression="http.url")


def _certificate(ctx: Context, entry: tuple[str, str, int], done: Erased) -> Pairs:
    id_, subject, began = entry
    return [
        ("outcome", "incomplete" if any(done.after[name] for name in ("resources", "versions")) else "erased"),
        ("register", id_),
        ("subject", subject),
        ("time", instant(ctx.now())),
        ("before", _figures(done.before)),
        ("after", _figures(done.after)),
        ("versionsErased", done.versions),
        ("redacted", done.cut),
        *(("left", {"reference": str(key)}) for key in done.left[:_NAMED]),
        ("residue", done.residue),
        ("compacted", done.compacted),
        ("keyDestroyed", done.shredded),
        ("milliseconds", max(0, ctx.now() - began)),
    ]


def _figures(counts: dict[str, int]) -> Pairs:
    return list(counts.items())


def _listed(found: Found) -> Pairs:
    others = dict.fromkeys((*found.shared, *found.mentions.current, *found.mentions.past))
    return [("left", {"reference": str(key)}) for key in list(others)[:_NAMED]]


erase_operation = CoreOperation(
    facts=own("erase"),
    handler=_erase,
    summary="Erase a patient with all that is linked to them, and certify it; for administrators.",
    background=True,
)
legal_hold = CoreOperation(
    facts=own("legal-hold"),
    handler=_legal_hold,
    summary="Keep a patient's data from being erased, or let go; for administrators.",
)
replay_erasures = CoreOperation(
    facts=own("replay-erasures"),
    handler=_replay,
    summary="Erase again whom the register of erasures names, after a restore; for administrators.",
    background=True,
)
