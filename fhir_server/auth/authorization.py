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
_ALWAYS = frozenset(("openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter"))
"""Scopes about who and where; what a client is registered with says nothing about them."""

_LASTING = frozenset(("offline_access", "online_access"))
_PROMPTS = frozenset(("none", "login", "consent", "select_account"))
_LONGEST = 2_000
"""Most characters of a value that comes back in a URL or a token."""

_USED_KEPT = 86_400
"""Seconds for which a code that was used is remembered, so that a second use is noticed."""


class Unredirectable(Exception):
    """A request that names no client or redirect URI to be trusted: the user is told, and nobody is redirected."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A sound authorization request.

    scopes: what is asked for as far as the client may. prompt: words of OpenID Connect, sorted.
    since: the user must have signed in then or later, seconds since 1970.
    """

    client: Client
    redirect_uri: str
    scopes: Scopes
    state: str
    challenge: str
    launch: str = ""
    nonce: str = ""
    prompt: tuple[str, ...] = ()
    since: int = 0
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
    if any(len(form.get(name, "")) > _LONGEST for name in ("state", "nonce", "launch", "login_hint")):
        raise Unredirectable("the app sends more than belongs into such a request")
    _check_form(desk, client, form)
    scopes = allowed(client, form.get("scope", ""))
    if not scopes.resources and not scopes.others:
        raise OAuthError("invalid_scope", "none of the scopes can be granted to this client")
    if "launch" in scopes and not form.get("launch"):
        raise OAuthError("invalid_request", "the scope launch needs the parameter launch, which the EHR gives")
    prompt = _prompt(form.get("prompt", ""))
    return Asked(
        client, redirect_uri, scopes, form["state"], form["code_challenge"], form.get("launch", ""),
        form.get("nonce", ""), prompt, _since(desk, prompt, form.get("max_age", "")), form.get("login_hint", ""),
    )  # fmt: skip


def allowed(client: Client, asked: str) -> Scopes:
    """Return what a client may get of the scopes that it asks for."""
    registered, wanted = parse_scopes(client.scopes), parse_scopes(asked)
    resources = tuple(scope for scope in registered.resources if scope.level != "system")
    others = registered.others | _ALWAYS | {name for name in wanted.others if name.startswith("launch/")}
    others = others | _LASTING if "refresh_token" in client.grant_types else others - _LASTING
    return narrowed(wanted, Scopes(resources, others))


def wants(scopes: Scopes, what: str) -> bool:
    """Tell whether a context of launch is asked for: `patient` or `encounter`, in whatever role.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#requesting-context-with-scopes
    """
    return any(name.partition("?")[0] == f"launch/{what}" for name in scopes.others)


def _check_form(desk: Desk, client: Client, form: Mapping[str, str]) -> None:
    """Check what has nothing to do with scopes. Raises OAuthError."""
    if form.get("response_type") != "code" or form.get("response_mode", "query") != "query":
        raise OAuthError("unsupported_response_type", "response_type must be code, and response_mode query")
    for name in ("request", "request_uri"):
        if name in form:
            raise OAuthError(f"{name}_not_supported", f"{name} is not supported")
    if "authorization_code" not in client.grant_types:
        raise OAuthError("unauthorized_client", "this client is not registered for users")
    _check_audience(desk, form.get("aud", ""), form.get("resource", ""))
    challenge = form.get("code_challenge", "")
    if form.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "PKCE is needed: code_challenge with code_challenge_method=S256")
    if not form.get("state"):
        raise OAuthError("invalid_request", "state is needed")


def _prompt(given: str) -> tuple[str, ...]:
    """Spec: https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest"""
    words = tuple(sorted(set(given.split())))
    if not _PROMPTS.issuperset(words) or ("none" in words and len(words) > 1):
        raise OAuthError("invalid_request", "prompt is none, or some of login, consent, select_account")
    return words


def _since(desk: Desk, prompt: tuple[str, ...], max_age: str) -> int:
    now = desk.now() // 1000
    if "login" in prompt or "select_account" in prompt:
        return now
    return max(0, now - int(max_age)) if re.fullmatch(r"[0-9]{1,10}", max_age) else 0


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
        used = {**value, "used": True, "expires": desk.after(_USED_KEPT)}
        await desk.put(RecordChange(CODES.name, key, used, expected=record.revision))
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
    more = {"client": client, "scopes": parse_scopes(value["scopes"]), "prompt": tuple(value["prompt"])}
    return Asked(**{**value, **more})


def _check_audience(desk: Desk, aud: str, resource: str) -> None:
    """The audience is what keeps a token from being asked for by the page of another server. Who names a resource
    instead (RFC 8707) means this server or one of its endpoints beside FHIR.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
    """
    base = desk.base.rstrip("/")
    root = base.rpartition("/")[0]
    within = not aud and f"{resource}/".startswith(f"{root}/") and ".." not in resource
    if aud.rstrip("/") != base and not within:
        raise OAuthError("invalid_request", f"aud must be the URL of this FHIR endpoint: {desk.base}")
