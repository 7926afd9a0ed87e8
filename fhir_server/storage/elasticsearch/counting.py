"""Counts by group out of the index: aggregations over what a search finds exactly.

The index answers only where its query means just what the tree means, where all that is counted could be indexed, and
where no group is cut off or known by a digest alone; else it says None, and others count.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.search.dates import EARLIEST, date_bounds
from fhir_server.search.query import Search
from fhir_server.storage.base.counting import UPDATED, By, Counted, Group, Label, TooManyGroups, bucket
from fhir_server.storage.elasticsearch.clauses import Query
from fhir_server.storage.elasticsearch.compile import compiled, query_of
from fhir_server.storage.elasticsearch.index import TenantIndex
from fhir_server.storage.elasticsearch.terms import MARK, field, is_digest

_EXACT: Final = 1 << 53
"""Bounds of ranges are doubles."""
_RANGES: Final = 10_000
"""Years, months or days between the first and the last that are asked for."""
_SPECIAL: Final = re.compile(r"[^A-Za-z0-9_-]")

Found = Mapping[str, Any]


class Untold(Exception):
    """The index cannot tell this one."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """Tokens or references: what the groups are, and what has none."""

    groups: Query
    none: Query
    by: By

    def label(self, found: Found) -> Label:
        """Return what a bucket stands for. Raises Untold."""
        key: str = found["key"]
        parts = key.split(MARK, 3)
        if is_digest(key) or parts[-1] == "" or (parts[0] == "r" and parts[2] == "#"):
            raise Untold
        if parts[0] == "t":
            return parts[2], parts[3]
        return (f"{parts[2]}/{parts[3]}",) if parts[0] == "r" else (MARK.join(parts[2:]),)


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Dates, likewise."""

    groups: Query
    none: Query

    def label(self, found: Found) -> Label:
        """Return what a bucket stands for."""
        return (str(found["key"]),)


_Level = _Terms | _Ranges


async def counted(index: TenantIndex, search: Search, by: Sequence[By], at: tuple[int, int]) -> Counted | None:
    """Return the counts as of a commit; at: the commit, and the most groups. None where the index cannot tell.

    Raises:
        TooManyGroups: there are more.
        IndexDown, Refused: it does not answer, or not this.
    """
    txid, most = at
    clauses = [compiled(node) for node in search.branches.values()]
    if len(clauses) != 1 or not clauses[0].exact:
        return None
    query = query_of(search.branches, txid)
    try:
        ends = await _ends(index, query, by)
        levels = [_level(each, most, ends.get(each.param)) for each in by]
        aggregations = {**_nested(levels), **_checks(clauses[0].single)}
        found = await index.search({"query": query, "size": 0, "track_total_hits": True, "aggs": aggregations})
        _check(found["aggregations"], clauses[0].single)
        return _read(found, levels, most)
    except Untold:
        return None


def _checks(single: frozenset[str]) -> Query:
    """Ask for what was not indexed, and whether fields have one value each."""
    values = {f"values {name}": {"value_count": {"field": name}} for name in single}
    having = {f"having {name}": {"filter": {"exists": {"field": name}}} for name in single}
    return {"loose": {"filter": {"term": {"loose": True}}}, **values, **having}


def _check(found: Found, single: frozenset[str]) -> None:
    if found["loose"]["doc_count"]:
        raise Untold
    for name in single:
        if found[f"values {name}"]["value"] != found[f"having {name}"]["doc_count"]:
            raise Untold


async def _ends(index: TenantIndex, query: Query, by: Sequence[By]) -> Mapping[str, tuple[int, int]]:
    """Return the first and last value of each date. Raises Untold: a range of them would not be exact."""
    dates = [each.param for each in by if each.kind == "date"]
    if not dates:
        return {}
    asked = {
        param: {
            "filter": _begun(param),
            "aggs": {end: {end: {"field": _date(param)}} for end in ("min", "max")},
        }
        for param in dates
    }
    found = (await index.search({"query": query, "size": 0, "track_total_hits": False, "aggs": asked}))["aggregations"]
    ends: dict[str, tuple[int, int]] = {}
    for param in dates:
        low, high = found[param]["min"]["value"], found[param]["max"]["value"]
        if low is not None:
            scale = 1_000 if param == UPDATED else 1
            ends[param] = int(low) * scale, int(high) * scale
            if max(abs(low), abs(high)) >= _EXACT:
                raise Untold
    return ends


def _date(param: str) -> str:
    return "u" if param == UPDATED else f"d.{field(param)}.l"


def _begun(param: str) -> Query:
    """Return the query for what has a date that begins."""
    return {"range": {_date(param): {"gt": EARLIEST}}}


def _level(by: By, most: int, ends: tuple[int, int] | None) -> _Level:
    if by.kind == "date":
        return _of_dates(by, ends)
    kinds = "t" if by.kind == "token" else "ru"
    wanted = f"[{kinds}]{MARK}{_SPECIAL.sub(lambda found: chr(92) + found[0], by.param)}{MARK}.*"
    prefixes = [{"prefix": {"k": f"{kind}{MARK}{by.param}{MARK}"}} for kind in kinds]
    groups = {"terms": {"field": "k", "include": wanted, "size": most + 1}}
    return _Terms(groups, {"bool": {"must_not": prefixes}}, by)


def _of_dates(by: By, ends: tuple[int, int] | None) -> _Level:
    """Ask for each year, month or day between the first and the last. Raises Untold: there are too many."""
    name, scale = _date(by.param), 1_000 if by.param == UPDATED else 1
    ranges: list[Query] = []
    low, last = ends or (0, -1)
    while low <= last:
        text = bucket(low, by.unit, by.zone)
        first, low = date_bounds(text, by.zone) if text else (0, 0)
        if not text or len(ranges) > _RANGES:
            raise Untold
        ranges.append({"key": text, "from": first // scale, "to": low // scale})
    groups: Query = {"range": {"field": name, "ranges": ranges}} if ranges else {"filter": {"match_none": {}}}
    return _Ranges(groups, {"bool": {"must_not": [_begun(by.param)]}})


def _nested(levels: Sequence[_Level]) -> Query:
    if not levels:
        return {}
    first, deeper = levels[0], _nested(levels[1:])
    more = {"aggs": deeper} if deeper else {}
    return {"some": {**first.groups, **more}, "none": {"filter": first.none, **more}}


def _read(found: Found, levels: Sequence[_Level], most: int) -> Counted:
    counts = Counted(int(found["hits"]["total"]["value"]))
    for group, number in _groups(found["aggregations"], levels):
        counts.groups[group] = number
        if len(counts.groups) > most:
            raise TooManyGroups(f"there are more than {most} groups")
    return counts


def _groups(found: Found, levels: Sequence[_Level]) -> Iterator[tuple[Group, int]]:
    if not levels:
        yield (), int(found["doc_count"])
        return
    level, deeper = levels[0], levels[1:]
    if found["some"].get("sum_other_doc_count") or found["some"].get("doc_count_error_upper_bound"):
        raise Untold
    for each in found["some"].get("buckets", ()):
        if each["doc_count"] and (label := _kept(level, each)):
            yield from (((label, *rest), number) for rest, number in _groups(each, deeper))
    if found["none"]["doc_count"]:
        yield from (((None, *rest), number) for rest, number in _groups(found["none"], deeper))


def _kept(level: _Level, found: Found) -> Label | None:
    """Return the label of a bucket; None for one of two forms of the same text."""
    label = level.label(found)
    folds = isinstance(level, _Terms) and level.by.folds
    return None if folds and label[1] != label[1].casefold() else label
