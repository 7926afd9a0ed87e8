"""All that is held about a patient, for the patient.

Spec: GDPR Articles 15 and 20, https://eur-lex.europa.eu/eli/reg/2016/679/oj
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.audit.patients import patients_of
from fhir_server.audit.render import View
from fhir_server.audit.render import version_of as event_of
from fhir_server.audit.sight import bound_to, sees_all
from fhir_server.context import Context
from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.privacy.mentions import referred_to
from fhir_server.privacy.person import Person
from fhir_server.privacy.reach import pages, search_of
from fhir_server.privacy.redaction import Redaction
from fhir_server.search.restrict import restrict
from fhir_server.storage.audit import AuditQuery
from fhir_server.storage.base import HistoryQuery

_PAGE: Final = 1_000
_MOST: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose data, and what beyond the current resources: superseded versions, the audit."""

    patient: str
    history: bool = False
    audit: bool = True


@dataclass(slots=True)
class Package:
    """Resources as JSON with the URL of each. withheld: resources of others in which the patient takes part."""

    items: list[tuple[str, bytes]] = field(default_factory=list)
    withheld: int = 0
    events: int = 0


async def collect(ctx: Context, wanted: Wanted) -> Package:
    """Gather what the caller may see of it. Other patients are not named: their rights stand beside."""
    package, key = Package(), ResourceKey("Patient", wanted.patient)
    search = restrict(search_of(ctx, wanted.patient), ctx.restriction.visibility)
    async for versions in pages(ctx.store, search):
        for version in versions:
            if not _is_about(ctx, version, key):
                package.withheld += 1
                continue
            async for each in _versions(ctx, version, history=wanted.history):
                if not _is_about(ctx, each, key):
                    continue  # what stood in the wrong record once is another's
                package.items.append((_url(ctx, each, version), _shown(ctx, each, key)))
        ctx.progress(len(package.items), len(package.items))
    package.items.sort(key=lambda item: not item[0].startswith(f"{ctx.base}/Patient/"))
    if wanted.audit and (sees_all(ctx.caller) or wanted.patient in bound_to(ctx.caller)):
        async for event in _events(ctx, wanted.patient):
            package.events += 1
            package.items.append((f"{ctx.base}/{event.key}", event.stamped()))
    return package


def _is_about(ctx: Context, version: Version, key: ResourceKey) -> bool:
    if version.key.type == "Patient":
        return version.key == key
    subjects = patients_of(ctx.definitions, version.key.type, version.body.data)
    return not subjects or key.id in subjects


async def _versions(ctx: Context, current: Version, *, history: bool) -> AsyncIterator[Version]:
    """Yield the current version, and those before it that the caller may see."""
    yield current
    if not history or current.version == 1:
        return
    page = await ctx.store.history(HistoryQuery(key=current.key, count=_PAGE, visible=ctx.restriction.visibility.read))
    for version in page.versions:
        if version.version < current.version and not version.deleted:
            yield version


def _url(ctx: Context, version: Version, current: Version) -> str:
    url = f"{ctx.base}/{version.key}"
    return url if version.version == current.version else f"{url}/_history/{version.version}"


def _shown(ctx: Context, version: Version, key: ResourceKey) -> bytes:
    """Return the bytes, without references to other patients."""
    named = {each for each in referred_to(version.body.data, ctx.base) if each.type == "Patient" and each != key}
    if not named:
        return version.stamped()
    redaction = Redaction(frozenset(named), Person(), ctx.base, ctx.definitions, "[another person]")
    resource: dict[str, Any] = decode(version.stamped())
    return encode(redaction.cut(resource))


async def _events(ctx: Context, patient: str) -> AsyncIterator[Version]:
    """Yield what was done with the data, oldest first."""
    view, above = View(ctx.base, frozenset((patient,))), 0
    while True:
        query = AuditQuery((frozenset((f"Patient/{patient}",)),), above=above, ascending=True, count=_PAGE, most=_MOST)
        page = await ctx.store.audit.find(query)
        for entry in page.entries:
            yield event_of(entry, view)
        if page.next is None or not page.entries:
            return
        above = page.next
