"""What a Store refuses, said as the FhirError that a client gets."""

from collections.abc import Callable, Sequence

from fhir_server.context import Context
from fhir_server.errors import (
    Busy,
    Conflict,
    DamagedStore,
    FhirError,
    Issue,
    LinkExpired,
    PreconditionFailed,
    StoreFull,
    TooCostly,
)
from fhir_server.interactions.visibility import visible_keys
from fhir_server.model.keys import ResourceKey
from fhir_server.resilience import retry_after
from fhir_server.storage.base import (
    ConditionChanged,
    IndexUnavailable,
    MissingTargets,
    RecordChanged,
    SearchTooCostly,
    SnapshotGone,
    StillReferenced,
    StorageDamaged,
    StorageFull,
    StoreError,
    StoreUnavailable,
    VersionChanged,
    WriteBusy,
)

_NAMED = 10
_UNCERTAIN = (
    "the connection broke while this was written, and whether it is stored could not be found out in time. Look for it "
    "before you send it again. A read, a PUT, a DELETE and a conditional create can be sent again as they are"
)


async def translate(ctx: Context, error: StoreError) -> FhirError:
    """Return the error for the client; other resources are named only as far as the caller may see them."""
    if isinstance(error, StillReferenced):
        return await _still_referenced(ctx, error)
    for kind, make in _TRANSLATIONS.items():
        if isinstance(error, kind):
            return make(error)
    return _fault(error)


async def _still_referenced(ctx: Context, error: StillReferenced) -> FhirError:
    """Name at most ten referrers that the caller may see.

    Spec: https://hl7.org/fhir/R4/http.html#delete
    """
    seen = await visible_keys(ctx, error.referrers)
    named = ", ".join(str(key) for key in seen[:_NAMED])
    by = f"by {named}" if named else "by other resources"
    more = " and others" if len(error.referrers) > len(seen[:_NAMED]) and named else ""
    return Conflict(f"{error.key} cannot be deleted: it is referred to {by}{more}", expression="http.url")


def _version_changed(error: VersionChanged) -> FhirError:
    state = f"is at version {error.current}" if error.current else "does not exist"
    return PreconditionFailed(f"{error.key} {state}", expression="http.if-match")


def _missing_targets(error: MissingTargets) -> FhirError:
    issues = [
        Issue(f"{error.key} refers to {target}, which does not exist", "not-found", expression=(error.key.type,))
        for target in error.targets
    ]
    return Conflict(f"{error.key} refers to {_list(error.targets)}, which does not exist", issues=issues)


def unavailable(error: StoreUnavailable) -> FhirError:
    """Say whether to send the request again as it is, and when. Spec: RFC 9110, section 10.2.3"""
    seconds = retry_after(error.after)
    said = _UNCERTAIN if error.stored == "unknown" else f"nothing was stored: send it again in {seconds} s"
    index = isinstance(error, IndexUnavailable)
    busy = Busy(f"{error}; send it again in {seconds} s" if index else f"the database does not answer; {said}")
    busy.headers["Retry-After"] = str(seconds)
    return busy


def _list(keys: Sequence[ResourceKey]) -> str:
    return ", ".join(str(key) for key in keys[:_NAMED])


def _fault(error: StoreError) -> FhirError:
    return FhirError("the store could not do this; nothing was changed")


_TRANSLATIONS: dict[type[StoreError], Callable[..., FhirError]] = {
    VersionChanged: _version_changed,
    MissingTargets: _missing_targets,
    ConditionChanged: lambda error: Busy("too many writers at once; try again"),
    RecordChanged: lambda error: Conflict("somebody else has just written the same record; try again"),
    SnapshotGone: lambda error: LinkExpired("this page link has expired; search again", expression="http.url"),
    WriteBusy: lambda error: Busy("too many writers wait; nothing was stored, try again"),
    StoreUnavailable: unavailable,
    SearchTooCostly: lambda error: TooCostly("the search takes too long; narrow it", expression="http.url"),
    StorageDamaged: lambda error: DamagedStore(
        "what is stored here is damaged, or under another key; nothing of it is given out. An alarm was raised: the "
        "log says what it is, and a backup may have it whole"
    ),
    StorageFull: lambda error: StoreFull("there is no space left for this write; nothing was stored"),
}
