"""From the tree of a search to what of it the audit log can look up, and quick tests before an event is rendered.

What is made here never leaves out a match: every row that it lets through is matched against the whole tree.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fhir_server.audit.codes import codes_of
from fhir_server.audit.events import REPORTED, Event, agent_of
from fhir_server.errors import BadRequest
from fhir_server.search import query as q
from fhir_server.search.parameters_links import LINK
from fhir_server.storage.audit import AuditQuery

_KEYED = frozenset(("patient", "entity", LINK))
Test = Callable[[Event], bool]


@dataclass(slots=True)
class Asked:
    """What was found: keys of rows, a range of time, who acts, ids, quick tests."""

    keys: list[frozenset[str]] = field(default_factory=list)
    since: int | None = None
    until: int | None = None
    subjects: frozenset[str] | None = None
    seqs: frozenset[int] | None = None
    tests: list[Test] = field(default_factory=list)

    def query(self) -> AuditQuery:
        """Return the look-up, without a page."""
        subjects = self.subjects
        agent = None if subjects is None else lambda text: _is_one(text, subjects)
        return AuditQuery(tuple(self.keys), self.since, self.until, agent)


def read(node: q.Node) -> Asked:
    """Return what can be looked up of a tree. Raises BadRequest for chains: the audit has no joins."""
    asked = Asked()
    for part in _parts(node):
        _take(asked, part)
    _refuse_chains(node)
    return asked


def _parts(node: q.Node) -> Iterator[q.Node]:
    if isinstance(node, q.And):
        for each in node.nodes:
            yield from _parts(each)
    else:
        yield node


def _take(asked: Asked, node: q.Node) -> None:
    if isinstance(node, q.Reference):
        _take_reference(asked, node)
    elif isinstance(node, q.LastUpdated) or (isinstance(node, q.Date) and node.param == "date"):
        if len(node.values) == 1:
            _take_date(asked, node.values[0])
    elif isinstance(node, q.Ids):
        found = frozenset(int(id_) for id_ in node.values if id_.isascii() and id_.isdigit() and len(id_) < 16)
        asked.seqs = found if asked.seqs is None else asked.seqs & found
    elif isinstance(node, q.Token):
        _take_token(asked, node)


def _take_reference(asked: Asked, node: q.Reference) -> None:
    if any(value.id is None for value in node.values):
        return
    types = node.targets if node.param == "entity" else ("Patient",)
    if node.param in _KEYED:
        if node.param == "entity" and any(value.type is None for value in node.values):
            return
        names = {f"{value.type or types[0]}/{value.id}" for value in node.values}
        asked.keys.append(frozenset(names))
    elif node.param == "agent" and all(value.type for value in node.values):
        subjects = frozenset(f"{value.type}/{value.id}" for value in node.values)
        asked.subjects = subjects if asked.subjects is None else asked.subjects & subjects


def _take_date(asked: Asked, value: q.DateValue) -> None:
    """Bound the time; a little wider than asked, as rows have whole milliseconds."""
    low, high = value.low // 1000, -(-value.high // 1000)
    prefix = value.prefix.value
    if prefix in ("eq", "ge", "gt", "sa"):
        asked.since = max(asked.since or 0, low)
    if prefix in ("eq", "le", "lt", "eb"):
        bound = high if prefix in ("eq", "le") else low + 1
        asked.until = bound if asked.until is None else min(asked.until, bound)


def _take_token(asked: Asked, node: q.Token) -> None:
    """Compare codes alone; what an app has reported may hold any."""
    wanted = {value.code for value in node.values}
    if None in wanted:
        return
    if node.param == "action":
        asked.tests.append(lambda event: event.code == REPORTED or event.action in wanted)
    elif node.param == "outcome":
        asked.tests.append(lambda event: event.code == REPORTED or event.outcome in wanted)
    elif node.param in ("type", "subtype"):
        at = 0 if node.param == "type" else 1
        asked.tests.append(lambda event: event.code == REPORTED or codes_of(event.code)[at] in wanted)


def _refuse_chains(node: q.Node) -> None:
    if isinstance(node, q.Chain | q.Has) and not node.param.startswith("~"):
        raise BadRequest("a search of the audit takes no chains", expression=f"http.{node.param}")
    for each in node.nodes if isinstance(node, q.And | q.Or) else (node.node,) if isinstance(node, q.Not) else ():
        _refuse_chains(each)


def _is_one(text: str, subjects: frozenset[str]) -> bool:
    agent = agent_of(text)
    return agent.subject in subjects or not subjects.isdisjoint(agent.others)
