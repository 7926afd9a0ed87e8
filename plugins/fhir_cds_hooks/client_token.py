"""Who calls: the signed token of a CDS client.

Spec: https://cds-hooks.hl7.org/2.0/#trusting-cds-clients
"""

from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_cds_hooks.faults import Unproved
from fhir_cds_hooks.settings import CdsHooksSettings
from fhir_server.plugin_api import (
    Collection,
    FhirError,
    JwksFetcher,
    OAuthError,
    PluginContext,
    RecordChange,
    RecordChanged,
    RecordField,
    Where,
    decode,
)

ONCE: Final = Collection("fhir_cds_hooks.once", (RecordField("expires", "integer"),))
ALGORITHMS: Final = ("ES384", "RS384", "ES256", "RS256")
"""Asymmetric ones alone: a shared secret would let each client sign for the others."""
_LARGEST: Final = 8_192
_SKEW: Final = 30
_LONGEST: Final = 255
_SMALLEST: Final = 2_048
_SWEPT: Final = 500


class Clients:
    """The CDS clients that may call."""

    def __init__(self, settings: CdsHooksSettings) -> None:
        self._settings = settings
        self._fetcher = JwksFetcher(inside=settings.private_networks)

    async def issuer(self, ctx: PluginContext, authorization: str, url: str) -> str:
        """Return who calls `url`; empty where nobody is asked.

        Raises:
            Unproved: the token proves nothing; says why.
        """
        if self._settings.authentication == "none" or ctx.core.settings.auth == "none":
            return ""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _LARGEST:
            raise _unproved("send a signed token of the CDS client: Authorization: Bearer ...")
        header, unchecked = _parts(token)
        issuer = unchecked.get("iss")
        where = self._settings.clients.get(issuer) if isinstance(issuer, str) else None
        if where is None:
            raise _unproved("the issuer of the token is not a client of this server")
        claims = _claims(token, await self._key(where, header))
        self._hold(claims, url, ctx.now() / 1000)
        await _first_time(ctx, str(issuer), claims)
        return str(issuer)

    async def _key(self, where: str, header: Mapping[str, Any]) -> RSAKey | ECKey:
        """Return the key of the client that the header names; a `jku` has to be the URL that is set."""
        if header.get("jku", where) != where:
            raise _unproved("jku is not the JWKS URL that is set for this client")
        for fresh in (False, True):
            try:
                jwks = await self._fetcher.get(where, fresh=fresh)
            except OAuthError as error:
                raise _unproved("the keys of the client cannot be fetched") from error
            found = [key for key in _keys(jwks) if key.get("kid") == header["kid"]]
            if found:
                break
        if len(found) != 1:
            raise _unproved("the client has no such key, or more than one of this name")
        return _imported(found[0])

    def _hold(self, claims: Mapping[str, Any], url: str, now: float) -> None:
        """Check the claims."""
        expires: Any = claims.get("exp")
        issued: Any = claims.get("iat")
        audience = claims.get("aud")
        if not _is_time(expires) or not _is_time(issued):
            raise _unproved("exp and iat have to be numbers")
        if expires <= now - _SKEW or issued > now + _SKEW:
            raise _unproved("the token has expired, or is not valid yet")
        if expires - issued > self._settings.token_life + _SKEW:
            raise _unproved(f"the token may be valid for at most {self._settings.token_life} seconds")
        if url not in (audience if isinstance(audience, list) else [audience]):
            raise _unproved(f"aud has to be {url}")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST:
            raise _unproved("jti has to be a text that is used once")


async def sweep(ctx: PluginContext) -> None:
    """Forget tokens that have expired."""
    before = ctx.now() // 1000 - _SKEW
    while True:
        old = await ctx.store.find(ONCE.name, (Where("expires", "<", before),), limit=_SWEPT)
        await ctx.store.put(*(RecordChange(ONCE.name, record.key, None) for record in old))
        if len(old) < _SWEPT:
            return


async def _first_time(ctx: PluginContext, issuer: str, claims: Mapping[str, Any]) -> None:
    value = {"expires": int(claims["exp"]) + _SKEW}
    try:
        await ctx.store.put(RecordChange(ONCE.name, f"{issuer} {claims['jti']}", value, expected=0))
    except RecordChanged:
        raise _unproved("this jti was used before") from None


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims, unchecked."""
    try:
        found = jws.extract_compact(token.encode())
        header, claims = dict(found.headers()), decode(found.payload)
    except (JoseError, ValueError, TypeError, RecursionError, FhirError):
        raise _unproved("the token is no signed JWT") from None
    if header.get("alg") not in ALGORITHMS:
        raise _unproved(f"the token has to be signed with {', '.join(ALGORITHMS)}")
    if not isinstance(header.get("kid"), str) or not isinstance(claims, dict):
        raise _unproved("the token needs a kid in its header and an object of claims")
    return header, claims


def _claims(token: str, key: RSAKey | ECKey) -> dict[str, Any]:
    try:
        return dict(jwt.decode(token, key, algorithms=list(ALGORITHMS)).claims)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise _unproved("the signature of the token is wrong") from None


def _keys(jwks: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = jwks.get("keys")
    return [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []


def _imported(key: dict[str, Any]) -> RSAKey | ECKey:
    public = {name: value for name, value in key.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
    try:
        if public.get("kty") == "EC":
            return ECKey.import_key(public)
        made = RSAKey.import_key(public)
        too_small = made.public_key.key_size < _SMALLEST
    except (JoseError, ValueError, TypeError, KeyError):
        raise _unproved("the key of the client cannot be read") from None
    if too_small:
        raise _unproved(f"the key of the client has less than {_SMALLEST} bits")
    return made


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _unproved(said: str) -> Unproved:
    error = Unproved(said, expression="http.authorization")
    error.headers["WWW-Authenticate"] = "Bearer"
    return error
