"""The stored form of a resource that was just parsed, cut out of its bytes where that is enough.

`make_body` takes every resource apart; nearly all have type and id in front and one `meta`, whose place is known.
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.model.json import encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body

_FRONT = re.compile(rb'\{"resourceType":"[A-Za-z]+"(,"id":"[A-Za-z0-9\-.]*")?')
_META = b'"meta":'
_SERVER_OWNED = ("versionId", "lastUpdated")


def stored_body(small: bytes, resource: Mapping[str, Any], key: ResourceKey) -> Body:
    """Return what `make_body` returns; `resource` is the same text parsed (its id may differ)."""
    front = _FRONT.match(small)
    if front is None or (front[1] is None and b'"id":' in small):
        return make_body(small, key)
    start, meta = front.end(), resource.get("meta")
    at = small.find(_META, start)
    if meta is None:
        return _joined(key, b"}", small[start:]) if at < 0 else make_body(small, key)
    value = encode(meta)
    if at < 0 or small.find(_META, at + 1) > 0 or not small.startswith(value, at + len(_META)):
        return make_body(small, key)
    # The comma before it goes too: something always stands before meta, the type at the least.
    rest = small[start : at - 1] + small[at + len(_META) + len(value) :]
    return _joined(key, _without_server_owned(meta, value)[1:], rest)


def _without_server_owned(meta: Any, value: bytes) -> bytes:
    if not any(name in meta for name in _SERVER_OWNED):
        return value
    return encode({name: item for name, item in meta.items() if name not in _SERVER_OWNED})


def _joined(key: ResourceKey, meta: bytes, rest: bytes) -> Body:
    head = f'{{"resourceType":"{key.type}","id":"{key.id}","meta":{{'.encode()
    return Body(b"".join((head, meta, rest)), len(head))
