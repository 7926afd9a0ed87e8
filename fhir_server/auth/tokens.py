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
from fhir_server.auth.records import SESSIONS, TOKENS
from fhir_server.auth.roles import of_token
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.storage.base import RecordChange, RecordChanged

_NONCE = b"\0" * 12  # every key seals one message


@dataclass(frozen=True, slots=True)
class Pair:
    """Fresh tokens and the changes that store them. `life`: for how many seconds the access token is good."""

    access: str
    life: int
    refresh: str
    changes: tuple[RecordChange, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A token that was presented: `kind` is access or refresh, `issued` and `expires` milliseconds."""

    kind: str
    grant: Grant
    scopes: str
    expires: int
    issued: int


@dataclass(frozen=True, slots=True)
class Used:
    """What a refresh token that was presented came to: its grant, and the answer to repeat where it was used before."""

    grant: Grant
    scopes: str
    answer: Mapping[str, Any] | None
    revision: int


def new_tokens(desk: Desk, grant: Grant, *, scopes: str = "", refreshing: bool) -> Pair:
    """Return tokens of a grant; `scopes` where those of the access token are narrower than the grant's.

    A refresh token keeps the scopes of the grant: https://www.rfc-editor.org/rfc/rfc6749#section-6
    """
    access = new_handle()
    first = _kept(desk, access, "access", grant, scopes or grant.scopes)
    changes = [first]
    refresh = new_handle() if refreshing else ""
    if refresh:
        changes.append(_kept(desk, refresh, "refresh", grant, grant.scopes))
    life = round((_int((first.value or {})["expires"]) - desk.now()) / 1000)
    return Pair(access, life, refresh, tuple(changes))


async def find_token(desk: Desk, token: str) -> Found | None:
    """Return what a token stands for; None for one that is unknown, expired, used or revoked."""
    record = await desk.get(TOKENS.name, digest(token))
    if record is None or "used" in record.value:
        return None
    grant = await find_grant(desk, str(record.value["grant"]))
    if grant is None:
        return None
    value = record.value
    issued = _int(value.get("issued", grant.created))
    scopes = of_token(desk, grant, str(value["scopes"]))
    return Found(str(value["kind"]), grant, scopes, _int(value["expires"]), issued)


async def client_of_token(desk: Desk, token: str) -> str | None:
    """Return whose token this is, used or not."""
    record = await desk.get(TOKENS.name, digest(token))
    grant = await find_grant(desk, str(record.value["grant"])) if record else None
    return grant.client if grant else None


async def use_refresh(desk: Desk, token: str, client: str) -> Used | None:
    """Look at a refresh token that a client presents; None where it is good for nothing.

    One that was used more than `refresh_grace` seconds ago ends the grant.
    """
    record = await desk.get(TOKENS.name, digest(token))
    if record is None or record.value["kind"] != "refresh":
        return None
    grant = await find_grant(desk, str(record.value["grant"]))
    if grant is None or grant.client != client or not await _online(desk, grant):
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
    change = _kept(desk, token, "refresh", used.grant, used.scopes)
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


async def _online(desk: Desk, grant: Grant) -> bool:
    """Tell whether the session that a grant ends with is still open; true of one that ends with none."""
    return not grant.session or await desk.get(SESSIONS.name, grant.session) is not None


def _kept(desk: Desk, token: str, kind: str, grant: Grant, scopes: str) -> RecordChange:
    settings = desk.settings
    expires = desk.after(settings.token_life if kind == "access" else settings.refresh_life)
    last = min(expires, grant.expires) if grant.expires else expires
    value = {"kind": kind, "grant": grant.id, "scopes": scopes, "expires": last, "issued": desk.now()}
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
