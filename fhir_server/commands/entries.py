"""The entries that `load` sends: creates become updates under an id made from file and content.

So an entry that is sent twice, as by a load that was killed between an answer and its note of it, is written once.
"""

import uuid
from hashlib import sha256

from fhir_server.model.json import decode, encode, members

_NAMESPACE = uuid.UUID("b0f6a9d2-6d1c-5e0a-9a53-4b1f6f7f2c11")


def entry_of(resource: bytes, place: str, full_url: bytes = b"") -> bytes:
    """Return the entry that writes one minified resource: under its id if it has one, else under a made one.

    Args:
        place: tells apart resources of the same content: file name and position.
        full_url: raw JSON string by which other entries refer to it; empty for none.
    """
    parts = members(resource)
    type_, id_ = decode(parts.get("resourceType", b'""')), decode(parts.get("id", b'""'))
    if not id_:
        id_ = _made_id(resource, place)
        resource = _with_id(resource, parts, id_)
    named = b'"fullUrl":' + full_url + b"," if full_url else b""
    request = encode({"method": "PUT", "url": f"{type_}/{id_}"})
    return b"{" + named + b'"resource":' + resource + b',"request":' + request + b"}"


def identified(entry: bytes, place: str) -> bytes:
    """Return an entry of a transaction or batch, a plain create turned into an update under a made id."""
    parts = members(entry)
    request = members(parts["request"]) if "request" in parts else {}
    resource = parts.get("resource", b"")
    if request.get("method") != b'"POST"' or "ifNoneExist" in request or not resource.startswith(b"{"):
        return entry
    inner = members(resource)
    type_ = inner.get("resourceType", b'""')
    if request.get("url") != type_ or _object(inner) != resource or "request" not in parts:
        return entry  # a search or an operation, or something that the server is to refuse as it stands
    id_ = _made_id(resource, place)
    again = {**request, "method": b'"PUT"', "url": encode(f"{decode(type_)}/{id_}")}
    return _object({**parts, "resource": _with_id(resource, inner, id_), "request": _object(again)})


def _made_id(resource: bytes, place: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{place}|{sha256(resource).hexdigest()}"))


def _with_id(resource: bytes, parts: dict[str, bytes], id_: str) -> bytes:
    if "id" in parts:
        return _object({**parts, "id": encode(id_)})
    return b'{"id":' + encode(id_) + (b"," if parts else b"") + resource[1:]


def _object(parts: dict[str, bytes]) -> bytes:
    return b"{" + b",".join([encode(name) + b":" + value for name, value in parts.items()]) + b"}"
