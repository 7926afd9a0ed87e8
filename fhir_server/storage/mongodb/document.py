"""A version as a document of the collection `versions`, and back.

_id: the pid. h: hash of type and id, the shard key. t, i, v: type, id, version. x: its txid. to: the txid that
superseded it, `OPEN` while it is current. u: milliseconds of its last update. m: method. b, o: body and splice offset.
e: its index entries, as msgpack. Current versions also have what searches look at: k (keys), s (strings), d, n, q
(dates, numbers, quantities), g (positions), c (types of contained resources), z (what is sorted by). `gone` marks a
deletion, whose entries are those of the version that it ended; `erased` one that has nothing left to be judged by.

A document has at most 16 MB: what is too large of body or entries stands in `parts`, and `b` or `e` say how many. What
searches look at is left out where it is too large (a Group of a million members): `w` says so, and such a document is
held against every search of its type. The head lists the types that have any, as `wide`.
"""

from collections.abc import Mapping
from sys import float_info
from typing import Any, Final
from zlib import crc32

import msgspec
from bson import Binary, encode

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.ordering import SortValue, least_and_greatest
from fhir_server.storage.mongodb.keys import Keys

OPEN: Final = (1 << 62) - 1
"""`to` of a current version."""
MARK: Final = "\x1f"
LARGEST: Final = 4_000_000
"""Bytes of a body or of entries that stand in the document itself."""
INDEXED: Final = ("k", "s", "d", "n", "q", "g", "c", "z", "w")
"""What searches look at; it goes once nobody can ask for the instant any more."""

Document = dict[str, Any]

WITH_ENTRIES: Final = dict.fromkeys(INDEXED, 0)
"""The fields of a document that a search has no use for once the server has found it: a third of it."""
BODY_ALONE: Final = WITH_ENTRIES | {"e": 0}

_WIDEST: Final = 5_000_000
"""Bytes of what searches look at."""
_PERHAPS_WIDE: Final = 300_000
"""Bytes of entries up to which that cannot be."""
_SORTED_BY: Final = 500
"""Characters of a text that count for its place in an order."""
_LARGEST_NUMBER: Final = float_info.max

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(IndexEntries)


def shard_of(key: ResourceKey) -> int:
    """Return the value by which resources are spread over shards."""
    return crc32(f"{key.type}/{key.id}".encode())


def document_of(version: Version, entries: IndexEntries, keys: Keys) -> Document:
    """Return the document of a new version; a deletion is not searched."""
    key = version.key
    made: Document = {
        "_id": version.pid, "h": shard_of(key), "t": key.type, "i": key.id, "v": version.version, "x": version.txid,
        "to": OPEN, "u": version.last_updated, "m": version.method, "b": Binary(version.body.data),
        "o": version.body.splice, "e": packed(entries),
    }  # fmt: skip
    return made | ({"gone": True} if version.deleted else indexed(entries, keys, len(made["e"])))


def indexed(entries: IndexEntries, keys: Keys, size: int) -> Document:
    """Return what searches look at; `size` is that of the packed entries."""
    rows: Document = {
        "k": keys.of(entries),
        "s": sorted({f"{param}{MARK}{folded}" for param, folded, _ in entries.strings}),
        "d": [{"p": param, "l": low, "h": high} for param, low, high in entries.dates],
        "n": [{"p": param, "l": finite(low), "h": finite(high)} for param, low, high in entries.numbers],
        "q": [_quantity(*row) for row in entries.quantities],
        "g": [{"p": param, "a": latitude, "o": longitude} for param, latitude, longitude in entries.positions],
        "c": sorted({type_ for type_, _, _ in entries.contained}),
        "z": sort_values(entries),
    }  # fmt: skip
    rows = {name: value for name, value in rows.items() if value}
    if size > _PERHAPS_WIDE and len(encode(rows)) > _WIDEST:
        return {name: rows[name] for name in ("c", "z") if name in rows} | {"w": True}
    return rows


def _quantity(
    param: str, low: float, high: float, system: str, code: str, canonical: tuple[float, float, str] | None
) -> Document:
    row: Document = {"p": param, "l": finite(low), "h": finite(high), "s": system, "c": code}
    if canonical is None:
        return row
    return row | {"cl": finite(canonical[0]), "ch": finite(canonical[1]), "cu": canonical[2]}


def finite(value: float) -> float:
    """Return an open end as the largest number that there is: some servers take no infinity."""
    return max(-_LARGEST_NUMBER, min(_LARGEST_NUMBER, value))


def version_of(found: Mapping[str, Any]) -> Version:
    """Return the version that a document holds; the parts of a large one were brought together before."""
    key = ResourceKey(found["t"], found["i"])
    body = Body(bytes(found["b"]), found["o"])
    return Version(found["_id"], key, found["v"], found["x"], found["u"], found["m"], body)


def entries_of(found: Mapping[str, Any]) -> IndexEntries:
    """Return the index entries that a document holds."""
    return _decoder.decode(found["e"])


def is_live(found: Mapping[str, Any]) -> bool:
    """Tell whether a document was not superseded."""
    return bool(found["to"] == OPEN)


def packed(entries: IndexEntries) -> Binary:
    """Return entries as they are stored."""
    return Binary(_encode(entries))


def sort_name(param: str) -> str:
    """Return a parameter's code as the name of a field."""
    return param.replace(".", "\uff0e").replace("$", "\uff04")


def sort_values(entries: IndexEntries) -> Document:
    """Return the least (a) and the greatest (d) value of each parameter; numbers stand before text."""
    found = least_and_greatest(entries, _SORTED_BY).items()
    return {sort_name(param): {"a": _stored(least), "d": _stored(greatest)} for param, (least, greatest) in found}


def _stored(value: SortValue) -> SortValue:
    return finite(value) if isinstance(value, float) else value
