"""Registration of clients, by themselves (RFC 7591) or by an administrator.

Spec: https://www.rfc-editor.org/rfc/rfc7591
"""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from fhir_server.auth.clients import Client, Kind, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.scopes import offered, parse_scopes
from fhir_server.auth.secrets import digest, new_handle

_KINDS: dict[str, Kind] = {
    "none": "public",
    "client_secret_basic": "symmetric",
    "client_secret_post": "symmetric",
    "private_key_jwt": "asymmetric",
}
_GRANTS = frozenset(("authorization_code", "refresh_token", "client_credentials"))
_LONGEST_NAME = 200
_ECHOED = frozenset(
    ("client_name", "redirect_uris", "initiate_login_uri", "jwks", "jwks_uri", "logo_uri", "client_uri", "policy_uri",
     "tos_uri", "contacts", "response_types")
)  # fmt: skip
_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_PLAIN = re.compile(r"[!-~]{3,2000}", re.ASCII)
_LOCAL = frozenset(("localhost", "127.0.0.1", "::1"))


async def register(desk: Desk, asked: Any) -> dict[str, Any]:
    """Register a client by its metadata; return what RFC 7591 asks for, its secret among it this once.

    Raises:
        OAuthError: `invalid_client_metadata` or `invalid_redirect_uri`.
    """
    if not isinstance(asked, dict):
        raise _bad("the metadata is not a JSON object")
    client = read_metadata(asked)
    scopes = parse_scopes(client.scopes)
    if "client_credentials" in client.grant_types or any(scope.level == "system" for scope in scopes.resources):
        raise _bad("only administrators let a client act for itself (client_credentials, system scopes)")
    if any(name.startswith("__") or name in offered() for name in scopes.others):
        raise _bad("scopes that begin with __, and those of plugins, are given by administrators only")
    client, secret = with_secret(client)
    await save_client(desk, client)
    return {
        **{name: value for name, value in asked.items() if name in _ECHOED},
        "client_id": client.id,
        "client_id_issued_at": desk.now() // 1000,
        "scope": client.scopes,
        "grant_types": list(client.grant_types),
        "token_endpoint_auth_method": asked.get("token_endpoint_auth_method", "client_secret_basic"),
        **({"client_secret": secret, "client_secret_expires_at": 0} if secret else {}),
    }


def read_metadata(asked: dict[str, Any]) -> Client:
    """Return the client that metadata describes, under a new id. Raises OAuthError."""
    kind = _KINDS.get(str(asked.get("token_endpoint_auth_method", "client_secret_basic")))
    if kind is None:
        raise _bad(f"token_endpoint_auth_method is one of {', '.join(_KINDS)}")
    grants = _texts(asked, "grant_types") or ("authorization_code",)
    if not _GRANTS.issuperset(grants):
        raise _bad(f"grant_types are of {', '.join(sorted(_GRANTS))}")
    client = Client(
        id=new_handle(),
        name=_text(asked, "client_name")[:_LONGEST_NAME] or "an app without a name",
        kind=kind,
        redirect_uris=_texts(asked, "redirect_uris"),
        launch_uri=_text(asked, "initiate_login_uri"),
        scopes=_text(asked, "scope"),
        grant_types=grants,
        jwks=asked["jwks"] if isinstance(asked.get("jwks"), dict) else None,
        jwks_uri=_text(asked, "jwks_uri"),
        logo_uri=_text(asked, "logo_uri"),
        client_uri=_text(asked, "client_uri"),
        policy_uri=_text(asked, "policy_uri"),
        tos_uri=_text(asked, "tos_uri"),
        contacts=_texts(asked, "contacts"),
    )
    return checked(client)


def checked(client: Client) -> Client:
    """Return the client if it can work, its origins filled in. Raises OAuthError."""
    if "authorization_code" in client.grant_types and not client.redirect_uris:
        raise OAuthError("invalid_redirect_uri", "redirect_uris are needed")
    for uri in client.redirect_uris:
        _check_redirect(uri)
    if client.kind == "asymmetric" and (client.jwks is None) == (not client.jwks_uri):
        raise _bad("private_key_jwt needs either jwks or jwks_uri")
    if "client_credentials" in client.grant_types and client.kind != "asymmetric":
        raise _bad("only a client with private_key_jwt may act for itself")
    for uri in (client.jwks_uri, client.logo_uri, client.client_uri, client.policy_uri, client.tos_uri):
        _check_web(uri)
    _check_jwks(client.jwks)
    origins = {f"{parts.scheme}://{parts.netloc}" for parts in map(urlsplit, client.redirect_uris) if parts.netloc}
    return replace(client, origins=tuple(sorted(origins | set(client.origins))))


def with_secret(client: Client) -> tuple[Client, str]:
    """Return a symmetric client with a new secret beside the last one, and the secret; others as they are."""
    if client.kind != "symmetric":
        return client, ""
    secret = new_handle()
    return replace(client, secrets=(digest(secret), *client.secrets[:1])), secret


def _check_redirect(uri: str) -> None:
    """Apps on a device have schemes of their own, made of a domain: https://www.rfc-editor.org/rfc/rfc8252#section-7.1"""
    try:
        parts, plain = urlsplit(uri), _PLAIN.fullmatch(uri)
        host = parts.hostname
    except ValueError:
        raise OAuthError("invalid_redirect_uri", "a redirect URI cannot be read") from None
    if not plain or "#" in uri or "@" in parts.netloc:
        raise OAuthError("invalid_redirect_uri", f"{uri[:200]} cannot be redirected to")
    if parts.scheme not in ("http", "https"):
        if "." not in parts.scheme:
            raise OAuthError("invalid_redirect_uri", f"{uri[:200]} is neither https nor a scheme made of a domain")
    elif not host:
        raise OAuthError("invalid_redirect_uri", f"{uri[:200]} names no host")
    elif parts.scheme == "http" and host not in _LOCAL:
        raise OAuthError("invalid_redirect_uri", f"{uri[:200]} must be https")


def _check_web(uri: str) -> None:
    if uri and not (_PLAIN.fullmatch(uri) and uri.lower().startswith(("https://", "http://")) and "@" not in uri):
        raise _bad(f"{uri[:200]} is no web address")


def _check_jwks(jwks: dict[str, Any] | None) -> None:
    if jwks is None:
        return
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        raise _bad("jwks holds no keys")
    if any(key.get("kty") not in ("RSA", "EC") or not isinstance(key.get("kid"), str) for key in keys):
        raise _bad("each key of jwks needs kty RSA or EC, and a kid")
    if any(_PRIVATE & key.keys() for key in keys):
        raise _bad("jwks holds a private key, which nobody but the client may know: make another")


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str) or not value.isprintable():
        raise _bad(f"{name} is not a plain string")
    return value


def _texts(asked: dict[str, Any], name: str) -> tuple[str, ...]:
    value = asked.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _bad(f"{name} is not a list of strings")
    return tuple(value)


def _bad(said: str) -> OAuthError:
    return OAuthError("invalid_client_metadata", said)
