"""The stored form of a resource that was just parsed, cut out of its bytes where that is enough.

`make_body` takes every resource apart; nearly all have type and id in front and one `meta`, whose place is known.
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.model.json import encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body

_FRONT = re.compile(rb'\{"resourceType":"[A-Za-z]+"(?:,"id":"[A-Za-z0-9\-.]*")?')
_META = b'"meta":'
_SERVER_OWNED = frozenset(("versionId", "lastUpdated"))


def stored_body(small: bytes, resource: Mapping[str, Any], key: ResourceKey) -> Body:
    """Return what `make_body` returns; `resource` is the same text parsed (its id may differ)."""
    front = _FRONT.match(small)
    if front is None or ("id" in resource and b',"id":"' not in front[0] and b'"id":' in small[front.end() :]):
        return make_body(small, key)
    meta = resource.get("meta")
    rest = small[front.end() :]
    if meta is None and _META not in rest:
        return _joined(key, b"}", rest)
    if not isinstance(meta, dict):
        return make_body(small, key)
    cut = _META + encode(meta)
    if rest.count(_META) != 1 or rest.count(cut) != 1:
        return make_body(small, key)
    at = rest.index(cut)
    # The comma before it goes too: something always stands before meta, type at the least.
    remaining = rest[: at - 1] + rest[at + len(cut) :]
    return _joined(key, encode({k: v for k, v in meta.items() if k not in _SERVER_OWNED})[1:], remaining)


def _joined(key: ResourceKey, meta: bytes, rest: bytes) -> Body:
    head = f'{{"resourceType":"{key.type}","id":"{key.id}","meta":{{'.encode()
    return Body(b"".join((head, meta, rest)), len(head))
