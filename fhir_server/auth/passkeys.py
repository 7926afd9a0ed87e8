"""Passkeys: public keys that a browser or a phone signs in with. They need no password and no code beside them.

The library is imported where it is used: it would cost every start a fifth of a second.

Spec: https://www.w3.org/TR/webauthn-3/
"""

from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import LAUNCHES
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.auth.users import User, find_user, update_user
from fhir_server.storage.base import RecordChange, RecordChanged

_PATIENCE = 300
_LONGEST_NAME = 60
MOST = 20
"""Passkeys of one user."""


class BadPasskey(Exception):
    """What the browser sent does not hold; says why, for the log of a developer."""


async def registration_options(desk: Desk, user: User) -> dict[str, Any]:
    """Return what `navigator.credentials.create` needs, with the handle to send back."""
    from webauthn import generate_registration_options
    from webauthn.helpers import structs

    options = generate_registration_options(
        rp_id=_host(desk),
        rp_name="FHIR server",
        user_id=user.id.encode(),
        user_name=user.name,
        user_display_name=user.display or user.name,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[structs.PublicKeyCredentialDescriptor(_bytes(id_)) for id_ in user.passkeys],
    )
    return {"handle": await _keep(desk, user.id, options.challenge), "options": _json(options)}


async def register(desk: Desk, user: User, handle: str, credential: Mapping[str, Any], name: str) -> User:
    """Keep a new passkey of a user. Raises BadPasskey."""
    from webauthn import verify_registration_response
    from webauthn.helpers.exceptions import WebAuthnException

    challenge = await _taken(desk, handle, user.id)
    if len(user.passkeys) >= MOST:
        raise BadPasskey(f"there are {MOST} passkeys already; remove one")
    try:
        found = verify_registration_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=_host(desk),
            expected_origin=_origin(desk),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise BadPasskey(str(error)) from None
    kept = {
        "key": b64encode(found.credential_public_key).decode(),
        "count": found.sign_count,
        "name": name.strip()[:_LONGEST_NAME] or "passkey",
        "created": desk.now(),
    }
    return await _changed(desk, user, lambda keys: {**keys, _text(found.credential_id): kept})


async def sign_in_options(desk: Desk) -> dict[str, Any]:
    """Return what `navigator.credentials.get` needs, with the handle to send back; it names no user."""
    from webauthn import generate_authentication_options
    from webauthn.helpers.structs import UserVerificationRequirement

    options = generate_authentication_options(rp_id=_host(desk), user_verification=UserVerificationRequirement.REQUIRED)
    return {"handle": await _keep(desk, "", options.challenge), "options": _json(options)}


async def signed_in(desk: Desk, handle: str, credential: Mapping[str, Any]) -> User:
    """Return the user whose passkey has signed. Raises BadPasskey."""
    from webauthn import verify_authentication_response
    from webauthn.helpers.exceptions import WebAuthnException

    challenge = await _taken(desk, handle, "")
    user, id_ = await _owner(desk, credential)
    kept = user.passkeys[id_]
    try:
        found = verify_authentication_response(
            credential=dict(credential),
            expected_challenge=challenge,
            expected_rp_id=_host(desk),
            expected_origin=_origin(desk),
            credential_public_key=b64decode(kept["key"]),
            credential_current_sign_count=kept["count"],
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError) as error:
        raise BadPasskey(str(error)) from None
    user = await _changed(desk, user, lambda keys: {**keys, id_: {**kept, "count": found.new_sign_count}})
    if not user.active:
        raise BadPasskey("this user was switched off a moment ago")
    return user


async def forget(desk: Desk, user: User, id_: str) -> User:
    """Remove a passkey of a user."""
    return await _changed(desk, user, lambda keys: {each: kept for each, kept in keys.items() if each != id_})


async def _changed(desk: Desk, user: User, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> User:
    now = await update_user(desk, user.id, lambda now: replace(now, passkeys=change(now.passkeys)))
    if now is None:
        raise BadPasskey("this user was removed a moment ago")
    return now


async def _owner(desk: Desk, credential: Mapping[str, Any]) -> tuple[User, str]:
    """Return who a passkey says that it belongs to, if it does."""
    try:
        id_ = str(credential["id"])
        user = await find_user(desk, _bytes(credential["response"]["userHandle"]).decode())
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadPasskey("the credential cannot be read") from None
    if user is None or id_ not in user.passkeys:
        raise BadPasskey("this passkey is not known here")
    return user, id_


async def _keep(desk: Desk, user: str, challenge: bytes) -> str:
    handle = new_handle()
    value = {
        "kind": "passkey", "user": user, "challenge": b64encode(challenge).decode(), "expires": desk.after(_PATIENCE),
    }  # fmt: skip
    await desk.put(RecordChange(LAUNCHES.name, digest(handle), value, expected=0))
    return handle


async def _taken(desk: Desk, handle: str, user: str) -> bytes:
    """Return a challenge, which is good once."""
    record = await desk.get(LAUNCHES.name, digest(handle))
    if record is None or record.value["kind"] != "passkey" or record.value["user"] != user:
        raise BadPasskey("it took too long, or this was sent before")
    try:
        await desk.put(RecordChange(LAUNCHES.name, record.key, None, expected=record.revision))
    except RecordChanged:
        raise BadPasskey("this was sent before") from None
    return b64decode(str(record.value["challenge"]))


def _host(desk: Desk) -> str:
    return urlsplit(desk.base).hostname or "localhost"


def _origin(desk: Desk) -> str:
    parts = urlsplit(desk.base)
    return f"{parts.scheme}://{parts.netloc}"


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(options: Any) -> Any:
    from webauthn import options_to_json

    return msgspec.json.decode(options_to_json(options))
