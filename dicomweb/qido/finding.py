"""Finding: studies, their series, their instances, in a stable order, as far as the caller may see them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from dicomweb.index.collections import HEADERS, INSTANCES, SERIES, STUDIES
from dicomweb.index.levels import COMPUTED, OF
from dicomweb.index.reading import each_below
from dicomweb.index.rows import unpacked
from dicomweb.ingest.facts import first
from dicomweb.model.authority import Authority
from dicomweb.model.values import DicomJson, Found, Level, Query
from dicomweb.qido.conditions import study_conditions
from dicomweb.qido.matching import Holds, matcher, uids_in
from dicomweb.qido.showing import attributes_of, shown
from fhir_server.plugin_api import BadRequest, Collection, PluginContext, Record, TooCostly, Where

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_PAGE = 200
_UIDS = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}
_ORDER: tuple[Level, ...] = ("study", "series", "instance")


@dataclass(frozen=True, slots=True)
class Hit:
    """One match: the records of its level and of those above. header: all attributes, where they were looked at."""

    study: Record
    series: Record | None = None
    instance: Record | None = None
    header: DicomJson | None = None


@dataclass(slots=True)
class Search:
    """A search under way. tests: what must hold, by level."""

    ctx: PluginContext
    query: Query
    authority: Authority
    most: int
    tests: dict[Level, list[Holds]] = field(default_factory=dict)
    deep: list[Holds] = field(default_factory=list)
    looked_at: int = 0

    def count(self, rows: int) -> None:
        """Note that rows were looked at. Raises TooCostly."""
        self.looked_at += rows
        if self.looked_at > self.most:
            raise TooCostly(
                f"this search would look at more than {self.most} rows: name a patient, a date or a study",
                expression="http.query",
            )

    async def hits(self) -> AsyncIterator[Hit]:
        """Yield the matches."""
        async for study in self._studies():
            if self.query.level == "study":
                yield Hit(study)
                continue
            async for series in self._below(SERIES, study.key, "series"):
                if self.query.level == "series":
                    yield Hit(study, series)
                    continue
                async for instance in self._below(INSTANCES, series.key, "instance"):
                    header = await self._header(instance)
                    if all(test(header or {}) for test in self.deep):
                        yield Hit(study, series, instance, header)

    async def _studies(self) -> AsyncIterator[Record]:
        where = await self._narrowed()
        limit, offset = self._first_page(), 0
        while True:
            page = await self.ctx.store.find(STUDIES.name, where, order="-date", limit=limit, offset=offset)
            self.count(len(page))
            matching = [each for each in page if self._holds("study", each)]
            seen = await self.authority.visible(self.ctx, [each.key for each in matching])
            for each in matching:
                if each.key in seen:
                    yield each
            if len(page) < limit:
                return
            offset, limit = offset + limit, _PAGE

    def _first_page(self) -> int:
        """Return how many studies to read first: no more than are wanted, where each of them is likely one."""
        asked = (self.query.limit or 0) + self.query.offset
        return min(asked + 1, _PAGE) if asked and self.query.level == "study" else _PAGE

    async def _narrowed(self) -> list[Where]:
        """Return conditions on studies, those that a series or instance UID comes to included."""
        keys, within = self.query.keys, self.query.within
        where = study_conditions(keys, fuzzy=self.query.fuzzy)
        if "study" in within:
            where.append(Where("key", "=", within["study"]))
        uids = uids_in(within.get("instance") or keys.get("00080018", ""))
        records = []
        if uids and "study" not in within:
            records = await self.ctx.store.find(INSTANCES.name, [Where("sop", "in", uids)], limit=2_000)
        uids = uids or uids_in(within.get("series") or keys.get("0020000E", ""))
        if uids and not records and "study" not in within and not keys.get("00080018"):
            records = await self.ctx.store.find(SERIES.name, [Where("series", "in", uids)], limit=2_000)
        elif not uids or "study" in within:
            return where
        return [*where, Where("key", "in", sorted({record.key.split("/")[0] for record in records}))]

    async def _below(self, collection: Collection, key: str, level: Level) -> AsyncIterator[Record]:
        """Yield what lies below and matches, by number."""
        named = self.query.within.get(level) or self.query.keys.get(_UIDS[level], "")
        if named and not set(named) & set(",\\*?"):
            found = await self.ctx.store.get(collection.name, f"{key}/{named}")
            records = [found] if found else []
        else:
            records = [each async for each in each_below(self.ctx, collection, f"{key}/")]
        self.count(len(records))
        for each in sorted(records, key=lambda record: _number(record, level)):
            if self._holds(level, each):
                yield each

    def _holds(self, level: Level, record: Record) -> bool:
        tests = self.tests.get(level)
        if not tests:
            return True
        row = attributes_of(record, level)
        return all(test(row) for test in tests)

    async def _header(self, instance: Record) -> DicomJson | None:
        """Return all attributes of an instance, where the search asks for one that the index lacks."""
        wanted = [tag for tag in self.query.include if tag != "all" and not _indexed(tag, "instance")]
        if not self.deep and not wanted and "all" not in self.query.include:
            return None
        record = await self.ctx.store.get(HEADERS.name, instance.key)
        found: DicomJson = msgspec.json.decode(unpacked(str(record.value["z"]))) if record else {}
        return found


async def find(ctx: PluginContext, query: Query, authority: Authority, settings: "DicomSettings") -> Found:
    """Search; see model/archive.py."""
    limit = min(settings.page if query.limit is None else query.limit, settings.max_page)
    search = search_of(ctx, replace(query, limit=limit), authority, settings)
    rows: list[DicomJson] = []
    patients: dict[str, None] = {}
    number = 0
    async for hit in search.hits():
        number += 1
        if number <= query.offset:
            continue
        if len(rows) == limit:
            return Found(tuple(rows), True, _remarks(query, settings), tuple(patients))
        if hit.study.value.get("patient"):
            patients[str(hit.study.value["patient"])] = None
        rows.append(shown(hit.study, hit.series, hit.instance, hit.header, query))
    return Found(tuple(rows), False, _remarks(query, settings), tuple(patients))


async def count(ctx: PluginContext, query: Query, authority: Authority, settings: "DicomSettings") -> int:
    """Count what matches."""
    search = search_of(ctx, replace(query, limit=None, offset=0, include=()), authority, settings)
    return len([None async for _ in search.hits()])


def search_of(ctx: PluginContext, query: Query, authority: Authority, settings: "DicomSettings") -> Search:
    """Return a search, its keys sorted to the levels that have them. Raises BadRequest: one is of none."""
    search = Search(ctx, query, authority, settings.max_looked_at)
    for path, value in query.keys.items():
        test = matcher(path, value, fuzzy=query.fuzzy)
        level = _level(path.split(".")[0], query)
        if test is None:
            continue
        if level is None:
            search.deep.append(test)
        else:
            search.tests.setdefault(level, []).append(test)
    return search


def _level(tag: str, query: Query) -> Level | None:
    """Return the level that has an attribute; None for one of instances that the index lacks."""
    reach = _ORDER[: _ORDER.index(query.level) + 1]
    for level in reach:
        if _indexed(tag, level):
            return level
    if query.level == "instance" and ("study" in query.within or query.keys.get("0020000D")):
        return None
    raise BadRequest(f"{tag} cannot be searched by at the level of {query.level}", expression=f"http.{tag}")


def _indexed(tag: str, level: Level) -> bool:
    computed: Mapping[Level, tuple[str, ...]] = {
        "study": ("00080061", "00080062", "00201206", "00201208", "00080056"),
        "series": ("00201209",),
        "instance": (),
    }
    return tag in OF[level] or tag in computed[level] or (tag in COMPUTED and level == "study")


def _number(record: Record, level: Level) -> tuple[int, str]:
    row: DicomJson = record.value["a"]  # type: ignore[assignment]
    number = first(row, "00200011" if level == "series" else "00200013", None)
    return (number if isinstance(number, int) else 1 << 31, record.key)


def _remarks(query: Query, settings: "DicomSettings") -> tuple[str, ...]:
    if query.limit is not None and query.limit > settings.max_page:
        return (f"no more than {settings.max_page} matches are returned at once",)
    return ()
