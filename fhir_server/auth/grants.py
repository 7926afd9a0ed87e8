"""Grants: what a user allowed an app, or what a client may do on its own. All tokens of a grant die with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import msgspec

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import GRANTS
from fhir_server.auth.roles import at_present
from fhir_server.auth.secrets import new_handle
from fhir_server.storage.base import RecordChange, Where


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant.

    Attributes:
        user: id of the user; empty for a client on its own.
        subject: who the user is in the record, `Practitioner/1`; empty for a client on its own.
        scopes: what was granted.
        patient, encounter: logical ids of the launch context; empty where there is none.
        context: further launch context, given with the token as it is (`fhirContext`, `intent`, `need_patient_banner`).
        roles: those of the user, or of the client on its own; `admin` may see plans and erase.
        auth_time: when the user signed in, seconds since 1970. nonce: of the OpenID request.
        session: the digest of the cookie of the session that it ends with (`online_access`); empty: with none.
        expires: when the grant ends whatever its tokens say, milliseconds; 0: never.
        emergency: the reason that was given for opening the record of `patient` in an emergency; consent and labels do
            not stand in its way.
        represented: patients whom the user is or represents, None for staff. Not stored: found out at each look-up.
    """

    id: str
    client: str
    user: str = ""
    subject: str = ""
    scopes: str = ""
    patient: str = ""
    encounter: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    auth_time: int = 0
    nonce: str = ""
    session: str = ""
    created: int = 0
    expires: int = 0
    revoked: bool = False
    emergency: str = ""
    represented: tuple[str, ...] | None = None


def new_grant(desk: Desk, client: str, scopes: str, **more: Any) -> Grant:
    """Return a grant that is not stored yet."""
    return Grant(new_handle(), client, scopes=scopes, created=desk.now(), **more)


def stored(grant: Grant) -> RecordChange:
    """Return the change that stores a grant."""
    value = asdict(grant)
    del value["represented"]
    if not grant.expires:
        del value["expires"]
    return RecordChange(GRANTS.name, grant.id, value)


async def find_grant(desk: Desk, grant_id: str) -> Grant | None:
    """Return a grant that is in force, as far as its user's roles let it be at present."""
    grant = await _read(desk, grant_id)
    return await at_present(desk, grant) if grant and not grant.revoked else None


async def grants_of(desk: Desk, user_id: str, most: int = 10_000) -> list[Grant]:
    """Return the grants that a user has given and that are in force, as they were given."""
    found = await desk.store.records.find(GRANTS.name, (Where("user", "=", user_id),), limit=most)
    grants = [msgspec.convert(dict(record.value), Grant) for record in found]
    return [grant for grant in grants if not grant.revoked and not 0 < grant.expires <= desk.now()]


async def revoke_grant(desk: Desk, grant_id: str) -> None:
    """End a grant and with it every token of it; ending one twice does nothing."""
    grant = await _read(desk, grant_id)
    if grant is not None and not grant.revoked:
        await desk.put(stored(replace(grant, revoked=True)))


async def _read(desk: Desk, grant_id: str) -> Grant | None:
    record = await desk.get(GRANTS.name, grant_id)
    return msgspec.convert(dict(record.value), Grant) if record else None
