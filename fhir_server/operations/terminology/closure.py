"""`$closure`: named tables of which codes subsume which, kept for clients that follow them step by step.

Spec: https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, BadValue, Busy, NotFound, TooCostly
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.operations.terminology.coded import Coded
from fhir_server.operations.terminology.parameters import RESOURCES, extended
from fhir_server.operations.terminology.service import answered, service
from fhir_server.storage.base import Collection, Record, RecordChange, RecordChanged, RecordField, Where
from fhir_server.terminology import Terminology
from fhir_server.terminology.closure import Member, as_map, relations

_HEADS = Collection("terminology.closures")
_STEPS = Collection("terminology.closure-steps", (RecordField("closure"), RecordField("version", "integer")))
_MOST = 50_000
_LONGEST = 200
_PAGE = 1_000
_TRIES = 5


async def _run(ctx: Context, call: Call) -> Outputs:
    """Start a table anew (a name alone), add codes to it, or tell again what came after a version.

    Raises:
        NotFound: there is no table of that name.
        BadRequest: codes and a version at once.
        TooCostly: the table would have too many codes.
    """
    inputs = call.inputs
    name, concepts, since = inputs.one("name"), inputs.many("concept"), inputs.one("version")
    if len(name) > _LONGEST:
        raise BadValue(f"the name of a closure table has at most {_LONGEST} characters", expression="name")
    if concepts and since is not None:
        raise BadRequest("codes are added, or a version is told again; not both at once", expression="version")
    for collection in (_HEADS, _STEPS):
        await ctx.store.declare(collection)
    terminology = service(ctx, call)
    if concepts:
        return await _add(ctx, terminology, name, [_member(each) for each in concepts])
    if since is not None:
        return await _again(ctx, terminology, name, since)
    return await _start(ctx, name)


def _member(coding: Any) -> Member:
    found = Coded.of(coding)
    if not found.system or not found.code:
        raise BadRequest("each concept needs system and code", expression="concept")
    return Member(found.system, found.code, found.version)


async def _start(ctx: Context, name: str) -> Outputs:
    """Forget what the table has; steps of its former life stay unread, for each life has its own."""
    for _ in range(_TRIES):
        head = await ctx.store.records.get(_HEADS.name, name)
        life = 1 if head is None else _number(head, "life") + 1
        old = [] if head is None else await _steps(ctx, name, _number(head, "life"))
        gone = [RecordChange(_STEPS.name, step.key, None) for step in old]
        fresh = RecordChange(_HEADS.name, name, {"version": 0, "life": life}, 0 if head is None else head.revision)
        if await _written(ctx, [fresh, *gone]):
            return _answer(ctx, name, 0, ())
    raise Busy("the closure table is being changed by others; try again")


async def _add(ctx: Context, terminology: Terminology, name: str, concepts: Sequence[Member]) -> Outputs:
    for _ in range(_TRIES):
        head = await _head(ctx, name)
        life, version = _number(head, "life"), _number(head, "version") + 1
        old = [member for step in await _steps(ctx, name, life) for member in _members(step)]
        new = list(dict.fromkeys(each for each in concepts if each not in set(old)))
        if len(old) + len(new) > _MOST:
            raise TooCostly(f"a closure table has at most {_MOST} codes", expression="concept")
        found = await answered(lambda: list(relations(terminology, old, new)))  # noqa: B023  # awaited at once
        value = {"closure": _step_of(name, life), "version": version, "codes": [_stored(each) for each in new]}
        changes = [
            RecordChange(_HEADS.name, name, {"version": version, "life": life}, head.revision),
            RecordChange(_STEPS.name, f"{_step_of(name, life)}/{version:09}", value, 0),
        ]
        if await _written(ctx, changes):
            return _answer(ctx, name, version, found)
    raise Busy("the closure table is being changed by others; try again")


async def _again(ctx: Context, terminology: Terminology, name: str, since: str) -> Outputs:
    if not since.isdecimal() or len(since) > 9:
        raise BadValue(f"version={since[:80]} is no version of a closure table", expression="version")
    head = await _head(ctx, name)
    steps = await _steps(ctx, name, _number(head, "life"))
    old = [member for step in steps if _number(step, "version") <= int(since) for member in _members(step)]
    new = [member for step in steps if _number(step, "version") > int(since) for member in _members(step)]
    found = await answered(lambda: list(relations(terminology, old, new)))
    return _answer(ctx, name, _number(head, "version"), found)


async def _head(ctx: Context, name: str) -> Record:
    head = await ctx.store.records.get(_HEADS.name, name)
    if head is None:
        raise NotFound(f"there is no closure table {name[:200]!r}; call $closure with its name alone to start it")
    return head


async def _steps(ctx: Context, name: str, life: int) -> list[Record]:
    """Return what was added, step by step."""
    where = [Where("closure", "=", _step_of(name, life))]
    found: list[Record] = []
    while True:
        after = found[-1].key if found else None
        page = await ctx.store.records.find(_STEPS.name, where, after=after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


async def _written(ctx: Context, changes: Sequence[RecordChange]) -> bool:
    """Tell whether the change went through; somebody else's may have come before."""
    try:
        await ctx.store.commit((), changes)
    except RecordChanged:
        return False
    return True


def _step_of(name: str, life: int) -> str:
    return f"{name}#{life}"


def _stored(member: Member) -> list[str]:
    return [member.system, member.code, member.version]


def _members(step: Record) -> list[Member]:
    codes = step.value["codes"]
    return [Member(*each) for each in codes] if isinstance(codes, list) else []


def _number(record: Record, name: str) -> int:
    return int(str(record.value[name]))


def _answer(ctx: Context, name: str, version: int, found: Sequence[tuple[Member, Member, str]]) -> Outputs:
    date = datetime.fromtimestamp(ctx.now() / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Outputs([("return", as_map(name, version, found, date))])


closure = CoreOperation(
    facts=extended("ConceptMap-closure", RESOURCES, affects_state=True),
    handler=_run,
    summary="A named table of which codes subsume which, kept up as codes are added.",
    lenient=True,
)
