"""Conditional reads: whether the client has this answer already.

Spec: https://hl7.org/fhir/R4/http.html#cread, RFC 9110 13.1
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime


def not_modified(headers: Mapping[str, str], etag: str, last_modified: str) -> bool:
    """Tell whether a GET is answered by 304. Tags compare weakly; If-None-Match goes before If-Modified-Since."""
    wanted = headers.get("if-none-match")
    if wanted is not None:
        return bool(etag) and (wanted.strip() == "*" or _opaque(etag) in map(_opaque, wanted.split(",")))
    since = headers.get("if-modified-since")
    if not since or not last_modified:
        return False
    asked, changed = _seconds(since), _seconds(last_modified)
    return asked is not None and changed is not None and changed <= asked


def _opaque(tag: str) -> str:
    return tag.strip().removeprefix("W/").strip('"')


def _seconds(date: str) -> float | None:
    """Read an HTTP date; one that cannot be read counts as absent."""
    try:
        parsed = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
