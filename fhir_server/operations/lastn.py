"""Observation `$lastn`: the newest observations of each kind.

Spec: https://hl7.org/fhir/R4/observation-operation-lastn.html
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fhir_server.context import Context
from fhir_server.errors import BadRequest
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.search import parsed
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.json import decode, encode
from fhir_server.model.version import Version
from fhir_server.operations.everything_shared import walk
from fhir_server.operations.facts import r4
from fhir_server.operations.observed import VOID, Json, codings, made_at, must_be_searchable
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.search import query as q
from fhir_server.search.controls import is_control
from fhir_server.search.parser import ParsedSearch

_AT_ONCE = 1_000
_INCLUDES = frozenset(("_include", "_revinclude"))
_OF_WHOM = frozenset(("subject", "patient"))
_OF_WHAT = ("code", "category", "combo-code", "component-code")
_NOTHING_SAID = ("nothing", "")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One observation that was found: its version, whose it is, when it was made, and what it is called."""

    version: Version
    subject: str
    at: int
    names: tuple[tuple[str, str], ...]

    @property
    def age(self) -> tuple[int, int, int]:
        """Sorts by time; of the same time, what was written later is newer."""
        return self.at, self.version.last_updated, self.version.pid


async def _run(ctx: Context, call: Call) -> Outputs:
    must_be_searchable(ctx)
    asked = _asked(ctx, call)
    search = replace(asked.search, includes=(), count=_AT_ONCE)
    found: list[_Seen] = []
    async for versions in walk(ctx, search):
        found += await asyncio.to_thread(_read, ctx, versions)
    most = call.inputs.one("max", 1)
    newest = [seen.version for group in _groups(found) for seen in group[:most]]
    included = await _included(ctx, asked, newest)
    url = f"{call.request.base}/Observation/$lastn?{urlencode([('max', most), *asked.applied], safe=':,/|')}"
    entries = (*_entries(call.request, newest, b"match"), *_entries(call.request, included, b"include"))
    body = write_bundle(
        "searchset", entries, identity=(ctx.new_id(), ctx.now()), total=len(newest), links=[("self", url)]
    )
    return Outputs([("return", body)])


def _asked(ctx: Context, call: Call) -> ParsedSearch:
    """Read the search and hold it to what R4 wants: whose observations, and of which kind."""
    for name, _ in call.search:
        if is_control(name) and name.partition(":")[0] not in _INCLUDES:
            raise BadRequest(f"$lastn has its own order and size and takes no {name[:80]}", expression="http.query")
    asked = parsed(ctx, call.request.but(query=call.search))
    bases = {name.partition(":")[0].partition(".")[0] for name, _ in asked.applied}
    if not bases & _OF_WHOM:
        raise BadRequest("$lastn needs a subject or patient", expression="http.subject")
    if not any(base.startswith(_OF_WHAT) for base in bases):
        raise BadRequest("$lastn needs a category or a code", expression="http.code")
    return asked


def _read(ctx: Context, versions: Sequence[Version]) -> list[_Seen]:
    zone = ZoneInfo(ctx.settings.default_timezone)
    found = []
    for version in versions:
        resource = decode(version.body.data)
        if resource.get("status") not in VOID:
            at = made_at(resource, zone)
            time = version.last_updated * 1000 if at is None else at
            found.append(_Seen(version, _subject(resource), time, _names(resource)))
    return found


def _subject(resource: Json) -> str:
    subject: dict[str, Any] = resource.get("subject") or {}
    return subject.get("reference") or str(subject.get("identifier", ""))


def _names(resource: Json) -> tuple[tuple[str, str], ...]:
    """Return the codings, or the text where there is none."""
    concept = resource.get("code")
    coded = tuple((f"coding {system}", code) for system, code in codings(concept))
    text = concept.get("text") if isinstance(concept, dict) else None
    return coded or ((("text", text),) if text else (_NOTHING_SAID,))


def _groups(found: Iterable[_Seen]) -> list[list[_Seen]]:
    """Return what is of one subject and one kind, newest first; the group with the newest comes first.

    Codes are of one kind if any observation of the subject has both: A with B, and B with C, make A, B and C one.
    """
    ordered = sorted(found, key=lambda seen: seen.age, reverse=True)
    parent: dict[tuple[str, str, str], tuple[str, str, str]] = {}

    def root(name: tuple[str, str, str]) -> tuple[str, str, str]:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = parent[above]
            name = above
        return name

    for seen in ordered:
        first, *others = ((seen.subject, *name) for name in seen.names)
        for other in others:
            parent[root(other)] = root(first)
    groups: dict[tuple[str, str, str], list[_Seen]] = {}
    for seen in ordered:
        groups.setdefault(root((seen.subject, *seen.names[0])), []).append(seen)
    return list(groups.values())


async def _included(ctx: Context, asked: ParsedSearch, newest: Sequence[Version]) -> list[Version]:
    """Return what the includes of the search bring to the observations of the answer alone."""
    found: dict[int, Version] = {}
    if not asked.search.includes:
        return []
    for start in range(0, len(newest), _AT_ONCE):
        ids = q.Ids(tuple(version.key.id for version in newest[start : start + _AT_ONCE]))
        page = await ctx.store.search(replace(asked.search, branches={"Observation": ids}, count=_AT_ONCE))
        found |= {version.pid: version for version in page.included}
    shown = {version.pid for version in newest}
    return [version for pid, version in found.items() if pid not in shown]


def _entries(request: FhirRequest, versions: Iterable[Version], mode: bytes) -> Iterator[bytes]:
    base = encode(request.base)[1:-1]
    for version in versions:
        type_, id_ = version.key
        yield b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"%b"}}' % (
            base, type_.encode(), id_.encode(), version.stamped(), mode,
        )  # fmt: skip


lastn = CoreOperation(
    facts=r4("Observation-lastn"),
    handler=_run,
    summary="The newest observations of each kind, of a subject.",
    searches=True,
)
