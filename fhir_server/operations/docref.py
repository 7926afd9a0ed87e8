"""`$docref` of US Core: the documents of a patient, of a time of care or the newest of each kind.

Spec: http://hl7.org/fhir/us/core/STU6.1/OperationDefinition-docref.html
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from fhir_server.context import Context
from fhir_server.errors import Forbidden
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.search import parsed
from fhir_server.model.exchange import FhirRequest, Query
from fhir_server.model.json import encode
from fhir_server.model.version import Version
from fhir_server.operations.everything_shared import walk
from fhir_server.operations.facts import own
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs

_SUMMARY = "http://loinc.org|34133-9"
_TYPE = "DocumentReference"


async def _run(ctx: Context, call: Call) -> Outputs:
    """Return what is stored; documents are not made here, so nothing is where only those on demand are wanted.

    Raises:
        Forbidden: the caller may not search DocumentReferences.
        BadRequest: a parameter is missing, or no date.
    """
    if not ctx.restriction.may("search-type", _TYPE):
        raise Forbidden(f"search of {_TYPE} is not allowed", expression="http.url")
    found: dict[int, Version] = {}
    if not call.inputs.one("on-demand", default=False):
        for search, newest in _searches(call.inputs):
            found |= {version.pid: version for version in await _matches(ctx, call.request, search, newest=newest)}
    url = f"{call.request.base}/{_TYPE}/$docref?{urlencode([*_said(call)], safe=':,/|')}"
    entries = _entries(call.request.base, found.values())
    identity = (ctx.new_id(), ctx.now())
    body = write_bundle("searchset", entries, identity=identity, total=len(found), links=[("self", url)])
    return Outputs([("return", body)])


def _searches(inputs: Inputs) -> Iterator[tuple[Query, bool]]:
    """Yield searches, and whether only the newest match of each is meant."""
    kinds = [_token(coding) for coding in inputs.many("type")]
    whose = str(inputs.one("patient")).removeprefix("Patient/")
    common = [("patient", f"Patient/{whose}"), ("status", "current"), ("_sort", "-date")]
    if inputs.many("profile"):
        common.append(("_profile", ",".join(inputs.many("profile"))))
    times = [("period", sign + inputs.one(name)) for sign, name in (("ge", "start"), ("le", "end")) if inputs.one(name)]
    if times:
        yield (*common, *times, *([("type", ",".join(kinds))] if kinds else ())), False
        return
    for kind in kinds or [_SUMMARY]:
        yield (*common, ("type", kind)), True


def _token(coding: dict[str, Any]) -> str:
    system, code = (str(coding.get(name, "")).replace("|", "\\|").replace(",", "\\,") for name in ("system", "code"))
    return f"{system}|{code}" if "system" in coding else code


async def _matches(ctx: Context, request: FhirRequest, search: Query, *, newest: bool) -> Sequence[Version]:
    asked = parsed(ctx, request.but(query=search)).search
    if newest:
        return (await ctx.store.search(replace(asked, count=1))).versions
    return [version async for versions in walk(ctx, asked) for version in versions]


def _said(call: Call) -> Iterator[tuple[str, str]]:
    for name, values in call.inputs.values.items():
        for value in values:
            text = _token(value) if name == "type" else value
            yield name, str(text).lower() if isinstance(text, bool) else str(text)


def _entries(base: str, versions: Iterable[Version]) -> Iterator[bytes]:
    start = encode(base)[1:-1]
    for version in versions:
        yield b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"match"}}' % (
            start, _TYPE.encode(), version.key.id.encode(), version.stamped(),
        )  # fmt: skip


docref = CoreOperation(
    facts=own("docref"),
    handler=_run,
    summary="The documents of a patient (US Core): those of a time of care, or the newest of each kind.",
)
