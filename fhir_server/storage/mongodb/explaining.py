"""What `__explain=true` tells: how the server finds a first page, and what each part of the search finds."""

from typing import Any, Final

from pymongo.errors import OperationFailure

from fhir_server.search.query import And, Search
from fhir_server.storage.mongodb.compile import Filter
from fhir_server.storage.mongodb.rows import Snapshot
from fhir_server.storage.mongodb.search import count_of, filter_of, resolved
from fhir_server.storage.mongodb.sorting import Step, is_sortable, steps

_UNTOLD: Final = "not told by this server"


async def explained(snapshot: Snapshot, search: Search) -> dict[str, object]:
    """Return the server's plan, whether its answer is exact, and what each part of the tree matches by itself."""
    asked = await resolved(snapshot, search)
    filter_ = filter_of(snapshot, asked)
    plan = await _plan(snapshot, asked, filter_)
    parts = []
    for type_, node in asked.branches.items():
        for part in node.nodes if isinstance(node, And) else (node,):
            matched = await count_of(snapshot, Search({type_: part}))
            parts.append({"type": type_, "node": repr(part), "matched": matched})
    return {"exact": filter_.exact, "plan": plan, "steps": parts}


async def _plan(snapshot: Snapshot, search: Search, filter_: Filter) -> Any:
    """Return how the server finds the first page, and in what order."""
    step = next(steps(search)) if is_sortable(search) else Step({}, ())
    match = {"$and": [snapshot.current, *(part for part in (filter_.match, step.match) if part)]}
    cursor = snapshot.database["versions"].find(match).limit(search.count + 1)
    if step.order:
        cursor = cursor.sort(list(step.order))
    try:
        told = (await cursor.explain()).get("queryPlanner", {})
    except OperationFailure:
        return _UNTOLD
    plan = told.get("winningPlan", told.get("Plan", _UNTOLD))
    return plan.get("queryPlan", plan) if isinstance(plan, dict) else plan
