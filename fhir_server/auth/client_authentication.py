"""Who a client is, at the token endpoint and its neighbours.

Spec: https://www.rfc-editor.org/rfc/rfc6749#section-2.3
"""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from fhir_server.auth import assertions
from fhir_server.auth.clients import Client, find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError, invalid_client
from fhir_server.auth.jwks import JwksFetcher
from fhir_server.auth.secrets import digest, same
from fhir_server.auth.tokens import client_of_token

Form = Mapping[str, str]


async def authenticated(
    desk: Desk, form: Form, authorization: str | None, audiences: Iterable[str], fetcher: JwksFetcher
) -> Client:
    """Return the client that sends a form.

    audiences: the URLs that an assertion may be for.

    Raises:
        OAuthError: `invalid_client`, or `invalid_request` where it authenticates in two ways at once.
    """
    basic = _basic(authorization)
    ways = [basic is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise OAuthError("invalid_request", "a client authenticates in one way only")
    if "client_assertion" in form:
        return await _by_assertion(desk, form, audiences, fetcher)
    client_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
    if form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_request", "client_id differs from that of the Authorization header")
    client = await find_client(desk, client_id) if client_id else await _bearing(desk, form)
    if client is None or client.kind == "asymmetric":
        raise invalid_client("there is no such client, or it authenticates in another way")
    if client.kind == "public" and secret is None:
        return client
    if client.kind == "public" or secret is None or not _is_secret(client, secret):
        raise invalid_client("there is no such client, or it authenticates in another way")
    return client


async def _bearing(desk: Desk, form: Form) -> Client | None:
    """Return whose refresh token this is: SMART lets a public app refresh without saying who it is.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
    """
    if form.get("grant_type") != "refresh_token":
        return None
    owner = await client_of_token(desk, form.get("refresh_token", ""))
    return await find_client(desk, owner) if owner else None


async def _by_assertion(desk: Desk, form: Form, audiences: Iterable[str], fetcher: JwksFetcher) -> Client:
    if form.get("client_assertion_type") != assertions.TYPE:
        # Nothing was tried that 401 could refuse; conformance suites ask for 400 here.
        raise OAuthError("invalid_client", f"client_assertion_type must be {assertions.TYPE}")
    client_id = assertions.client_id_of(form["client_assertion"])
    if form.get("client_id", client_id) != client_id:
        raise invalid_client("client_id differs from sub of client_assertion")
    client = await find_client(desk, client_id)
    if client is None or client.kind != "asymmetric":
        raise invalid_client("there is no such client, or it authenticates in another way")
    await assertions.prove(desk, client, form["client_assertion"], audiences, fetcher)
    return client


def _is_secret(client: Client, secret: str) -> bool:
    given = digest(secret)
    return any(same(given, known) for known in client.secrets)


def _basic(authorization: str | None) -> tuple[str, str] | None:
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = b64decode(value, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError):
        raise invalid_client("the Authorization header cannot be read") from None
    if not colon:
        raise invalid_client("the Authorization header cannot be read")
    return unquote_plus(name), unquote_plus(secret)
