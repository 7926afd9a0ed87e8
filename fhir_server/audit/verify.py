"""Checking an audit log against its signed heads: is every row that they speak of still there, and as it was?"""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from fhir_server.audit.ledger import CUTS, HEADS, SHORT, SPAN, TILES, Head, head_of, kept_leaves, leaf_of
from fhir_server.audit.merkle import Growing, leaf_hash
from fhir_server.model.version import instant
from fhir_server.storage.audit import AuditEntry, AuditLog
from fhir_server.storage.base import Records

_STEP: Final = 1_000
_MOST: Final = 20


class Kept(Protocol):
    """What is verified: a store, or the file of one."""

    @property
    def audit(self) -> AuditLog:
        """The log that is verified."""

    @property
    def records(self) -> Records:
        """Where its signed heads are."""


@dataclass(slots=True)
class Report:
    """What was found.

    problems: in words, each naming rows. covered: rows that a good head vouches for. removed: rows that retention has
    removed, of which the hashes are left. oldest: time of the first row that is there.
    """

    rows: int = 0
    removed: int = 0
    oldest: int | None = None
    heads: int = 0
    covered: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problem: str) -> None:
        """Note a problem; of very many the first are enough."""
        if len(self.problems) < _MOST:
            self.problems.append(problem)


async def verify(kept: Kept, outside: Sequence[Head] = ()) -> Report:
    """Read all rows and compare the tree over them with every head, those kept in the store and those from outside."""
    report = Report()
    heads = _in_order(await _heads(kept.records), outside, report)
    removed = await _removed(kept, outside, report)
    report.heads = len(heads)
    short = _Short(kept.records)
    tree, suspects, at = Growing(), list[int](), 0
    async for seq, leaf in _leaves(kept, removed, report):
        if not await short.agrees(tree.size, leaf):
            suspects.append(seq)
        tree.add(leaf)
        while at < len(heads) and heads[at].size <= tree.size:
            _compare(heads[at], tree, suspects, report)
            at += 1
    report.rows = tree.size
    if suspects and not report.problems:
        report.add(f"{_rows(suspects)}: not as the kept hashes have it, though no head speaks against it")
    for head in heads[at:]:
        if head.size > tree.size:
            missing = f"rows {tree.size + 1} to {head.size} are missing"
            report.add(f"{missing}: the head of {instant(head.time)} counts {head.size} rows")
    return report


def _compare(head: Head, tree: Growing, suspects: list[int], report: Report) -> None:
    if head.size != tree.size:
        return
    if head.root == _text(tree.root):
        report.covered = max(report.covered, head.size)
    elif suspects:
        report.add(f"not as when the head of {head.size} rows was signed: {_rows(suspects)}")
    else:
        since = f"rows {report.covered + 1} to {head.size}"
        report.add(f"{since} are not all as they were when their head was signed at {instant(head.time)}")


async def _removed(kept: Kept, outside: Sequence[Head], report: Report) -> int:
    """Return how many rows were removed, if that was signed; what was not is found missing."""
    try:
        found = await kept.records.find(CUTS.name, order="-key", limit=1)
    except KeyError:
        return 0
    if not found:
        return 0
    cut = head_of(dict(found[0].value))
    if not cut.good() or (outside and (cut.log, cut.key) not in {(f"{head.log} cut", head.key) for head in outside}):
        report.add(f"that {cut.size} rows were removed under retention is not signed by the key of the log")
        return 0
    return cut.size


async def _leaves(kept: Kept, removed: int, report: Report) -> AsyncIterator[tuple[int, bytes]]:
    """Yield the seq and hash of all rows in order, those of removed rows as they were kept."""
    report.removed = min(removed, await kept.audit.first() - 1)
    for first in range(0, report.removed, _STEP):
        number = min(_STEP, report.removed - first)
        hashes = await kept_leaves(kept.records, first, number)
        for at, leaf in enumerate(hashes, first + 1):
            yield at, leaf
        if len(hashes) < number:
            report.add(f"the hashes of the removed rows {first + len(hashes) + 1} to {report.removed} are missing")
            break
    async for entry in _entries(kept.audit, report):
        if report.oldest is None:
            report.oldest = entry.time
        yield entry.seq, leaf_hash(leaf_of(entry))


async def _entries(log: AuditLog, report: Report) -> AsyncIterator[AuditEntry]:
    """Yield all rows in order, and note gaps."""
    expected, size = report.removed + 1, await log.size()
    for first in range(expected, size + 1, _STEP):
        for entry in await log.span(first, min(first + _STEP - 1, size)):
            if entry.seq != expected:
                last = entry.seq - 1
                report.add(
                    f"row {expected} is missing" if last == expected else f"rows {expected} to {last} are missing"
                )
            expected = entry.seq + 1
            yield entry


async def _heads(records: Records) -> list[Head]:
    """Return all heads that the store keeps."""
    found: list[Head] = []
    after: str | None = None
    while True:
        try:
            page = await records.find(HEADS.name, after=after, limit=_STEP)
        except KeyError:
            return found  # none was ever signed
        found += [head_of(dict(record.value)) for record in page]
        if len(page) < _STEP:
            return found
        after = page[-1].key


def _in_order(stored: Iterable[Head], outside: Sequence[Head], report: Report) -> list[Head]:
    """Return the good heads by size. Those from outside say whose signature counts, where there are any."""
    known = {(head.log, head.key) for head in outside}
    for head in outside:
        if not head.good():
            report.add(f"the head of {head.size} rows in the file has a bad signature")
    good = [head for head in outside if head.good()]
    for head in stored:
        if not head.good():
            report.add(f"the head of {head.size} rows in the store has a bad signature")
        elif known and (head.log, head.key) not in known:
            report.add(f"the head of {head.size} rows in the store is signed by another key than those in the file")
        else:
            good.append(head)
    return sorted(good, key=lambda head: head.size)


class _Short:
    """The first bytes of the hash of each row, as they were when the row was new; they tell where to look."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._tile, self._at = b"", -1

    async def agrees(self, index: int, leaf: bytes) -> bool:
        """Tell whether a row is what it was; True also where nothing is kept of it."""
        if index // SPAN != self._at:
            self._at = index // SPAN
            try:
                record = await self._records.get(TILES.name, f"0-{self._at}")
            except KeyError:
                record = None
            self._tile = b64decode(str(record.value["hashes"])) if record else b""
        start = index % SPAN * SHORT
        known = self._tile[start : start + SHORT]
        return not known or known == leaf[:SHORT]


def _rows(seqs: list[int]) -> str:
    named = ", ".join(map(str, seqs[:_MOST]))
    return f"{'row' if len(seqs) == 1 else 'rows'} {named}{' and more' if len(seqs) > _MOST else ''}"


def _text(data: bytes) -> str:
    return b64encode(data).decode()
