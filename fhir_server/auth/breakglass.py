"""Emergency access: for a while, one patient's whole record, past consent and labels, for a reason that is told."""

import logging

from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant, new_grant, stored
from fhir_server.auth.tokens import Pair, new_tokens
from fhir_server.errors import BadValue, Forbidden
from fhir_server.model.keys import ResourceKey, is_id

logger = logging.getLogger("fhir_server.alerts")
_SHORTEST, _LONGEST = 10, 500
SCOPES = "patient/*.rs"


async def open_record(desk: Desk, asking: Grant, patient: str, reason: str) -> tuple[Grant, Pair]:
    """Return a grant to read all of one patient, with a token of it; it ends by itself, and at once when the user's
    role is taken away.

    Raises:
        Forbidden: the user's roles do not allow it, or the patient is not there (which is the same to who asks).
        BadValue: no reason, or no id of a patient.
    """
    reason = " ".join(reason.split())
    if not asking.user or not set(asking.roles) & set(desk.settings.break_glass_roles):
        raise Forbidden(f"emergency access is for users with a role of {', '.join(desk.settings.break_glass_roles)}")
    if not _SHORTEST <= len(reason) <= _LONGEST:
        raise BadValue(f"a reason of {_SHORTEST} to {_LONGEST} characters is needed")
    if not is_id(patient):
        raise BadValue("patient is the logical id of a Patient")
    version = await desk.store.read(ResourceKey("Patient", patient))
    if version is None or version.deleted:
        raise Forbidden("there is no such patient")
    grant = new_grant(
        desk, asking.client, SCOPES, user=asking.user, subject=asking.subject, roles=asking.roles, patient=patient,
        auth_time=asking.auth_time, expires=desk.after(desk.settings.break_glass_life), emergency=reason,
    )  # fmt: skip
    pair = new_tokens(desk, grant, refreshing=False)
    await desk.put(stored(grant), *pair.changes)
    # The reason is in the grant; a log is not a place for what it may say of a patient.
    logger.warning("emergency access: %s opened Patient/%s, grant %s", asking.subject or asking.user, patient, grant.id)
    return grant, pair
