"""Client assertions: JWTs by which confidential clients prove who they are with a private key.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_server.auth.clients import Client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import invalid_client
from fhir_server.auth.jwks import JwksFetcher
from fhir_server.auth.records import ONCE
from fhir_server.auth.secrets import digest

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS384", "ES384")
_LONGEST = 300
_SKEW = 30
_LARGEST = 8_192
_LONGEST_JTI = 500
_SMALLEST = 2_048

Key = RSAKey | ECKey


async def prove(desk: Desk, client: Client, assertion: str, audiences: Iterable[str], fetcher: JwksFetcher) -> None:
    """Check an assertion.

    Raises:
        OAuthError: it proves nothing; says why.
    """
    if len(assertion) > _LARGEST:
        raise invalid_client("client_assertion is too long")
    header = _header(assertion)
    claims = _claims(assertion, await _key(client, header, fetcher))
    _hold(claims, client, tuple(audiences), desk.now() / 1000)
    life = max(0.0, float(claims["exp"]) - desk.now() / 1000) + _SKEW
    if not await desk.first(ONCE.name, digest(f"jti {client.id} {claims['jti']}"), life):
        raise invalid_client("this jti was used before")


def client_id_of(assertion: str) -> str:
    """Return whom an assertion says that it is from, unchecked. Raises OAuthError: it is no JWT."""
    try:
        claims = jws.extract_compact(assertion.encode()).payload
        subject = msgspec.json.decode(claims).get("sub")
    except (JoseError, ValueError, AttributeError, RecursionError):
        raise invalid_client("client_assertion is not a JWT") from None
    if not isinstance(subject, str):
        raise invalid_client("client_assertion has no sub")
    return subject


def _header(assertion: str) -> dict[str, Any]:
    try:
        header = dict(jws.extract_compact(assertion.encode()).headers())
    except (JoseError, ValueError, TypeError, RecursionError):
        raise invalid_client("client_assertion is not a JWT") from None
    if header.get("alg") not in ALGORITHMS:
        raise invalid_client(f"client_assertion must be signed with {' or '.join(ALGORITHMS)}")
    if not isinstance(header.get("kid"), str):
        raise invalid_client("the header of client_assertion needs a kid")
    if header.get("typ", "JWT") != "JWT":
        raise invalid_client("the header of client_assertion must have typ JWT")
    return header


async def _key(client: Client, header: dict[str, Any], fetcher: JwksFetcher) -> Key:
    """Return the one key of the client that the header means. A `jku` has to be the URL that was registered.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#signature-verification
    """
    jku = header.get("jku")
    if jku is not None and jku != client.jwks_uri:
        raise invalid_client("jku is not the JWKS URL that the client registered")
    kind = "RSA" if header["alg"].startswith("RS") else "EC"
    for fresh in (False, True):
        jwks = await fetcher.get(client.jwks_uri, fresh=fresh) if client.jwks_uri else client.jwks or {}
        found = [key for key in _listed(jwks) if key.get("kid") == header["kid"] and key.get("kty") == kind]
        if found or not client.jwks_uri:
            break
    if len(found) != 1:
        raise invalid_client("the client has no such key, or more than one of this name")
    return _imported(found[0], kind)


def _imported(key: dict[str, Any], kind: str) -> Key:
    try:
        if kind == "EC":
            return ECKey.import_key(key)
        made = RSAKey.import_key(key)
        too_small = made.public_key.key_size < _SMALLEST
    except (JoseError, ValueError, TypeError, KeyError):
        raise invalid_client("the client's key cannot be read") from None
    if too_small:
        raise invalid_client(f"the client's key has less than {_SMALLEST} bits")
    return made


def _listed(jwks: dict[str, Any]) -> list[dict[str, Any]]:
    keys = jwks.get("keys")
    return [key for key in keys if isinstance(key, dict) and "d" not in key] if isinstance(keys, list) else []


def _claims(assertion: str, key: Key) -> dict[str, Any]:
    try:
        return dict(jwt.decode(assertion, key, algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise invalid_client("the signature of client_assertion does not hold") from None


def _hold(claims: dict[str, Any], client: Client, audiences: tuple[str, ...], now: float) -> None:
    """Hold the claims to the rules. Raises OAuthError."""
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise invalid_client("iss and sub of client_assertion must be the client_id")
    given = claims.get("aud")
    named = given if isinstance(given, list) else [given]
    if len(named) != 1 or named[0] not in audiences:  # one for several servers could be carried from one to another
        raise invalid_client("aud of client_assertion must be the URL of the token endpoint, and nothing else")
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or isinstance(expires, bool) or not expires > now - _SKEW:
        raise invalid_client("client_assertion has expired, or has no exp")
    if expires > now + _LONGEST + _SKEW:
        raise invalid_client("exp of client_assertion must be at most 5 minutes ahead")
    for name in ("iat", "nbf"):
        start = claims.get(name)
        if isinstance(start, int | float) and start > now + _SKEW:
            raise invalid_client(f"{name} of client_assertion lies ahead")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti or len(jti) > _LONGEST_JTI:
        raise invalid_client("client_assertion needs a jti")
