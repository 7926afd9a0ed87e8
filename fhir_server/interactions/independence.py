"""The entries of a batch that depend on each other, which they must not.

Spec: https://hl7.org/fhir/R4/http.html#brules
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from fhir_server.interactions.entries import Entry

_REFERENCE = re.compile(rb'"reference":"([^"\\]*)"')


def dependent(entries: Sequence[Entry]) -> Mapping[int, str]:
    """Return the entries that cannot be run, with the reason: a second write of one resource, or a reference to a
    resource that another entry is about to create."""
    return dict((*_references(entries), *_second_writes(entries)))


def _second_writes(entries: Sequence[Entry]) -> Iterator[tuple[int, str]]:
    seen: dict[str, int] = {}
    for entry in entries:
        url = entry.url.strip("/")
        if entry.method not in ("PUT", "PATCH", "DELETE") or "?" in url:
            continue
        first = seen.setdefault(url, entry.index)
        if first != entry.index:
            yield (
                entry.index,
                f"entry {first} of this batch already writes {url[:200]}; send a transaction, or two batches",
            )


def _references(entries: Sequence[Entry]) -> Iterator[tuple[int, str]]:
    created = {
        entry.full_url.encode(): entry.index
        for entry in entries
        if entry.method == "POST" and entry.full_url is not None
    }
    for entry in entries if created else ():
        for link in _REFERENCE.findall(entry.resource):
            other = created.get(link, entry.index)
            if other != entry.index:
                yield entry.index, f"it refers to entry {other} of this batch; only a transaction resolves that"
