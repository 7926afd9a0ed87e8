"""Counts by group on the embedded store: the matches of a search joined to their index rows, in one statement."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import apsw

from fhir_server.search.dates import EARLIEST
from fhir_server.search.query import Search
from fhir_server.settings import Settings
from fhir_server.storage.base.counting import UPDATED, By, Counted, Label, TooManyGroups, bucketer
from fhir_server.storage.sqlite import plan_count
from fhir_server.storage.sqlite.blind import is_personal
from fhir_server.storage.sqlite.compile_sql import Sql, integers, joined, sql
from fhir_server.storage.sqlite.connection import blind_of
from fhir_server.storage.sqlite.plan_queries import Branch
from fhir_server.storage.sqlite.search import Texts, bounded, prepare
from fhir_server.storage.sqlite.text import TextIndex

_BUCKET: Final = "bucket_of_"


@dataclass(frozen=True, slots=True)
class _Told:
    """How one parameter tells resources apart: the value of a row of the matches `m`, what it is joined to, and what
    makes labels of values."""

    value: str
    join: Sql
    labels: Callable[[Iterable[Any]], Mapping[Any, Label]]


def counted(
    connection: apsw.Connection, search: Search, by: Sequence[By], most: int, around: tuple[Settings, TextIndex]
) -> Counted | None:
    """Return the counts of what a search finds now; None where values are hidden or of two kinds.

    Raises:
        TooManyGroups, SearchTooCostly: as `Counts`.
    """
    settings, text = around
    with bounded(connection, settings.search_timeout):
        texts = Texts(connection, text)
        run = prepare(connection, replace(search, after=None, sort=()), texts)
        found = Counted()
        for branch in run.branches:
            told = [_told(branch, each, at) for at, each in enumerate(by)]
            if any(each is None for each in told):
                return None
            _count(branch, run.steps, [each for each in told if each is not None], (found, most))
        found.notes = tuple(texts.notes)
        return found


def _count(branch: Branch, steps: Any, told: Sequence[_Told], into: tuple[Counted, int]) -> None:
    found, most = into
    execute = branch.scope.values.connection.execute
    matched = plan_count.matched(branch, steps)
    found.total += int(branch.scope.values.one("SELECT count(*) FROM (" + matched.text + ")", *matched.values))
    values = ",".join(f"{each.value} AS v{at}" for at, each in enumerate(told))
    names = ",".join(f"v{at}" for at in range(len(told)))
    rows = sql(f"SELECT DISTINCT m.pid,{values} FROM (") + matched + ") m" + joined([each.join for each in told], "")
    query = f"SELECT {names},count(*) FROM (" + rows + f") GROUP BY {names}" + sql(" LIMIT ?", most + 1)
    groups: list[Any] = execute(query.text, query.values).fetchall()
    if len(groups) > most:
        raise TooManyGroups(f"there are more than {most} groups")
    labels = [each.labels({row[at] for row in groups}) for at, each in enumerate(told)]
    for *keys, number in groups:
        group = tuple(labels[at].get(key) for at, key in enumerate(keys))
        found.groups[group] = found.groups.get(group, 0) + number


def _told(branch: Branch, by: By, at: int) -> _Told | None:
    param = branch.scope.param(by.param)
    if by.kind == "date":
        return _date(branch, by, param, at)
    if param is None:
        return _Told("NULL", sql(""), lambda _: {})
    if by.kind == "token":
        return _token(branch, by, param, at)
    return _reference(branch, param, at)


def _token(branch: Branch, by: By, param: int, at: int) -> _Told | None:
    """What has no code has no label; of a token on strings only what is casefolded is one."""
    connection = branch.scope.values.connection
    if is_personal(by.param) and blind_of(connection) is not None:
        return None
    nothing = branch.scope.values.column("SELECT value FROM token_value WHERE code=''")
    join = sql(f" LEFT JOIN token x{at} ON x{at}.pid=m.pid AND x{at}.param=?", param)
    join += sql(f" AND x{at}.value NOT IN (SELECT value FROM carray(?))", integers(nothing)) if nothing else ""
    if by.folds:
        join += sql(f" AND (SELECT code FROM token_value WHERE value=x{at}.value)") + _folded(connection, at)
    return _Told(f"x{at}.value", join, lambda values: _tokens(connection, values))


def _casefolded(*values: Any) -> str:
    return str(values[0]).casefold()


def _folded(connection: apsw.Connection, at: int) -> Sql:
    connection.create_scalar_function("casefolded", _casefolded, 1, deterministic=True)
    return sql(f"=casefolded((SELECT code FROM token_value WHERE value=x{at}.value))")


def _tokens(connection: apsw.Connection, values: Iterable[Any]) -> Mapping[Any, Label]:
    query = (
        "SELECT t.value,s.url,t.code FROM carray(?) k CROSS JOIN token_value t ON t.value=k.value"
        " LEFT JOIN system s ON s.system=t.system"
    )
    return {value: (url or "", code) for value, url, code in _rows(connection, query, values)}


def _rows(connection: apsw.Connection, query: str, values: Iterable[Any]) -> list[Any]:
    wanted = [value for value in values if value is not None]
    return connection.execute(query, (integers(wanted),)).fetchall() if wanted else []


def _reference(branch: Branch, param: int, at: int) -> _Told | None:
    """References to this server's resources stand in one table, all others in another one."""
    values = branch.scope.values
    named = values.one("SELECT 1 FROM ref WHERE param=? LIMIT 1", param)
    if named and values.one("SELECT 1 FROM uri WHERE param=? LIMIT 1", param):
        return None
    if named:
        join = sql(f" LEFT JOIN ref x{at} ON x{at}.pid=m.pid AND x{at}.param=? AND x{at}.target>0", param)
        return _Told(f"x{at}.target", join, lambda found: _resources(values.connection, found))
    join = sql(f" LEFT JOIN uri x{at} ON x{at}.pid=m.pid AND x{at}.param=?", param)
    return _Told(f"x{at}.value", join, lambda found: _uris(values.connection, found))


