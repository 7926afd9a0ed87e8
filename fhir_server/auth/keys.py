"""Signing keys of a tenant: made when first needed, rotated, published as JWKS.

Spec: https://openid.net/specs/openid-connect-core-1_0.html#RotateSigKeys
"""

from asyncio import to_thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import KEYS
from fhir_server.storage.base import Record, RecordChange, RecordChanged

_BITS = 2048
_FIRST = "first"
ALGORITHM = "RS256"
"""The one that OpenID Connect asks of everybody, and SMART of id_tokens."""


async def published(desk: Desk) -> dict[str, Any]:
    """Return the public keys: the one that signs, and those whose signatures may still be about."""
    records = await _records(desk) or [await _made(desk, _FIRST)]
    keys = [RSAKey.import_key(dict(record.value["key"])) for record in records]  # type: ignore[call-overload]
    return {"keys": [key.as_dict(private=False) for key in keys]}


async def signed(desk: Desk, claims: dict[str, Any]) -> str:
    """Return the claims as a JWT signed with the newest key."""
    records = await _records(desk) or [await _made(desk, _FIRST)]
    key = RSAKey.import_key(dict(records[0].value["key"]))  # type: ignore[call-overload]
    return jwt.encode({"alg": ALGORITHM, "kid": records[0].key, "typ": "JWT"}, claims, key)


async def rotate(desk: Desk) -> str:
    """Make a new key that signs from now on; keys older than the life of what they signed are removed."""
    kept = desk.now() - int(desk.settings.key_life * 1000)
    gone = [record for record in (await _records(desk))[1:] if _created(record) < kept]
    if gone:
        await desk.put(*(RecordChange(KEYS.name, record.key, None) for record in gone))
    return (await _made(desk, f"k{desk.now()}")).key


async def _records(desk: Desk) -> list[Record]:
    return await desk.store.records.find(KEYS.name, order="-created", limit=20)


async def _made(desk: Desk, kid: str) -> Record:
    """Make a key; of two workers that make the first one at the same time, the later takes the earlier's."""
    key = await to_thread(RSAKey.generate_key, _BITS, {"kid": kid, "use": "sig", "alg": ALGORITHM})
    value = {"created": desk.now(), "key": key.as_dict(private=True)}
    if await _wrote(desk, RecordChange(KEYS.name, kid, value, expected=0)):
        return Record(kid, value, 1)
    record = await desk.store.records.get(KEYS.name, kid)
    assert record is not None
    return record


async def _wrote(desk: Desk, change: RecordChange) -> bool:
    try:
        await desk.put(change)
    except RecordChanged:
        return False
    return True


def _created(record: Record) -> int:
    created = record.value["created"]
    assert isinstance(created, int)
    return created
