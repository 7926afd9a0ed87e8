"""`$snapshot`: a StructureDefinition with the snapshot that follows from its differential.

Spec: https://hl7.org/fhir/R4/structuredefinition-operation-snapshot.html
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, NotFound
from fhir_server.model.json import decode
from fhir_server.operations.facts import r4
from fhir_server.operations.meta import the_version
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.snapshot import snapshot

Json = Mapping[str, Any]


async def _run(ctx: Context, call: Call) -> Outputs:
    """Make the snapshot anew, whether the definition has one or not.

    Raises:
        BadRequest: neither, or both, of `definition` and `url` are given.
        NotFound, Gone: the instance does not exist, or nobody knows the URL.
        SnapshotError: the differential cannot be applied to its base.
    """
    definition, source = await _definition(ctx, call)
    elements = await asyncio.to_thread(snapshot, definition, ctx.library, source=source)
    return Outputs([("return", _with(definition, elements))])


async def _definition(ctx: Context, call: Call) -> tuple[Json, str]:
    """Return what the call is about, and the package that it is from; at an instance, parameters are ignored."""
    if call.request.id is not None:
        return decode((await the_version(ctx, call.request)).stamped()), ""
    given, url = call.inputs.one("definition"), call.inputs.one("url")
    if (given is None) == (url is None):
        raise BadRequest("$snapshot needs a definition or a url, one of them", expression="Parameters")
    if given is not None:
        return given, ""
    entry = ctx.library.find("StructureDefinition", url)
    if entry is None:
        raise NotFound(f"no StructureDefinition has the URL {url[:200]!r}", expression="url")
    return entry.parse(), entry.source


def _with(definition: Json, elements: list[dict[str, Any]]) -> Json:
    """Return the definition with the snapshot before the differential, where a StructureDefinition has it."""
    rest = {name: value for name, value in definition.items() if name not in ("snapshot", "differential")}
    said = {"differential": definition["differential"]} if "differential" in definition else {}
    return {**rest, "snapshot": {"element": elements}, **said}


snapshot_operation = CoreOperation(
    facts=r4("StructureDefinition-snapshot"),
    handler=_run,
    summary="A StructureDefinition with the snapshot that follows from its differential.",
)
