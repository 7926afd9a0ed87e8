"""Conditional interactions: criteria of a URL or header, and what they find."""

from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.errors import PreconditionFailed
from fhir_server.model.exchange import FhirRequest, Query
from fhir_server.model.version import Version
from fhir_server.search.controls import is_control
from fhir_server.search.parser import parse_search
from fhir_server.search.query import Search
from fhir_server.storage.base import Condition


@dataclass(frozen=True, slots=True)
class Matches:
    """What the criteria found, and the same as a condition for the commit."""

    versions: tuple[Version, ...]
    condition: Condition


class Find(Protocol):
    """Searches by criteria; in a transaction, what its other entries do counts too."""

    async def __call__(self, ctx: Context, type_: str, criteria: Query, limit: int = 2, /) -> Matches:
        """Return at most `limit` matches."""


def header_criteria(request: FhirRequest) -> Query | None:
    """Return the criteria of If-None-Exist; a URL before the `?` is let pass.

    `POST [base]/Patient?identifier=...`, as some clients write it, means the same: to leave criteria unheard would
    make duplicates. Of a Binary nobody searches by content; its URL may say what clients tell their own servers
    (`_filename=`).

    Spec: https://hl7.org/fhir/R4/http.html#ccreate
    """
    header = request.headers.get("if-none-exist")
    if header is None and request.type == "Binary":
        return None
    if header is None:
        return request.query if any(not is_control(name) for name, _ in request.query) else None
    return tuple(parse_qsl(header.strip().rpartition("?")[2], keep_blank_values=True))


async def find(ctx: Context, type_: str, criteria: Query, limit: int = 2) -> Matches:
    """Search within what the caller may see, for at most `limit` resources.

    Raises:
        PreconditionFailed: there are no criteria, so everything would match.
        FhirError: criteria that cannot be read.
    """
    search = criteria_search(ctx, type_, criteria)
    page = await ctx.store.search(replace(search, count=limit))
    return Matches(page.versions, Condition(search, frozenset(version.key for version in page.versions)))


def criteria_search(ctx: Context, type_: str, criteria: Query) -> Search:
    """Return the search that criteria stand for. They are never read leniently: what was ignored would match more.

    Raises:
        PreconditionFailed: there are no criteria.
        FhirError: criteria that cannot be read.
    """
    if all(is_control(name) for name, _ in criteria):
        raise PreconditionFailed(f"the criteria choose nothing: every {type_} would match", expression="http.url")
    parsed = parse_search(
        criteria,
        types=(type_,),
        registry=ctx.parameters,
        settings=ctx.settings,
        visibility=ctx.restriction.visibility,
        own_base=ctx.base,
        expander=ctx.terminology,
        now=ctx.now(),
    )
    return Search(parsed.search.branches, visible=parsed.search.visible)
