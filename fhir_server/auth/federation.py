"""Signing in at an OpenID provider: the way there, what comes back, and which user that is.

Spec: https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth, with PKCE (RFC 7636) and `iss` (RFC 9207).
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.auth.desk import Desk
from fhir_server.auth.providers import Provider
from fhir_server.auth.records import LAUNCHES
from fhir_server.auth.secrets import digest, new_handle, same
from fhir_server.auth.user_administration import UserAsked, add_user, change_user
from fhir_server.auth.users import User, find_identified, save_user
from fhir_server.errors import FhirError
from fhir_server.storage.base import RecordChange, RecordChanged

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

try:
    import httpx2 as http  # the successor of httpx, which Authlib takes where it is installed
except ImportError:
    import httpx as http  # type: ignore[no-redef]

_PATIENCE = 900
_TIMEOUT = 15.0
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"]
_LEEWAY = 60
PATH = "/.well-known/openid-configuration"


class FederationFailed(Exception):
    """Nobody was signed in; says why, for the log and in part for the user."""


@dataclass(frozen=True, slots=True)
class Way:
    """One sign-in at a provider: where it ends here, and how the provider is reached (for tests, by `http`)."""

    desk: Desk
    provider: Provider
    redirect_uri: str
    transport: Any = None

    def client(self) -> "AsyncOAuth2Client":
        """Return a client of the provider."""
        with warnings.catch_warnings():  # it would rather have a successor of httpx, and does not need it
            import authlib.deprecate  # type: ignore[import-untyped]  # noqa: F401  shows its warnings whatever is set

            warnings.simplefilter("ignore")
            from authlib.integrations.httpx_client import AsyncOAuth2Client

        return AsyncOAuth2Client(
            client_id=self.provider.client_id,
            client_secret=self.provider.client_secret,
            scope=self.provider.scope,
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if self.provider.client_secret else "none",
            transport=self.transport,
            timeout=_TIMEOUT,
        )


async def begin(way: Way, waiting: str) -> tuple[str, str]:
    """Return where to send the browser, and what to keep in it until it comes back. Raises FederationFailed."""
    state, nonce, verifier = new_handle(), new_handle(), new_handle()
    async with way.client() as client:
        told = await _configuration(way, client)
        extra = dict(way.provider.parameters)
        url, _ = client.create_authorization_url(
            told["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier, **extra
        )
    value = {
        "kind": "federated", "provider": way.provider.id, "nonce": nonce, "verifier": verifier, "request": waiting,
        "expires": way.desk.after(_PATIENCE),
    }  # fmt: skip
    await way.desk.put(RecordChange(LAUNCHES.name, digest(state), value, expected=0))
    return str(url), state


async def finish(way: Way, form: Mapping[str, str], cookie: str) -> tuple[User, str]:
    """Return who has signed in, and the request that waits for it. Raises FederationFailed."""
    kept = await _kept(way, form.get("state", ""), cookie)
    if form.get("error"):
        raise FederationFailed(f"the provider refused: {form['error'][:100]}")
    if form.get("iss", way.provider.issuer) != way.provider.issuer:
        raise FederationFailed("the answer is of another provider")
    try:
        async with way.client() as client:
            told = await _configuration(way, client)
            token = await client.fetch_token(
                told["token_endpoint"], code=form.get("code", ""), code_verifier=str(kept["verifier"])
            )
            keys = (await client.request("GET", told["jwks_uri"], withhold_token=True)).raise_for_status().json()
        claims = _claims(way, str(token.get("id_token", "")), keys, str(kept["nonce"]))
    except (AuthlibBaseError, JoseError, http.HTTPError, ValueError, KeyError, TypeError) as error:
        raise FederationFailed(f"{type(error).__name__}: {error}") from None
    return await _user(way, claims), str(kept["request"])


async def _configuration(way: Way, client: "AsyncOAuth2Client") -> dict[str, Any]:
    """Return what the provider says of itself, if it is the provider. Spec: OpenID Connect Discovery, section 4.3"""
    try:
        answer = await client.request("GET", way.provider.issuer.rstrip("/") + PATH, withhold_token=True)
        told: dict[str, Any] = answer.raise_for_status().json()
    except (http.HTTPError, ValueError) as error:
        raise FederationFailed(f"the provider does not answer: {type(error).__name__}") from None
    if told.get("issuer") != way.provider.issuer:
        raise FederationFailed(f"the provider calls itself {str(told.get('issuer'))[:100]!r}")
    return told


async def _kept(way: Way, state: str, cookie: str) -> Mapping[str, Any]:
    """Return what was kept for a state, once, for the browser that began."""
    record = await way.desk.get(LAUNCHES.name, digest(state)) if state else None
    if record is None or record.value["kind"] != "federated" or record.value["provider"] != way.provider.id:
        raise FederationFailed("this sign-in is not known: too old, or used")
    if not same(state, cookie):
        raise FederationFailed("this sign-in was begun in another browser")
    try:
        await way.desk.put(RecordChange(LAUNCHES.name, record.key, None, expected=record.revision))
    except RecordChanged:
        raise FederationFailed("this sign-in was used") from None
    return record.value


def _claims(way: Way, id_token: str, keys: Any, nonce: str) -> dict[str, Any]:
    """Return the claims of an id_token that holds. Spec: OpenID Connect Core, section 3.1.3.7"""
    claims = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS).claims
    registry = jwt.JWTClaimsRegistry(
        now=way.desk.now() // 1000,
        leeway=_LEEWAY,
        iss={"essential": True, "value": way.provider.issuer},
        aud={"essential": True, "value": way.provider.client_id},
        sub={"essential": True},
        exp={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    registry.validate(claims)
    if claims.get("azp", way.provider.client_id) != way.provider.client_id:
        raise FederationFailed("the id_token is for another client")
    return claims


async def _user(way: Way, claims: Mapping[str, Any]) -> User:
    """Return the user of an identity; one who is not known is made where the provider may."""
    desk, provider = way.desk, way.provider
    identity = f"{provider.issuer}|{claims['sub']}"
    known = await find_identified(desk, identity)
    asked = _asked(provider, claims)
    try:
        if known is not None:
            if not known.active:
                raise FederationFailed("this account is switched off here")
            return await change_user(desk, known, asked) if asked != UserAsked() else known
        if not provider.provision:
            raise FederationFailed("this account is not known here; ask an administrator")
        name = str(claims.get(provider.name_claim) or claims["sub"])
        display = str(claims.get("name") or name)
        made = UserAsked(name=name, display=display, identities=(identity,), roles=asked.roles, subject=asked.subject)
        user, _ = await add_user(desk, made)
    except FhirError as error:
        raise FederationFailed(str(error)) from None
    user = replace(user, password="", change=False)
    await save_user(desk, user)
    return user


def _asked(provider: Provider, claims: Mapping[str, Any]) -> UserAsked:
    """Return what the provider says of a user: roles by the mapping, and who they are in the record."""
    asked = UserAsked()
    if provider.role_claim:
        given = claims.get(provider.role_claim, [])
        groups = given if isinstance(given, list) else [given]
        asked.roles = tuple(dict.fromkeys(provider.roles[str(each)] for each in groups if str(each) in provider.roles))
    if provider.subject_claim and claims.get(provider.subject_claim):
        asked.subject = "/".join(str(claims[provider.subject_claim]).split("/")[-2:])
    return asked
