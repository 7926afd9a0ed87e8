"""Bundles written as bytes: the resources in them are copied, never parsed.

Spec: https://hl7.org/fhir/R4/bundle.html
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from fhir_server.model.json import encode
from fhir_server.model.version import instant

Link = tuple[str, str]


def write_bundle(
    kind: Literal["searchset", "history", "transaction-response", "batch-response"],
    entries: Iterable[bytes],
    *,
    identity: tuple[str, int],
    total: int | None = None,
    links: Sequence[Link] = (),
) -> bytes:
    """Write a Bundle of entries that are JSON already. `identity` is its id and the milliseconds of its making."""
    id_, now = identity
    head = f'{{"resourceType":"Bundle","id":"{id_}","meta":{{"lastUpdated":"{instant(now)}"}},"type":"{kind}"'.encode()
    parts = [head]
    if total is not None:
        parts.append(b',"total":%d' % total)
    if links:
        parts.append(b',"link":' + encode([{"relation": relation, "url": url} for relation, url in links]))
    body = b",".join(entries)
    if body:
        parts += (b',"entry":[', body, b"]")
    parts.append(b"}")
    return b"".join(parts)
