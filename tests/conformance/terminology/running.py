"""Run the terminology tests on a server in this process: the set-up by PUT, or with each request."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from fhir_server.operations.core import core_operations
from fhir_server.operations.registry import Registry
from fhir_server.settings import Settings
from tests.conformance.http.fhir import Answer, Fhir, memory
from tests.conformance.terminology.cases import Case, Json, Suite
from tests.conformance.terminology.matching import Matcher
from tests.conformance.terminology.r5 import to_r4, to_r5

Way = Literal["put", "tx-resource"]
"""How the set-up comes to the server."""

_URLS = {
    "expand": "ValueSet/$expand",
    "validate-code": "ValueSet/$validate-code",
    "batch-validate": "ValueSet/$batch-validate-code",
    "cs-validate-code": "CodeSystem/$validate-code",
    "lookup": "CodeSystem/$lookup",
    "subsumes": "CodeSystem/$subsumes",
    "translate": "ConceptMap/$translate",
    "metadata": "metadata",
    "term-caps": "metadata?mode=terminology",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test: `fault` is empty where it holds."""

    case: Case
    asked: Json | None
    answer: Json
    status: int
    fault: str


def run(suite: Suite, way: Way = "put", only: str = "") -> list[Result]:
    """Run the tests of one suite, or the one that is named."""
    return asyncio.run(_run(suite, way, only))


async def _run(suite: Suite, way: Way, only: str) -> list[Result]:
    async with _started(suite, way) as fhir:
        cases = [case for case in suite.cases if only in ("", case.name)]
        return [await _judged(fhir, case, suite, way) for case in cases]


@contextlib.asynccontextmanager
async def _started(suite: Suite, way: Way) -> AsyncIterator[Fhir]:
    # Some of the set-up is not valid R4: filter operators of R5, names without a use.
    plain = memory(Settings(validation="off"))
    fhir = Fhir(replace(plain.server, operations=Registry(core_operations())), plain.clock)
    for name, resource in suite.setup if way == "put" else ():
        # The files of a suite share ids, so their names are taken.
        id_ = name.removesuffix(".json").replace("/", "-").replace("_", "-")[:64]
        answer = await fhir.put(f"{resource['resourceType']}/{id_}", _json(to_r4(resource) | {"id": id_}))
        if answer.status != 201:
            raise AssertionError(f"{name} was refused: {answer.body.decode()}")
    yield fhir


async def _judged(fhir: Fhir, case: Case, suite: Suite, way: Way) -> Result:
    asked = _request(case, suite, way)
    try:
        answer = await _asked(fhir, case, asked)
    except Exception as error:  # one that the edge would answer with 500 is a miss as any other
        return Result(case, asked, {}, 500, f"{type(error).__name__}: {error}")
    found = json.loads(answer.body, parse_float=Decimal)
    return Result(case, asked, found, answer.status, _fault(case, answer, found))


async def _asked(fhir: Fhir, case: Case, asked: Json | None) -> Answer:
    headers = {name.replace("-", "_"): value for name, value in case.headers}
    if asked is None:
        return await fhir.get(_URLS[case.operation], **headers)
    return await fhir.post(_URLS[case.operation], _json(asked), **headers)


def _request(case: Case, suite: Suite, way: Way) -> Json | None:
    if case.request is None:
        return None
    made = to_r4(case.request)
    parameters = [*made.get("parameter", ()), *(case.profile["parameter"] if case.profile else ())]
    if way == "tx-resource":
        parameters += [{"name": "tx-resource", "resource": to_r4(resource)} for _, resource in suite.setup]
    return made | {"parameter": parameters}


def _fault(case: Case, answer: Answer, found: Json) -> str:
    if not all(a in ("x", b) for a, b in zip(case.status, str(answer.status), strict=True)):
        return f"status {answer.status}, expected {case.status}: {answer.body.decode()[:600]}"
    if not case.answers:
        return ""
    matcher = Matcher(partial=case.operation in ("metadata", "term-caps"))
    faults = [matcher.difference(to_r5(template), to_r5(_sorted(found))) for template in map(_sorted, case.answers)]
    return "" if "" in faults else faults[0]


def _sorted(answer: Json) -> Json:
    """Put the parts of messages in order, which tests do not ask for."""
    if answer["resourceType"] != "Parameters":
        return answer
    return answer | {"parameter": [_in_order(item) for item in answer.get("parameter", ())]}


def _in_order(item: Json) -> Json:
    if item["name"] == "message" and "; " in item.get("valueString", ""):
        return item | {"valueString": "; ".join(sorted(item["valueString"].split("; ")))}
    return item | {"resource": _sorted(item["resource"])} if "resource" in item else item


def _json(resource: Json) -> bytes:
    return json.dumps(resource, default=_number).encode()


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)