def _resources(connection: apsw.Connection, values: Iterable[Any]) -> Mapping[Any, Label]:
    query = (
        "SELECT r.rid,t.name||'/'||r.id FROM carray(?) k CROSS JOIN resource r ON r.rid=k.value"
        " CROSS JOIN type t ON t.type=r.type"
    )
    return {value: (name,) for value, name in _rows(connection, query, values)}


def _uris(connection: apsw.Connection, values: Iterable[Any]) -> Mapping[Any, Label]:
    query = "SELECT u.value,u.uri FROM carray(?) k CROSS JOIN uri_value u ON u.value=k.value"
    return {value: (uri,) for value, uri in _rows(connection, query, values)}


def _date(branch: Branch, by: By, param: int | None, at: int) -> _Told:
    of, name = bucketer(by.unit, by.zone), f"{_BUCKET}{at}"

    def bucket(*lows: Any) -> str | None:
        return None if lows[0] is None else of(lows[0]) or None

    branch.scope.values.connection.create_scalar_function(name, bucket, 1)
    if by.param == UPDATED:
        join = sql(f" CROSS JOIN version x{at} ON x{at}.pid=m.pid")
        return _Told(f"{name}(x{at}.last_updated*1000)", join, _as_they_are)
    if param is None:
        return _Told("NULL", sql(""), _as_they_are)
    join = sql(f" LEFT JOIN date x{at} ON x{at}.pid=m.pid AND x{at}.param=? AND x{at}.low>?", param, EARLIEST)
    return _Told(f"{name}(x{at}.low)", join, _as_they_are)


def _as_they_are(values: Iterable[Any]) -> Mapping[Any, Label]:
    return {value: (value,) for value in values if value}
