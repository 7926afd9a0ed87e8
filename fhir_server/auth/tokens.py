"""Access and refresh tokens: opaque handles, of which only digests are stored.

A refresh token is replaced at each use. For a minute its predecessor is answered with the very same answer, so that a
reply that was lost on a bad network logs nobody out; later a second use can only be theft, and ends the grant. What is
kept for that minute is sealed with the predecessor itself, so who reads the store can use nothing.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant, find_grant, revoke_grant
from fhir_server.auth.records import TOKENS
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.storage.base import RecordChange, RecordChanged

_NONCE = b"\0" * 12  # every key seals one message


@dataclass(frozen=True, slots=True)
class Pair:
    """Fresh tokens and the changes that store them."""

    access: str
    refresh: str
    changes: tuple[RecordChange, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A token that was presented: `kind` is access or refresh, `expires` milliseconds."""

    kind: str
    grant: Grant
    scopes: str
    expires: int


@dataclass(frozen=True, slots=True)
class Used:
    """What a refresh token that was presented came to: its grant, and the answer to repeat where it was used before."""

    grant: Grant
    scopes: str
    answer: Mapping[str, Any] | None
    revision: int


def new_tokens(desk: Desk, grant: Grant, *, scopes: str = "", refreshing: bool) -> Pair:
    """Return tokens of a grant; `scopes` where they are narrower than the grant's."""
    wanted = scopes or grant.scopes
    access = new_handle()
    changes = [_kept(access, "access", grant, wanted, desk.after(desk.settings.token_life))]
    refresh = new_handle() if refreshing else ""
    if refresh:
        changes.append(_kept(refresh, "refresh", grant, wanted, desk.after(desk.settings.refresh_life)))
    return Pair(access, refresh, tuple(changes))


async def find_token(desk: Desk, token: str) -> Found | None:
    """Return what a token stands for; None for one that is unknown, expired, used or revoked."""
    record = await desk.get(TOKENS.name, digest(token))
    if record is None or "used" in record.value:
        return None
    grant = await find_grant(desk, str(record.value["grant"]))
    if grant is None:
        return None
    return Found(str(record.value["kind"]), grant, str(record.value["scopes"]), _int(record.value["expires"]))


async def use_refresh(desk: Desk, token: str, client: str) -> Used | None:
    """Look at a refresh token that a client presents; None where it is good for nothing.

    One that was used more than `refresh_grace` seconds ago ends the grant.
    """
    record = await desk.get(TOKENS.name, digest(token))
    if record is None or record.value["kind"] != "refresh":
        return None
    grant = await find_grant(desk, str(record.value["grant"]))
    if grant is None or grant.client != client:
        return None
    used = record.value.get("used")
    if used is None:
        return Used(grant, str(record.value["scopes"]), None, record.revision)
    if desk.now() - _int(used) > desk.settings.refresh_grace * 1000:
        await revoke_grant(desk, grant.id)
        return None
    return Used(grant, "", _opened(token, str(record.value["answer"])), record.revision)


async def replace_refresh(desk: Desk, token: str, used: Used, pair: Pair, answer: Mapping[str, Any]) -> bool:
    """Store the tokens that come after a refresh token; False where another request was faster: look at it again."""
    change = _kept(token, "refresh", used.grant, used.scopes, desk.after(desk.settings.refresh_life))
    value = {**(change.value or {}), "used": desk.now(), "answer": _sealed(token, answer)}
    try:
        await desk.put(RecordChange(TOKENS.name, change.key, value, expected=used.revision), *pair.changes)
    except RecordChanged:
        return False
    return True


async def revoke_token(desk: Desk, token: str, client: str) -> None:
    """End a token of a client; a refresh token ends its grant. What is not known is ended already (RFC 7009)."""
    record = await desk.get(TOKENS.name, digest(token))
    if record is None:
        return
    grant = await find_grant(desk, str(record.value["grant"]))
    if grant is None or grant.client != client:
        return
    if record.value["kind"] == "refresh":
        await revoke_grant(desk, grant.id)
    else:
        await desk.put(RecordChange(TOKENS.name, record.key, None))


def _kept(token: str, kind: str, grant: Grant, scopes: str, expires: int) -> RecordChange:
    last = min(expires, grant.expires) if grant.expires else expires
    value = {"kind": kind, "grant": grant.id, "scopes": scopes, "expires": last}
    return RecordChange(TOKENS.name, digest(token), value)


def _key(token: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, b"answer to a refresh token").derive(token.encode()))


def _sealed(token: str, answer: Mapping[str, Any]) -> str:
    return b64encode(_key(token).encrypt(_NONCE, msgspec.json.encode(answer), None)).decode()


def _opened(token: str, sealed: str) -> Mapping[str, Any]:
    answer: Mapping[str, Any] = msgspec.json.decode(_key(token).decrypt(_NONCE, b64decode(sealed), None))
    return answer


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
