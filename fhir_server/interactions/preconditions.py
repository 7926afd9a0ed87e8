"""If-Match, If-None-Match and If-Modified-Since.

Spec: https://hl7.org/fhir/R4/http.html#concurrency, https://hl7.org/fhir/R4/http.html#cread, RFC 7232
"""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from fhir_server.context import Context
from fhir_server.errors import PreconditionFailed
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.dates import date_bounds

_TAG = re.compile(r'(?:W/)?"([^"]*)"')
_NUMBER = re.compile(r"[1-9][0-9]{0,14}")


def etags(header: str) -> tuple[str, ...]:
    """Return the tags of a header, `*` as itself; weak and strong mean the same here. Bare numbers are let pass."""
    text = header.strip()
    if text == "*":
        return ("*",)
    found = tuple(_TAG.findall(text))
    return found or tuple(part.strip().removeprefix("W/") for part in text.split(",") if part.strip())


def if_match(request: FhirRequest) -> tuple[str, ...] | None:
    """Return the tags of If-Match, None without the header."""
    header = request.headers.get("if-match")
    return None if header is None else etags(header)


def reads_current(request: FhirRequest) -> bool:
    """Tell whether `expected_version` is what was just read, not what the client named: then a conflict means to plan
    again."""
    tags = if_match(request)
    return tags is not None and (len(tags) > 1 or tags == ("*",))


async def expected_version(ctx: Context, request: FhirRequest, key: ResourceKey) -> int | None:
    """Return what `Change.expected` has to be: the one version that If-Match names, 0 for `If-None-Match: *`.

    Several tags, or `*`, are settled by the current version, which the commit then insists on.

    Raises:
        PreconditionFailed: no version can satisfy the header.
    """
    tags = if_match(request)
    if tags is None:
        return await _expected_none(ctx, request, key)
    numbers = {int(tag) for tag in tags if _NUMBER.fullmatch(tag)}
    if len(tags) == 1 and numbers:
        return numbers.pop()
    current = await ctx.store.read(key)
    if current is not None and not current.deleted and (tags == ("*",) or current.version in numbers):
        return current.version
    state = "does not exist" if current is None or current.deleted else f"is at version {current.version}"
    raise PreconditionFailed(f"{key} {state}", expression="http.if-match")


async def _expected_none(ctx: Context, request: FhirRequest, key: ResourceKey) -> int | None:
    header = request.headers.get("if-none-match")
    if header is None:
        return None
    tags = etags(header)
    if tags == ("*",):
        return 0
    current = await ctx.store.read(key)
    if current is not None and str(current.version) in tags:
        raise PreconditionFailed(f"{key} is at version {current.version}", expression="http.if-none-match")
    return None


def not_modified(request: FhirRequest, version: Version) -> FhirResponse | None:
    """Return 304 where the client has this version already; If-None-Match goes before If-Modified-Since."""
    headers = request.headers
    if "if-none-match" in headers:
        tags = etags(headers["if-none-match"])
        same = tags == ("*",) or str(version.version) in tags
    elif "if-modified-since" in headers:
        since = _seconds(headers["if-modified-since"])
        same = since is not None and version.last_updated // 1000 <= since
    else:
        return None
    return FhirResponse(304, (), version) if same else None


def _seconds(text: str) -> int | None:
    """Return seconds since 1970 of an HTTP date, or of an instant (so in Bundle.entry.request.ifModifiedSince).

    What cannot be read counts as absent (RFC 7232, 3.3).
    """
    try:
        return date_bounds(text)[0] // 1_000_000
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return int(date.replace(tzinfo=date.tzinfo or UTC).timestamp())
