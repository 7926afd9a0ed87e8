"""Events on `message-events`."""

import asyncio
from typing import Any

from fhir_server.plugin_api import Host, hookimpl

SEEN: list[str] = []


async def order(call: Any) -> dict[str, Any]:
    """Accept an order as a Task."""
    [request] = call.focus
    SEEN.append(request["id"])
    match request.get("note", [{}])[0].get("text"):
        case "throw":
            raise ValueError("secret")
        case "invalid":
            return {"entries": [{"resource": {"resourceType": "Task"}, "request": {"method": "POST", "url": "Task"}}]}
        case "slow":
            await asyncio.sleep(5)
    task = {"resourceType": "Task", "status": "accepted", "intent": "order", "description": request["id"]}
    return {
        "entries": [{"resource": task, "request": {"method": "POST", "url": "Task"}}],
        "response": [task],
    }


@hookimpl
async def on_start(host: Host) -> None:
    """Process orders."""
    events = (await host.context()).service("message-events")
    events.add("http://lab.example/events|order", order)
    events.add("http://lab.example/refresh", order, category="currency")
