"""The planner: from which source a branch of a search is driven, and what is probed for each row.

The choice is ours, not SQLite's: its statistics know nothing of one code or one patient. Sources are counted up to a
bound, in rounds. One that is small drives at once. Else the index that has the order of the page is walked for a while,
which fills most pages; only where it does not, the sources are counted further. See docs/adr/0005-search-on-sqlite.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.storage.sqlite.compile_scope import PROBE
from fhir_server.storage.sqlite.compile_sql import NEVER, Predicate, Source, none_of
from fhir_server.storage.sqlite.plan_queries import (
    ALL,
    After,
    Branch,
    Page,
    dated,
    drive,
    has_key,
    walk_keys,
    walk_pids,
)
from fhir_server.storage.sqlite.plan_sort import Row, Walk

GLANCE: Final = 512  # rows of a source or type walked before anything is counted further
MIDDLE: Final = 8_192  # rows counted of each source in the second round
WALK: Final = 4_096  # rows of an index walked before the third round
DEEP: Final = 50_000  # rows counted of each source in the third round
_DEAR: Final = 4  # listing the rows of a chain costs about so many times more
_DEAREST: Final = 8  # a probe of `_has` looks at all that refers to one resource
_DRIVEN: Final = 2  # looking up and sorting a row of a source costs about so many steps of a walk


@dataclass(frozen=True, slots=True)
class Sized:
    """A part with a source and the number of its rows, which is exact below `bound`."""

    part: Predicate
    source: Source
    rows: int
    bound: int

    @property
    def known(self) -> bool:
        """Tell whether all rows were counted."""
        return self.rows < self.bound


class Steps:
    """What the planner did, for `explain`."""

    def __init__(self) -> None:
        self.taken: list[dict[str, object]] = []

    def note(self, step: str, **facts: object) -> None:
        """Keep one step."""
        self.taken.append({"step": step, **facts})


def find(branch: Branch, after: After | None, limit: int, steps: Steps) -> list[Row]:
    """Return the first `limit` rows of a branch behind `after`, in order."""
    if NEVER in branch.parts:
        steps.note("nothing can match", type=branch.scope.type)
        return []
    plan = Plan(branch, after, limit, steps)
    sized = plan.count(PROBE)
    if branch.scope.contained or (sized and sized[0].known):
        return plan.drive(sized)
    if branch.by_pid:
        alone = not branch.parts or (len(branch.parts) == 1 and sized and sized[0].source.walks)
        found = plan.walk(sized, ALL if alone else GLANCE // plan.dear)
        if found is not None and (alone or len(found) >= limit):
            return found
    return plan.choose()


@dataclass(frozen=True, slots=True)
class Plan:
    """The ways to find the rows of one branch."""

    branch: Branch
    after: After | None
    limit: int
    steps: Steps

    @property
    def dear(self) -> int:
        """How much more than a look-up the dearest probe costs: a walk looks at so many rows less."""
        return max((part.cost for part in self.branch.parts), default=1) or 1

    def choose(self) -> list[Row]:
        """Weigh driving from the smallest source against walking the order, with better counts."""
        if not self.branch.parts:
            found = self.walk((), ALL)
            return self.drive(()) if found is None else found
        sized = self.count(MIDDLE)
        known = sized[0].rows if sized and sized[0].known else None
        budget = WALK // self.dear if known is None else self._worth_walking(known)
        found = self.walk(sized, budget) if budget else None
        if found is not None and len(found) >= self.limit:
            return found
        return self.drive(sized) if known is not None else self._deep()

    def _worth_walking(self, rows: int) -> int:
        """Return how far to walk the order before the `rows` of a source are looked at instead; 0 for not at all.

        If what matches is spread evenly, a page is full after `limit * total / rows` rows of the type.
        """
        total = self.branch.scope.values.one("SELECT total FROM type WHERE type=?", self.branch.kind) or 0
        expected = self.limit * int(total) // max(rows, 1) * self.dear
        return 3 * expected if expected < _DRIVEN * rows else 0

    def _deep(self) -> list[Row]:
        sized = self.count(DEEP)
        if not (sized and (sized[0].known or self.dear >= _DEAREST)):
            found = self.walk(sized, ALL)
            if found is not None:
                return found
        return self.drive(sized)

    def count(self, bound: int) -> list[Sized]:
        """Count the sources, the smallest first."""
        found = []
        for part in self.branch.parts:
            if part.source is not None:
                most = bound // _DEAR if part.cost >= _DEAR and bound == MIDDLE else bound
                rows = self.branch.scope.estimate(part.source, most)
                found.append(Sized(part, part.source, rows, most))
                self.steps.note("count", of=part.label, rows=rows, bound=most)
        return sorted(found, key=lambda sized: (not sized.known, sized.rows))

    def rest(self, sized: Sequence[Sized], driver: Sized | None) -> list[Predicate]:
        """Return the parts to probe, the most selective first."""
        known = {id(each.part): each.rows for each in sized if each.known}
        left = [p for p in self.branch.parts if driver is None or p is not driver.part or not driver.source.exact]
        return sorted(left, key=lambda part: (id(part) not in known, part.cost, known.get(id(part), 0)))

    def drive(self, sized: Sequence[Sized]) -> list[Row]:
        """Take all rows of the smallest source and sort them."""
        driver = sized[0] if sized else None
        rest = self.rest(sized, driver)
        query = drive(self.branch, None if driver is None else driver.source, rest, self.after, self.limit)
        found = self.branch.rows(query)
        by = f"all of {self.branch.scope.rows_of}" if driver is None else driver.part.label
        self.steps.note("drive", by=by, probes=_labels(rest), found=len(found), sql=self.branch.ran[-1:])
        return found

    def walk(self, sized: Sequence[Sized], budget: int) -> list[Row] | None:
        """Walk an index in the order of the page; None where there is none for this order."""
        page = Page(self.after, self.limit, budget)
        if self.branch.by_pid:
            driver = next((each for each in sized if each.source.walks), None)
            rest = self.rest(sized, driver)
            found = walk_pids(self.branch, None if driver is None else driver.source, rest, page)
            by = f"pids of {self.branch.scope.type}" if driver is None else driver.part.label
        elif self.branch.columns[0].walk is not None:
            rest = self.rest(sized, None)
            found = self._walk_keys(self.branch.columns[0].walk, rest, page)
            by = f"{self.branch.columns[0].label} in order"
        else:
            return None
        self.steps.note("walk", by=by, probes=_labels(rest), budget=budget, found=len(found), sql=self.branch.ran[-1:])
        return found

    def _walk_keys(self, walk: Walk, rest: Sequence[Predicate], page: Page) -> list[Row]:
        found: list[Row] = []
        if page.after is None or page.after[0][0] is not None:
            found = walk_keys(self.branch, walk, rest, page)
            page = replace(page, after=None)
        if len(found) >= page.limit or page.budget != ALL or dated(self.branch, walk) is not None:
            return found
        return found + self._without_key(walk, page.after, page.limit - len(found))

    def _without_key(self, walk: Walk, after: After | None, limit: int) -> list[Row]:
        """Find the rows that have no value for the first key: they come last, in the order of the other keys."""
        label = f"{self.branch.columns[0].label} present"
        without = none_of(Predicate(label, lambda subject: has_key(walk, subject)))
        rest = replace(self.branch, parts=(*self.branch.parts, without), columns=self.branch.columns[1:])
        place = None if after is None else (after[0][1:], after[1], after[2])
        return [Row((None, *row.values), row.pid, row.cid) for row in find(rest, place, limit, self.steps)]


def _labels(parts: Sequence[Predicate]) -> list[str]:
    return [part.label for part in parts]
