"""`$steps`: makes a file at each step, and waits for the test at some; `$lonely`: one at a time; `$flood`: a stream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fhir_server.plugin_api import (
    Call,
    FhirResponse,
    JobFile,
    NotFound,
    Operation,
    Outputs,
    PluginContext,
    facts_of,
    hookimpl,
)

GATE = asyncio.Event()
BEGUN: list[str] = []
STEPS = 4


def _definition(code: str) -> dict[str, Any]:
    count = {"name": "count", "use": "out", "min": 0, "max": "1", "type": "integer"}
    stop = {"name": "stop", "use": "in", "min": 0, "max": "1", "type": "string"}
    return {
        "resourceType": "OperationDefinition",
        "url": f"http://example.org/OperationDefinition/{code}",
        "name": code,
        "code": code,
        "status": "active",
        "kind": "operation",
        "affectsState": True,
        "system": True,
        "type": False,
        "instance": False,
        "parameter": [stop, count],
    }


async def _steps(ctx: PluginContext, call: Call) -> Outputs:
    job = ctx.job
    assert job is not None
    BEGUN.append(f"{job.checkpoint.get('step', 0)}")
    if call.inputs.one("stop", "") == "refuse":
        raise NotFound("there is nothing to step on")
    for step in range(int(job.checkpoint.get("step", 0)), STEPS):
        if step == 2:
            await GATE.wait()
        blob = await ctx.store.stage(_once(f"step {step}".encode()))
        await job.save({"step": step + 1}, [JobFile(f"{step}.txt", blob.id, blob.size, "text/plain")])
        ctx.progress(step + 1, STEPS)
    return Outputs([("count", len(job.files))])


async def _lonely(ctx: PluginContext, call: Call) -> Outputs:
    BEGUN.append("lonely")
    await GATE.wait()
    return Outputs([("count", 1)])


async def _flood(ctx: PluginContext, call: Call) -> FhirResponse:
    async def lines() -> AsyncIterator[bytes]:
        for number in range(1_000):
            if call.inputs.one("stop", "") and number == 500:
                raise RuntimeError("the well ran dry")
            yield b"%9d\n" % number * 1_000

    return FhirResponse(media_type="text/plain", stream=lines())


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@hookimpl
def register_operations() -> list[Operation]:
    """Add them."""
    return [
        Operation(facts_of(_definition("steps")), _steps, "Steps.", background=True),
        Operation(facts_of(_definition("lonely")), _lonely, "One at a time.", background=True, at_once=1),
        Operation(facts_of(_definition("flood")), _flood, "Much.", background=True),
    ]
