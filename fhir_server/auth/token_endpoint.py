"""The token endpoint: a code, a refresh token or a client's own authority turned into tokens.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-access-token and backend-services.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.auth import keys
from fhir_server.auth.authorization import redeem_code
from fhir_server.auth.clients import Client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.grants import Grant, new_grant, stored
from fhir_server.auth.scopes import INTROSPECT, LAUNCH, Scopes, narrowed, parse_scopes
from fhir_server.auth.tokens import Pair, new_tokens, replace_refresh, use_refresh

Form = Mapping[str, str]
_TRIES = 3
BACKEND_LIFE = 300
"""Most seconds that SMART lets the token of a backend service live."""
_OWN = frozenset((LAUNCH, INTROSPECT))
"""Scopes beside those on resources that a client may have for itself."""


async def answer(desk: Desk, client: Client, form: Form) -> Mapping[str, Any]:
    """Return the answer of the token endpoint.

    Raises:
        OAuthError: it is refused.
    """
    kind = form.get("grant_type", "")
    if kind not in _KINDS:
        raise OAuthError("unsupported_grant_type", f"grant_type is {', '.join(_KINDS)}")
    if kind not in client.grant_types:
        raise OAuthError("unauthorized_client", f"this client is not registered for {kind}")
    return await _KINDS[kind](desk, client, form)


async def _code(desk: Desk, client: Client, form: Form) -> Mapping[str, Any]:
    grant = await redeem_code(desk, client, form)
    scopes = parse_scopes(grant.scopes)
    lasting = "offline_access" in scopes or "online_access" in scopes
    pair = new_tokens(desk, grant, refreshing=lasting and "refresh_token" in client.grant_types)
    await desk.put(*pair.changes)
    return await _body(desk, grant, scopes, pair)


async def _refresh(desk: Desk, client: Client, form: Form) -> Mapping[str, Any]:
    """Narrow the scopes if asked to. Spec: https://www.rfc-editor.org/rfc/rfc6749#section-6"""
    token = form.get("refresh_token", "")
    for _ in range(_TRIES):
        used = await use_refresh(desk, token, client.id)
        if used is None:
            break
        if used.answer is not None:
            return used.answer
        held = parse_scopes(used.scopes)
        scopes = narrowed(parse_scopes(form["scope"]), held) if form.get("scope") else held
        if not scopes.resources and not scopes.others:
            raise OAuthError("invalid_scope", "none of these scopes was granted")
        pair = new_tokens(desk, used.grant, scopes=str(scopes), refreshing=True)
        body = await _body(desk, used.grant, scopes, pair)
        if await replace_refresh(desk, token, used, pair, body):
            return body
    raise OAuthError("invalid_grant", "the refresh token is not good: used, expired or revoked")


async def _own(desk: Desk, client: Client, form: Form) -> Mapping[str, Any]:
    """A backend service: the client acts for itself. Spec: backend-services.html#issue-access-token"""
    if client.kind != "asymmetric":
        raise OAuthError("unauthorized_client", "only a client that signs its requests may act for itself")
    if not form.get("scope"):
        raise OAuthError("invalid_scope", "scope is needed")
    registered = parse_scopes(client.scopes)
    own = tuple(scope for scope in registered.resources if scope.level == "system")
    scopes = narrowed(parse_scopes(form["scope"]), Scopes(own, registered.others & _OWN))
    if not scopes.resources and not scopes.others:
        raise OAuthError("invalid_scope", "none of the scopes is registered for this client")
    life = min(desk.settings.token_life, BACKEND_LIFE)
    grant = new_grant(desk, client.id, str(scopes), expires=desk.after(life))
    pair = new_tokens(desk, grant, refreshing=False)
    await desk.put(stored(grant), *pair.changes)
    return {"access_token": pair.access, "token_type": "Bearer", "expires_in": pair.life, "scope": str(scopes)}


async def _body(desk: Desk, grant: Grant, scopes: Scopes, pair: Pair) -> dict[str, Any]:
    body: dict[str, Any] = {
        **grant.context,
        "access_token": pair.access,
        "token_type": "Bearer",
        "expires_in": pair.life,
        "scope": str(scopes),
    }
    for name in ("patient", "encounter"):
        if getattr(grant, name):
            body[name] = getattr(grant, name)
    if pair.refresh:
        body["refresh_token"] = pair.refresh
    if "openid" in scopes:
        body["id_token"] = await keys.signed(desk, _identity(desk, grant, scopes))
    return body


def _identity(desk: Desk, grant: Grant, scopes: Scopes) -> dict[str, Any]:
    """The claims of the id_token. Spec: https://openid.net/specs/openid-connect-core-1_0.html#IDToken"""
    now = desk.now() // 1000
    claims: dict[str, Any] = {
        "iss": desk.issuer,
        "sub": grant.user,
        "aud": grant.client,
        "iat": now,
        "exp": now + desk.settings.token_life,
        "auth_time": grant.auth_time,
    }
    if grant.nonce:
        claims["nonce"] = grant.nonce
    if grant.subject and ("fhirUser" in scopes or "profile" in scopes):
        claims["fhirUser"] = f"{desk.base}/{grant.subject}"
    return claims


_KINDS = {"authorization_code": _code, "refresh_token": _refresh, "client_credentials": _own}
