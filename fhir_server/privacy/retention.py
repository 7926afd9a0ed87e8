"""Retention: what is older than a policy allows is told, loses its history, is deleted or erased.

Spec: GDPR Article 5(1)(e), https://eur-lex.europa.eu/eli/reg/2016/679/art_5/oj
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.errors import Conflict
from fhir_server.interactions.search import parsed
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.json import JsonError, decode
from fhir_server.model.keys import ResourceKey
from fhir_server.privacy.holds import HOLDS
from fhir_server.privacy.reach import pages, reach
from fhir_server.search.query import Search
from fhir_server.storage.base import Change, Collection, RecordChange, StillReferenced

Action = Literal["report", "purge-history", "delete", "erase"]
POLICIES: Final = Collection("privacy.retention")
_ALL: Final = "policies"
_PAGE: Final = 500
_KEPT: Final = frozenset(("Patient", "AuditEvent"))
"""Types that no policy deletes: a patient goes by `$erase`, with all that is linked."""


class BadPolicy(ValueError):
    """A policy that cannot be followed; the message names it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is older than `days` by the date parameter `by`, of one type and within `criteria` (a search)."""

    name: str
    type: str
    days: int
    action: Action = "report"
    criteria: str = ""
    by: str = "_lastUpdated"


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one policy: resources that it is about, those done (or to be done, in a dry run), those that a legal
    hold keeps, those that others refer to, versions that went."""

    policy: Policy
    found: int = 0
    done: int = 0
    held: int = 0
    referred: int = 0
    versions: int = 0


def read_policies(raw: bytes, ctx: Context) -> tuple[Policy, ...]:
    """Read a JSON array of policies and try each. Raises BadPolicy."""
    try:
        items = decode(raw)
    except JsonError as error:
        raise BadPolicy(f"the policies are no JSON: {error}") from None
    if not isinstance(items, list):
        raise BadPolicy("the policies are an array")
    return tuple(_policy(ctx, number, item) for number, item in enumerate(items))


def _policy(ctx: Context, number: int, item: Any) -> Policy:
    try:
        policy = Policy(**item)
    except TypeError:
        raise BadPolicy(f"policy {number} has name, type, days, and may have action, criteria, by") from None
    texts = (policy.name, policy.type, policy.action, policy.criteria, policy.by)
    if not all(isinstance(text, str) for text in texts) or policy.type not in ctx.definitions.resource_types:
        raise BadPolicy(f"policy {number}: {str(policy.type)[:60]!r} is not a resource type")
    if not isinstance(policy.days, int) or isinstance(policy.days, bool) or policy.days < 1:
        raise BadPolicy(f"policy {number}: days is a whole number above 0")
    if policy.action not in get_args(Action):
        raise BadPolicy(f"policy {number}: action is one of {', '.join(get_args(Action))}")
    if policy.type in _KEPT and policy.action in ("delete", "erase"):
        raise BadPolicy(f"policy {number}: {policy.type} is not deleted by a policy")
    parameter = ctx.parameters.get(policy.type, policy.by)
    if policy.by != "_lastUpdated" and (parameter is None or parameter.type != "date"):
        raise BadPolicy(f"policy {number}: `by` is a date parameter of {policy.type} or _lastUpdated")
    search_of(ctx, policy)
    return policy


def search_of(ctx: Context, policy: Policy) -> Search:
    """Return the search for what a policy is about. Raises FhirError for criteria that are none."""
    cutoff = datetime.fromtimestamp(ctx.now() / 1000, UTC) - timedelta(days=policy.days)
    query = (*parse_qsl(policy.criteria, strict_parsing=bool(policy.criteria)), (policy.by, f"lt{cutoff:%Y-%m-%d}"))
    strict = {"prefer": "handling=strict"}
    request = FhirRequest("GET", "search-type", ctx.base, policy.type, query=query, headers=strict)
    return replace(parsed(ctx, request, ctx.now()).search, count=_PAGE)


async def save(ctx: Context, policies: Sequence[Policy]) -> None:
    """Put policies in the place of those before."""
    await ctx.store.declare(POLICIES)
    value = {"policies": [asdict(policy) for policy in policies]}
    await ctx.store.commit((), (RecordChange(POLICIES.name, _ALL, value),))


async def load(ctx: Context) -> tuple[Policy, ...]:
    """Return the policies in force."""
    await ctx.store.declare(POLICIES)
    record = await ctx.store.records.get(POLICIES.name, _ALL)
    stored: Any = record.value["policies"] if record else ()
    return tuple(Policy(**item) for item in stored)


async def apply(ctx: Context, policies: Sequence[Policy], *, dry: bool) -> list[Applied]:
    """Follow the policies in their order."""
    held = await _held(ctx)
    return [await _apply(ctx, policy, held, dry=dry) for policy in policies]


async def _apply(ctx: Context, policy: Policy, held: frozenset[ResourceKey], *, dry: bool) -> Applied:
    found = [version.key async for page in pages(ctx.store, search_of(ctx, policy)) for version in page]
    free = [key for key in found if key not in held]
    result = Applied(policy, len(found), len(free), len(found) - len(free))
    if dry or policy.action == "report" or not free:
        return result if policy.action != "report" else replace(result, done=0)
    referred = 0
    if policy.action in ("delete", "erase"):
        free, referred = await _delete(ctx, free)
    versions = await ctx.store.purge_history(free) if policy.action in ("purge-history", "erase") else 0
    return replace(result, done=len(free), referred=referred, versions=versions)


async def _delete(ctx: Context, keys: Sequence[ResourceKey]) -> tuple[list[ResourceKey], int]:
    """Delete what nobody refers to; return it, and how many were left because somebody does."""
    gone: list[ResourceKey] = []
    for done, key in enumerate(keys, 1):
        try:
            await ctx.commit([Change(key, "DELETE", keep_referenced=True)])
            gone.append(key)
        except (StillReferenced, Conflict):  # a hold that was placed meanwhile
            pass
        ctx.progress(done, len(keys))
    return gone, len(keys) - len(gone)


async def _held(ctx: Context) -> frozenset[ResourceKey]:
    """Return all resources that are linked to a patient under a legal hold."""
    await ctx.store.declare(HOLDS)
    found: set[ResourceKey] = set()
    after = None
    while records := await ctx.store.records.find(HOLDS.name, after=after, limit=_PAGE):
        for record in records:
            linked = await reach(ctx, record.key)
            found |= {ResourceKey("Patient", record.key), *linked.own, *linked.shared}
        after = records[-1].key
    return frozenset(found)
