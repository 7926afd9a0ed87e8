"""What administrators do with clients; every input is checked here."""

import re
from dataclasses import asdict, replace
from typing import Any, Literal

import msgspec

from fhir_server.auth import keys
from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.records import CLIENTS, GRANTS
from fhir_server.auth.registration import checked, with_secret
from fhir_server.auth.scopes import parse_scopes
from fhir_server.auth.secrets import new_handle
from fhir_server.auth.user_administration import given
from fhir_server.errors import BadRequest, BadValue, Conflict, NotFound
from fhir_server.storage.base import RecordChange, Where

_CLIENT_ID = re.compile(r"[A-Za-z0-9._~\-]{1,128}", re.ASCII)


class ClientAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A client as an administrator describes it; what is UNSET stays as it is."""

    id: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    kind: Literal["public", "symmetric", "asymmetric"] | msgspec.UnsetType = msgspec.UNSET
    redirect_uris: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    launch_uri: str | msgspec.UnsetType = msgspec.UNSET
    scopes: str | msgspec.UnsetType = msgspec.UNSET
    grant_types: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    jwks: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    jwks_uri: str | msgspec.UnsetType = msgspec.UNSET
    origins: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    logo_uri: str | msgspec.UnsetType = msgspec.UNSET
    client_uri: str | msgspec.UnsetType = msgspec.UNSET
    contacts: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    state_codes: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    trusted: bool | msgspec.UnsetType = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET


def shown_client(client: Client) -> dict[str, Any]:
    """Return a client as administrators see it, without digests of its secrets."""
    values = asdict(client)
    values["secrets"] = len(client.secrets)
    return values


async def found_client(desk: Desk, client_id: str) -> Client:
    """Return a client, one that is switched off too. Raises NotFound."""
    record = await desk.get(CLIENTS.name, client_id)
    if record is None:
        raise NotFound(f"there is no client {client_id[:128]!r}")
    return msgspec.convert(dict(record.value), Client)


async def all_clients(desk: Desk) -> list[Client]:
    """Return every client, those that are switched off too."""
    found: list[Client] = []
    after = None
    while page := await desk.store.records.find(CLIENTS.name, after=after, limit=500):
        found += [msgspec.convert(dict(record.value), Client) for record in page]
        after = page[-1].key
    return found


async def add_client(desk: Desk, asked: ClientAsked) -> tuple[Client, str]:
    """Register a client; return it with its secret, which is told this once. Raises BadValue and Conflict."""
    values = given(asked)
    client_id = values.pop("id", "") or new_handle()[:24]
    if not _CLIENT_ID.fullmatch(client_id):
        raise BadValue("the id of a client is made of letters, digits, '.', '_', '~' and '-'")
    if not values.get("name", "").strip():
        raise BadValue("a client needs a name: users see it when they are asked")
    if await desk.get(CLIENTS.name, client_id) is not None:
        raise Conflict(f"there is a client {client_id!r} already")
    if "grant_types" not in values and values.get("kind") == "asymmetric" and not values.get("redirect_uris"):
        values["grant_types"] = ("client_credentials",)
    client, secret = with_secret(_sound(Client(client_id, **values)))
    await save_client(desk, client)
    return client, secret


async def change_client(desk: Desk, client: Client, asked: ClientAsked) -> Client:
    """Change what is given of a client; one that is switched off loses its grants. Raises BadValue."""
    values = given(asked)
    if values.pop("id", client.id) != client.id:
        raise BadValue("the id of a client stays")
    changed = _sound(replace(client, **values))
    await save_client(desk, changed)
    if not changed.active:
        await _end_of_client(desk, client.id)
    return changed


async def remove_client(desk: Desk, client: Client) -> None:
    """Remove a client and end all that it was granted."""
    await desk.put(RecordChange(CLIENTS.name, client.id, None))
    await _end_of_client(desk, client.id)


async def new_secret(desk: Desk, client: Client) -> str:
    """Give a symmetric client another secret; the last one goes on beside it until the next. Raises BadRequest."""
    client, secret = with_secret(client)
    if not secret:
        raise BadRequest(f"a {client.kind} client has no secret")
    await save_client(desk, client)
    return secret


async def rotate_keys(desk: Desk) -> str:
    """Sign with a new key from now on; return its id. The old ones stay published until their tokens are over."""
    return await keys.rotate(desk)


def _sound(client: Client) -> Client:
    named = client.scopes.split()
    known = set(str(parse_scopes(client.scopes)).split())
    unknown = [scope for scope in named if scope not in known]
    if unknown:
        raise BadValue(f"these are no scopes: {', '.join(unknown)[:300]}")
    try:
        return checked(client)
    except OAuthError as error:
        raise BadValue(str(error.as_json().get("error_description", error))) from None


async def _end_of_client(desk: Desk, client_id: str) -> None:
    while found := await desk.store.records.find(GRANTS.name, (Where("client", "=", client_id),), limit=500):
        await desk.put(*(RecordChange(GRANTS.name, record.key, None) for record in found))
