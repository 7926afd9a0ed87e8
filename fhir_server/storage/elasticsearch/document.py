"""A version as a document of the index.

There is one for each version that was current since the index was begun, so that page links read the instant that they
are pinned to: `x` is the commit that brought it, `to` the one that superseded it, `until` its time. Ids are made of
resource and version, and an external version of the commit, so whatever is written twice, or late, changes nothing.
"""

from collections.abc import Iterable, Mapping
from sys import float_info
from typing import Any, Final

from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.folding import fold
from fhir_server.search.fulltext import content_text, narrative_text
from fhir_server.search.ordering import SortValue, least_and_greatest
from fhir_server.storage.elasticsearch import terms
from fhir_server.storage.elasticsearch.terms import MARK, field

Document = dict[str, Any]

OPEN: Final = (1 << 62) - 1
"""`to` of a current version."""
_LARGEST: Final = float_info.max
_SORTED_BY: Final = 4_000
"""Letters of a string that it is sorted by."""
_STEP: Final = 4


def id_of(name: str, version: int) -> str:
    """Return the id of a version's document."""
    return f"{name}.{version}"


def written(txid: int) -> int:
    """Return the external version of a document; to mark it as superseded adds one."""
    return _STEP * txid


def erased(txid: int) -> int:
    """Return the external version of an erasure: above all that was committed by then, below all that comes."""
    return _STEP * txid + _STEP - 1


def loose(version: Version) -> Document:
    """Return a document that every search finds: of what could not be indexed otherwise."""
    key = version.key
    place = {"x": version.txid, "to": OPEN, "u": version.last_updated, "pid": version.pid}
    return {"t": key.type, "i": key.id, **place, "loose": True}


def document_of(version: Version, entries: IndexEntries) -> Document:
    """Return the document of a current version."""
    made: Document = {
        "k": terms.of(entries),
        "s": sorted({terms.begins(p, folded) for p, folded, _ in entries.strings if ":" not in p}),
        "g": sorted(
            {f"{p}{MARK}{gram}" for p, text, _ in entries.strings if ":" not in p for gram in terms.grams(text)}
        ),
        "a": sorted({terms.begins(p, word) for p, text, _ in entries.strings if ":" in p for word in text.split()}),
        "y": sorted({terms.begins(p, uri) for p, uri in entries.uris}),
        "d": _bounds(entries.dates),
        "n": _bounds((p, finite(low), finite(high)) for p, low, high in entries.numbers),
        "q": _bounds((row[0], finite(row[1]), finite(row[2])) for row in entries.quantities),
        "c": _bounds(
            (row[0], finite(row[5][0]), finite(row[5][1])) for row in entries.quantities if row[5] is not None
        ),
        "p": _positions(entries),
        "w": fold(content_text(version.body.data)),
        "v": fold(narrative_text(version.body.data)),
        **_sorted_by(entries),
    }
    place = loose(version)
    del place["loose"]
    return place | {name: value for name, value in made.items() if value}


def finite(value: float) -> float:
    """Return an open end as the largest number that there is: JSON knows no infinity."""
    return max(-_LARGEST, min(_LARGEST, value))


def _bounds(rows: Iterable[tuple[str, Any, Any]]) -> Document:
    found: Document = {}
    for param, low, high in rows:
        row = found.setdefault(field(param), {"l": [], "h": []})
        row["l"].append(low)
        row["h"].append(high)
    return found


def _positions(entries: IndexEntries) -> Document:
    found: dict[str, list[dict[str, float]]] = {}
    for param, latitude, longitude in entries.positions:
        found.setdefault(field(param), []).append({"lat": latitude, "lon": longitude})
    return dict(found)


def _sorted_by(entries: IndexEntries) -> Document:
    """Return the least (a) and the greatest (d) value of each parameter, numbers apart from text."""
    found: Document = {"zn": {}, "zs": {}}
    for param, ends in least_and_greatest(entries, _SORTED_BY).items():
        for end, value in zip("ad", ends, strict=True):
            kind = "zs" if isinstance(value, str) else "zn"
            stored = finite(value) if isinstance(value, float) else sort_value(value)
            found[kind].setdefault(field(param), {})[end] = stored
    return found


def sort_value(value: SortValue) -> SortValue:
    """Return a value of a cursor as it stands in the index."""
    return value[:_SORTED_BY] if isinstance(value, str) else value


def place_of(hit: Mapping[str, Any]) -> tuple[str, str]:
    """Return type and id of a document that was found."""
    fields = hit["fields"]
    return fields["t"][0], fields["i"][0]
