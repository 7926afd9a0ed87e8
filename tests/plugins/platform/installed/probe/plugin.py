"""The hooks of the plugin of the tests."""

from typing import Any

from fhir_server.plugin_api import (
    Beside,
    Call,
    Collection,
    Finding,
    HealthCheck,
    Interceptor,
    Metric,
    Operation,
    Outputs,
    Page,
    PluginContext,
    RecordChange,
    RecordField,
    Route,
    RouteRequest,
    RouteResponse,
    Socket,
    SocketRoute,
    Verdict,
    Write,
    WriteCheck,
    encode,
    facts_of,
    hookimpl,
)

STARTED: list[str] = []
DEFINITION = {
    "resourceType": "OperationDefinition", "url": "http://example.org/OperationDefinition/hello", "name": "Hello",
    "status": "active", "kind": "operation", "code": "hello", "system": True, "type": True, "instance": True,
    "affectsState": False, "resource": ["Patient"],
    "parameter": [
        {"name": "name", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "greeting", "use": "out", "min": 1, "max": "1", "type": "string"},
    ],
}  # fmt: skip


async def hello(ctx: PluginContext, call: Call) -> Outputs:
    """Greet, and tell what the caller and the plugin see."""
    name = call.inputs.one("name", "world")
    if name == "boom":
        raise RuntimeError("this must not be seen by anybody")
    seen = await ctx.client.count("Patient") if name == "count" else 0
    own = await ctx.own.count("Patient") if name == "count" else 0
    if name == "observe":
        await ctx.own.search("Observation")
    return Outputs([("greeting", f"Hello {name}, {seen} of {own}")])


async def look(ctx: PluginContext, write: Write) -> Verdict | None:
    """Refuse those called Refused, write the name of those called Amended in capitals, warn of those called Warned."""
    for number, name in enumerate((write.resource or {}).get("name", [])):
        if name.get("family") == "Refused":
            return Verdict([Finding("nobody is called so", f"Patient.name[{number}].family")])
        if name.get("family") == "Amended":
            return Verdict(resource={**(write.resource or {}), "name": [{**name, "family": "AMENDED"}]})
        if name.get("family") == "Warned":
            return Verdict([Finding("few are called so", f"Patient.name[{number}].family", "warning")])
        if name.get("family") == "Boom":
            raise RuntimeError("a check that throws")
    return None


async def mask(ctx: PluginContext, resource: dict[str, Any]) -> dict[str, Any]:
    """Hide telephone numbers."""
    return {name: value for name, value in resource.items() if name != "telecom"}


async def note(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Write a patient with a record beside it."""
    key = asked.path["key"]
    if asked.method == "GET":
        record = await ctx.store.get("probe.notes", key)
        return RouteResponse(200 if record else 404, encode(dict(record.value) if record else {}))
    body = await asked.body()
    change = RecordChange("probe.notes", key, {"text": body.decode()}, expected=0)
    made = await ctx.client.create(
        {"resourceType": "Patient", "name": [{"family": key}]}, beside=Beside(records=[change])
    )
    return RouteResponse(201, encode({"id": made["id"]}))


async def page(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Show a page."""
    return RouteResponse(200, b"<!doctype html><title>Probe</title><h1>Probe</h1>", "text/html; charset=utf-8")


async def echo(host: Any, asked: RouteRequest, socket: Socket) -> None:
    """Say back what comes, to who is let in."""
    ctx = await host.let_in(asked.tenant, asked.headers.get("authorization", ""), asked.base)
    while (message := await socket.receive()) is not None:
        await socket.send(f"{ctx.tenant}: {message!r}")


@hookimpl
def register_operations() -> list[Operation]:
    """Add `$hello`."""
    return [Operation(facts_of(DEFINITION), hello, "Greets.")]


@hookimpl
def register_write_checks() -> list[WriteCheck]:
    """Look at patients."""
    return [WriteCheck(look, ("Patient",))]


@hookimpl
def register_interceptors() -> list[Interceptor]:
    """Mask patients."""
    return [Interceptor(mask, ("Patient",))]


@hookimpl
def register_routes() -> list[Route | SocketRoute]:
    """Add a route and a socket."""
    return [
        Route("/probe/notes/{key}", note, ("GET", "POST"), asks=(("create", "Patient"),)),
        SocketRoute("/probe/echo", echo),
    ]


@hookimpl
def register_pages() -> list[Page]:
    """Add a page."""
    return [Page("/probe", "Probe", page, public=True)]


@hookimpl
def register_collections() -> list[Collection]:
    """Keep notes."""
    return [Collection("probe.notes", (RecordField("text"),))]


@hookimpl
def register_search_parameters() -> list[dict[str, Any]]:
    """Search patients by whether they have a photo."""
    return [
        {
            "resourceType": "SearchParameter", "url": "http://example.org/SearchParameter/nickname", "name": "nickname",
            "status": "active", "description": "nickname", "code": "nickname", "base": ["Patient"], "type": "string",
            "expression": "Patient.name.where(use='nickname').given",
        }
    ]  # fmt: skip


async def lamp(host: Any) -> str | None:
    """Say that the lamp is out."""
    return "the lamp is out"


@hookimpl
def register_health_checks() -> list[HealthCheck]:
    """Look at the lamp."""
    return [HealthCheck("lamp", lamp)]


@hookimpl
def register_metrics() -> list[Metric]:
    """Count lamps."""
    return [Metric("lamps", "Lamps that are there.", lambda: {("hall",): 3}, labels=("room",))]


@hookimpl
def amend_capabilities(statement: dict[str, Any]) -> dict[str, Any]:
    """Name ourselves."""
    return {**statement, "description": "with the probe"}


@hookimpl
async def on_start(host: Any) -> None:
    """Remember."""
    STARTED.append(host.plugin.name)
