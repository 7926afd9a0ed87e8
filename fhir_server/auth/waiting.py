"""What waits while a user signs in and decides, and contexts that an EHR launches apps with; both by opaque handles."""

from collections.abc import Mapping
from typing import Any

from fhir_server.auth.authorization import Asked, as_text, from_text
from fhir_server.auth.desk import Desk
from fhir_server.auth.records import LAUNCHES
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.storage.base import RecordChange

PATIENCE = 900
"""Seconds that a request, or a launch, waits."""


async def keep_waiting(desk: Desk, asked: Asked) -> str:
    """Store a request until the user has decided; return its handle."""
    return await _kept(desk, "request", {"request": as_text(asked)}, PATIENCE)


async def waiting(desk: Desk, handle: str) -> Asked | None:
    """Return a request that waits."""
    record = await desk.get(LAUNCHES.name, digest(handle))
    return (
        None
        if record is None or record.value["kind"] != "request"
        else await from_text(desk, str(record.value["request"]))
    )


async def decided(desk: Desk, handle: str) -> None:
    """Forget a request, or a launch: it is answered once."""
    await desk.put(RecordChange(LAUNCHES.name, digest(handle), None))


async def new_launch(desk: Desk, client: str, user: str, context: Mapping[str, Any]) -> str:
    """Store the context of an EHR launch, for one client and one user; return the `launch` value.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
    """
    return await _kept(desk, "launch", {"client": client, "user": user, "context": dict(context)}, PATIENCE)


async def launch_of(desk: Desk, handle: str, client: str, user: str) -> Mapping[str, Any] | None:
    """Return the context of a launch that was made for this client and user."""
    record = await desk.get(LAUNCHES.name, digest(handle))
    if record is None or record.value["kind"] != "launch" or record.value["client"] != client:
        return None
    context: Any = record.value["context"]
    return context if record.value["user"] in ("", user) else None


async def _kept(desk: Desk, kind: str, value: Mapping[str, Any], life: float) -> str:
    handle = new_handle()
    await desk.put(
        RecordChange(LAUNCHES.name, digest(handle), {"kind": kind, **value, "expires": desk.after(life)}, expected=0)
    )
    return handle
