"""Sets of thousands of resources: asked row by row by a function, so that no statement has to carry them."""

from functools import partial
from typing import Final
from weakref import WeakSet, WeakValueDictionary

import apsw

from fhir_server.search import query as q
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import NEVER, Predicate, Sql, Subject, sql

_FUNCTION: Final = "fhir_member"
_sets: WeakValueDictionary[int, q.IdSet] = WeakValueDictionary()
_knowing: WeakSet[apsw.Connection] = WeakSet()


def among(node: q.Among, scope: Scope) -> Predicate:
    """Compile the question whether a reference, or the resource itself, is in a set."""
    if scope.contained and not node.param:
        return NEVER
    if not _resolve(node, scope):
        return NEVER
    number, label = node.ids.number, f"{node.param or '_id'} in {len(node.ids.ids)} of {node.type}"
    if not node.param:
        return Predicate(label, lambda subject: sql(f"{_FUNCTION}(?,{subject.rid})", number), None, cost=1)
    param = scope.param(node.param)
    return NEVER if param is None else Predicate(label, partial(_probe, scope.alias(), param, number), None, cost=2)


def _probe(a: str, param: int, number: int, subject: Subject) -> Sql:
    head = f"EXISTS(SELECT 1 FROM ref {a} INDEXED BY ref_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
    return sql(f"{head} AND {_FUNCTION}(?,{a}.target))", param, number)


def _resolve(node: q.Among, scope: Scope) -> bool:
    """Find the numbers of the members, once as soon as all of them are known to the record; tell whether any is."""
    ids, connection = node.ids, scope.values.connection
    if not ids.resolved or len(ids.resolved[0]) < len(ids.ids):
        ids.resolved[:] = [frozenset(scope.values.rids(node.type, ids.ids))]
    _sets[ids.number] = ids
    if connection not in _knowing:
        connection.create_scalar_function(_FUNCTION, _member, 2, deterministic=True)  # type: ignore[arg-type]
        _knowing.add(connection)
    return bool(ids.resolved[0])


def _member(number: int, rid: int) -> bool:
    return rid in _sets[number].resolved[0]
