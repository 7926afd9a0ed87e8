"""Lasting grants: for work that goes on for a user or an app after their token has expired (subscriptions)."""

from dataclasses import replace

from fhir_server.auth.access import refused
from fhir_server.auth.clients import find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import find_grant, revoke_grant, stored
from fhir_server.auth.secrets import new_handle

_MARK = "lasting"


async def make_lasting(desk: Desk, grant_id: str) -> str:
    """Store a copy of a grant that ends only when it is revoked, or its app or user goes; return its id.

    Access that was opened in an emergency is for the moment and does not last.

    Raises:
        Unauthorized: the grant has ended, or was given for an emergency.
    """
    grant = await find_grant(desk, grant_id)
    if grant is None or grant.emergency:
        raise refused("what this work was granted does not last", "invalid_token")
    if grant.context.get(_MARK):
        return grant_id
    lasting = replace(
        grant, id=new_handle(), session="", expires=0, created=desk.now(), nonce="", context={_MARK: True}
    )
    await desk.put(stored(lasting))
    return lasting.id


async def end_lasting(desk: Desk, grant_id: str) -> None:
    """Revoke a lasting grant; one that ends by itself is left to do so."""
    grant = await find_grant(desk, grant_id)
    if grant is not None and grant.context.get(_MARK):
        await revoke_grant(desk, grant_id)


async def still_lasts(desk: Desk, grant_id: str) -> None:
    """Raise Unauthorized where the app of a grant is gone or switched off; the rest is looked at with the grant."""
    grant = await find_grant(desk, grant_id)
    if grant is None or await find_client(desk, grant.client) is None:
        raise refused("what this work was granted has ended", "invalid_token")
