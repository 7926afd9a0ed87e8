"""Totals: how many rows a branch matches, exactly or by a sample."""

from typing import Final

from fhir_server.storage.sqlite.compile_scope import PROBE
from fhir_server.storage.sqlite.compile_sql import NEVER, Sql, both, sql
from fhir_server.storage.sqlite.plan import DEEP, Plan, Sized, Steps
from fhir_server.storage.sqlite.plan_queries import INDEXED, NOT_STALE, Branch, by_index_alone, matches

SAMPLE: Final = 1_000
_COUNTED: Final = 200_000  # rows of a source counted for an estimate


def matched(branch: Branch, steps: Steps) -> Sql:
    """Return the query for (pid, cid) of all matches, in no order."""
    plan, driver = _driver(branch, steps)
    rest = plan.rest([] if driver is None else [driver], driver)
    by = f"all of {branch.scope.rows_of}" if driver is None else driver.part.label
    steps.note("all", by=by, probes=[part.label for part in rest])
    return matches(branch, None if driver is None else driver.source, rest, ())


def count(branch: Branch, steps: Steps) -> int:
    """Return the number of matches."""
    query = "SELECT count(*) FROM (" + matched(branch, steps) + ")"
    return int(branch.scope.values.one(query.text, *query.values))


def _driver(branch: Branch, steps: Steps) -> tuple[Plan, Sized | None]:
    plan = Plan(branch, None, 0, steps)
    sized = plan.count(PROBE)
    if len(sized) > 1 and not sized[0].known:
        sized = plan.count(DEEP)
    return plan, sized[0] if sized else None


def estimate(branch: Branch, steps: Steps) -> tuple[int, bool]:
    """Return a number of matches and whether it is only estimated: the share of a sample times the rows of its
    source."""
    if NEVER in branch.parts:
        return 0, False
    plan, driver = _driver(branch, steps)
    if driver is None or driver.rows < SAMPLE or not by_index_alone(branch, driver.source):
        return _bounded(branch, steps)
    rows = branch.scope.estimate(driver.source, _COUNTED)
    rest = plan.rest([driver], driver)
    holds = both([NOT_STALE, *(part.probe(INDEXED) for part in rest)])
    query = "SELECT total(ok)/max(1,count(*)) FROM (SELECT " + holds + " AS ok FROM (" + driver.source.distinct
    query = query + sql(" LIMIT ?) c)", SAMPLE)
    return round(rows * branch.scope.values.one(query.text, *query.values)), True


def _bounded(branch: Branch, steps: Steps) -> tuple[int, bool]:
    query = "SELECT count(*) FROM (" + matched(branch, steps) + sql(" LIMIT ?)", SAMPLE * 10)
    found = int(branch.scope.values.one(query.text, *query.values))
    return found, found >= SAMPLE * 10
