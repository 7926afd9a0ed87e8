"""The authorization request: what an app asks a user for, and the code that it gets.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import msgspec

from fhir_server.auth.clients import Client, find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.grants import Grant, find_grant, revoke_grant, stored
from fhir_server.auth.records import CODES
from fhir_server.auth.scopes import Scopes, narrowed, parse_scopes
from fhir_server.auth.secrets import digest, new_handle, same
from fhir_server.storage.base import RecordChange, RecordChanged

_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}", re.ASCII)
_ALWAYS = frozenset(("openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "online_access"))
"""Scopes about who and where; what a client is registered with says nothing about them."""


class Unredirectable(Exception):
    """A request that names no client or redirect URI to be trusted: the user is told, and nobody is redirected."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sound authorization request. `scopes` is what is asked for as far as the client may."""

    client: Client
    redirect_uri: str
    scopes: Scopes
    state: str
    challenge: str
    launch: str = ""
    nonce: str = ""
    prompt: str = ""
    max_age: int = -1
    login_hint: str = ""


async def read_request(desk: Desk, form: Mapping[str, str]) -> Asked:
    """Check an authorization request.

    Raises:
        Unredirectable: the client or its redirect URI is not known.
        OAuthError: something else is wrong; it goes back to the client by a redirect.
    """
    client = await find_client(desk, form.get("client_id", ""))
    if client is None:
        raise Unredirectable("this app is not registered here (client_id)")
    redirect_uri = form.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise Unredirectable("the app asks to be answered at an address that it did not register (redirect_uri)")
    if form.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    if "authorization_code" not in client.grant_types:
        raise OAuthError("unauthorized_client", "this client is not registered for users")
    _check_audience(desk, form.get("aud", form.get("resource", "")))
    challenge = form.get("code_challenge", "")
    if form.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "PKCE is needed: code_challenge with code_challenge_method=S256")
    if not form.get("state"):
        raise OAuthError("invalid_request", "state is needed")
    scopes = allowed(client, form.get("scope", ""))
    if not scopes.resources and not scopes.others:
        raise OAuthError("invalid_scope", "none of the scopes can be granted to this client")
    if "launch" in scopes and not form.get("launch"):
        raise OAuthError("invalid_request", "the scope launch needs the parameter launch, which the EHR gives")
    max_age = form.get("max_age", "")
    return Asked(
        client, redirect_uri, scopes, form["state"], challenge,
        form.get("launch", ""), form.get("nonce", ""), form.get("prompt", ""),
        int(max_age) if max_age.isascii() and max_age.isdecimal() else -1, form.get("login_hint", ""),
    )  # fmt: skip


def allowed(client: Client, asked: str) -> Scopes:
    """Return what a client may get of the scopes that it asks for."""
    registered = parse_scopes(client.scopes)
    resources = tuple(scope for scope in registered.resources if scope.level != "system")
    others = registered.others | _ALWAYS
    if "refresh_token" in client.grant_types:
        others |= {"offline_access"}
    return narrowed(parse_scopes(asked), Scopes(resources, others))


async def issue_code(desk: Desk, asked: Asked, grant: Grant) -> str:
    """Store the grant with a code for it, which is good once and for a minute; return the code."""
    code = new_handle()
    value: dict[str, Any] = {
        "grant": grant.id,
        "client": asked.client.id,
        "redirect_uri": asked.redirect_uri,
        "challenge": asked.challenge,
        "expires": desk.after(desk.settings.code_life),
    }
    await desk.put(stored(grant), RecordChange(CODES.name, digest(code), value))
    return code


async def redeem_code(desk: Desk, client: Client, form: Mapping[str, str]) -> Grant:
    """Return the grant of a code, which is used up by that. A second use ends the grant and all its tokens.

    Raises:
        OAuthError: `invalid_grant`; says no more than that to who guesses.
    """
    bad = OAuthError("invalid_grant", "the code is not good: used, expired, or for another client or address")
    key = digest(form.get("code", ""))
    record = await desk.get(CODES.name, key)
    if record is None:
        raise bad
    value = record.value
    if value["client"] != client.id:
        raise bad
    if value.get("used"):
        await revoke_grant(desk, str(value["grant"]))
        raise bad
    if form.get("redirect_uri", "") != value["redirect_uri"] or not verified(
        form.get("code_verifier", ""), str(value["challenge"])
    ):
        raise bad
    try:
        await desk.put(RecordChange(CODES.name, key, {**value, "used": True}, expected=record.revision))
    except RecordChanged:
        await revoke_grant(desk, str(value["grant"]))
        raise bad from None
    grant = await find_grant(desk, str(value["grant"]))
    if grant is None:
        raise bad
    return grant


def verified(verifier: str, challenge: str) -> bool:
    """Tell whether a PKCE verifier belongs to its challenge. Spec: RFC 7636, section 4.6"""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return same(made, challenge)


def as_text(asked: Asked) -> str:
    """Return a request in a form that can wait while the user signs in."""
    return msgspec.json.encode({**asdict(asked), "client": asked.client.id, "scopes": str(asked.scopes)}).decode()


async def from_text(desk: Desk, text: str) -> Asked:
    """Return a request that waited. Raises Unredirectable: its client has gone."""
    value = msgspec.json.decode(text)
    client = await find_client(desk, value["client"])
    if client is None:
        raise Unredirectable("this app is not registered here any more")
    return Asked(**{**value, "client": client, "scopes": parse_scopes(value["scopes"])})


def _check_audience(desk: Desk, aud: str) -> None:
    if aud.rstrip("/") != desk.base.rstrip("/"):
        raise OAuthError("invalid_request", f"aud must be the URL of this FHIR endpoint: {desk.base}")
