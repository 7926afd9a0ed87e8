"""Security labels stay on a resource until somebody who may takes them off by `$meta-delete`.

A PUT or PATCH that leaves them out does not remove them: they are carried over to the new version.

Spec: https://hl7.org/fhir/R4/security-labels.html
"""

from dataclasses import replace
from typing import Any

import msgspec

from fhir_server.context import Context
from fhir_server.model.json import decode, encode, make_body, members
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.storage.base import Change

_MARK = b'"security":'


class _Meta(msgspec.Struct):
    security: list[dict[str, Any]] = msgspec.field(default_factory=list)


class _Labelled(msgspec.Struct):
    meta: _Meta = msgspec.field(default_factory=_Meta)


_decoder = msgspec.json.Decoder(_Labelled)


def labels_of(data: bytes) -> list[dict[str, Any]]:
    """Return the security labels of stored bytes, at little cost where there are none."""
    return _decoder.decode(data).meta.security if _MARK in data else []


def keeping_labels(ctx: Context, change: Change, current: Version) -> Change:
    """Return the change with the labels that it leaves out, unless it is meant to remove them."""
    if change.method == "DELETE" or change.unlabels:
        return change
    stay = _lost(labels_of(current.body.data), labels_of(change.body.data))
    if not stay:
        return change
    body = _with_labels(change.key, change.body.data, stay)
    entries = ctx.extractor.extract(change.key.type, decode(body.data), own_base=ctx.base)
    return replace(change, body=body, entries=entries)


def _lost(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = {(label.get("system"), label.get("code")) for label in after}
    return [label for label in before if (label.get("system"), label.get("code")) not in kept]


def _with_labels(key: ResourceKey, data: bytes, labels: list[dict[str, Any]]) -> Body:
    parts = members(data)
    meta = decode(parts.get("meta", b"{}"))
    meta["security"] = [*meta.get("security", []), *labels]
    whole = {**parts, "meta": encode(meta)}
    return make_body(b"{" + b",".join(encode(name) + b":" + value for name, value in whole.items()) + b"}", key)
