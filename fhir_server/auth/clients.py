"""Clients: apps that were registered, with what they may ask for.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#register-app-with-ehr and RFC 7591
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import msgspec

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import CLIENTS
from fhir_server.storage.base import RecordChange

Kind = Literal["public", "symmetric", "asymmetric"]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Client:
    """One registered app.

    Attributes:
        kind: how it authenticates: not at all, by a secret, or by a signed assertion.
        secrets: digests of its secrets; two while one is being replaced.
        jwks, jwks_uri: its public keys, inline or by URL.
        scopes: the most that it may ask for; `system/` scopes are granted to it without a user.
        origins: browser origins it calls from (CORS).
        state_codes: codes of the state that it may keep here, `system|code`, or `system|` for all of a system; none:
            those of systems at the origins of its redirect URIs.
        trusted: no consent is asked of users (an app of the house).
    """

    id: str
    name: str
    kind: Kind = "public"
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str = ""
    scopes: str = ""
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    secrets: tuple[str, ...] = ()
    jwks: dict[str, Any] | None = None
    jwks_uri: str = ""
    origins: tuple[str, ...] = ()
    logo_uri: str = ""
    client_uri: str = ""
    policy_uri: str = ""
    tos_uri: str = ""
    contacts: tuple[str, ...] = field(default=())
    state_codes: tuple[str, ...] = ()
    trusted: bool = False
    active: bool = True


async def find_client(desk: Desk, client_id: str) -> Client | None:
    """Return an active client."""
    record = await desk.get(CLIENTS.name, client_id)
    client = msgspec.convert(dict(record.value), Client) if record else None
    return client if client and client.active else None


async def origins_of(desk: Desk) -> frozenset[str]:
    """Return the browser origins of all active clients."""
    found: set[str] = set()
    after = None
    while page := await desk.store.records.find(CLIENTS.name, after=after, limit=_PAGE):
        clients = [msgspec.convert(dict(record.value), Client) for record in page]
        found |= {origin for client in clients if client.active for origin in client.origins}
        after = page[-1].key
    return frozenset(found)


async def save_client(desk: Desk, client: Client) -> None:
    """Register a client, or change one."""
    await desk.put(RecordChange(CLIENTS.name, client.id, asdict(client)))
