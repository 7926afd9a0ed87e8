"""The audit log of the reference engine: a list."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_server.storage.audit import AuditEntry, AuditPage, AuditQuery, AuditRow


@dataclass(slots=True)
class MemoryAudit:
    """All rows and the keys of each, in the order of seq; `gone` rows before them were removed."""

    entries: list[AuditEntry] = field(default_factory=list)
    keys: list[frozenset[str]] = field(default_factory=list)
    gone: int = 0

    def add(self, rows: Sequence[AuditRow]) -> int:
        """Append rows; return the seq of the first."""
        first = self.gone + len(self.entries) + 1
        for seq, row in enumerate(rows, first):
            time = max(row.time, self.entries[-1].time if self.entries else 0)
            self.entries.append(AuditEntry(seq, time, row.agent, row.body))
            self.keys.append(frozenset(row.keys))
        return first

    async def append(self, rows: Sequence[AuditRow]) -> int:
        """Record rows; return the seq of the first."""
        return self.add(rows)

    async def note(self, rows: Sequence[AuditRow]) -> None:
        """Record rows."""
        self.add(rows)

    async def read(self, seq: int) -> AuditEntry | None:
        """Return one row."""
        found = await self.span(seq, seq)
        return found[0] if found else None

    async def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of rows."""
        chosen = [entry for entry in self.entries if self._is_asked(query, entry)]
        if not query.ascending:
            chosen.reverse()
        found: list[AuditEntry] = []
        for number, entry in enumerate(chosen, 1):
            if query.test is None or query.test(entry):
                found.append(entry)
            if len(found) >= query.count or number >= query.most:
                return AuditPage(tuple(found), entry.seq if number < len(chosen) else None)
        return AuditPage(tuple(found))

    def _is_asked(self, query: AuditQuery, entry: AuditEntry) -> bool:
        return (
            (query.since is None or entry.time >= query.since)
            and (query.until is None or entry.time < query.until)
            and (query.below is None or entry.seq < query.below)
            and (query.above is None or entry.seq > query.above)
            and not any(self.keys[entry.seq - 1 - self.gone].isdisjoint(keys) for keys in query.keys)
            and (query.agent is None or query.agent(entry.agent))
        )

    async def span(self, first: int, last: int) -> list[AuditEntry]:
        """Return the rows of a range."""
        return self.entries[max(first - 1 - self.gone, 0) : max(last - self.gone, 0)]

    async def size(self) -> int:
        """Return the seq of the newest row."""
        return self.gone + len(self.entries)

    async def first(self) -> int:
        """Return the seq of the oldest row."""
        return self.gone + 1

    async def cut(self, before: int) -> int:
        """Remove the oldest rows."""
        number = max(min(before - 1 - self.gone, len(self.entries) - 1), 0)
        del self.entries[:number], self.keys[:number]
        self.gone += number
        return number
