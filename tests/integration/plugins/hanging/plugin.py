"""`$hang?how=`: sleeps, loops or throws on the event loop."""

import os
import time

from fhir_server.plugin_api import Call, NotFound, Operation, Outputs, PluginContext, facts_of, hookimpl

_HANG = {
    "resourceType": "OperationDefinition", "url": "http://example.org/OperationDefinition/hang", "name": "Hang",
    "status": "active", "kind": "operation", "code": "hang", "system": True, "type": False, "instance": False,
    "affectsState": False,
    "parameter": [
        {"name": "how", "use": "in", "min": 1, "max": "1", "type": "string"},
        {"name": "done", "use": "out", "min": 1, "max": "1", "type": "boolean"},
    ],
}  # fmt: skip


async def hang(ctx: PluginContext, call: Call) -> Outputs:
    """Do what no plugin may do."""
    how = call.inputs.one("how")
    if how == "sleep":
        time.sleep(600)
    elif how == "loop":
        while True:
            pass
    elif how == "deaf":
        while True:
            try:
                time.sleep(600)
            except Exception:
                continue
    elif how == "die":
        os._exit(3)
    elif how == "count":
        await ctx.client.create({"resourceType": "Basic", "code": {"text": "x"}})
        return Outputs([("done", await ctx.client.count("Basic") > 0)])
    elif how == "refuse":
        raise NotFound("there is nothing of the kind", expression="http.how")
    elif how == "throw":
        raise RuntimeError("the name of a patient")
    return Outputs([("done", True)])


@hookimpl
def register_operations() -> list[Operation]:
    """Add `$hang`."""
    return [Operation(facts_of(_HANG), hang, "Hangs.")]
