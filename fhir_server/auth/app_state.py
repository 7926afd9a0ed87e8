"""State of apps: small Basic resources that an app keeps here for a user, a patient, or all who use it.

They are records of their own, apart from the resources of the record: no search of Basic finds them, and no other app.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fhir_server.auth.clients import Client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant
from fhir_server.auth.records import APP_STATE
from fhir_server.auth.scopes import Scope, Scopes
from fhir_server.auth.secrets import new_handle
from fhir_server.errors import BadRequest, Conflict, InvalidResource, PreconditionFailed, TooLarge
from fhir_server.model.json import JsonError, decode, encode
from fhir_server.model.keys import is_id
from fhir_server.model.version import instant
from fhir_server.storage.base import Record, RecordChange, RecordChanged, Where

Json = dict[str, Any]
SUBJECTS: Final = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person")
_PARTS: Final = frozenset(("resourceType", "id", "meta", "language", "extension", "code", "subject"))
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class State:
    """One state as an app sends it: the JSON, `system|code`, and its subject as `Type/id`; empty for global state."""

    resource: Json
    code: str
    subject: str = ""


def read_state(desk: Desk, raw: bytes, id_: str | None = None) -> State:
    """Read what an app sends to create a state, or to change the one of an id.

    Raises:
        TooLarge: over the limit. BadRequest, InvalidResource: it is none, or has what a state cannot have.
    """
    most = desk.settings.app_state_bytes
    if len(raw) > most:
        raise TooLarge(f"a state takes at most {most} bytes", expression="Basic")
    try:
        resource = decode(raw)
    except JsonError as error:
        raise BadRequest(str(error), expression="http.body") from None
    if not isinstance(resource, dict) or resource.get("resourceType") != "Basic":
        raise BadRequest("a state is a Basic resource", expression="Basic")
    unknown = sorted(resource.keys() - _PARTS)
    if unknown:
        raise InvalidResource(f"a state has code, subject and extension; no {unknown[0][:60]}", expression="Basic")
    _check_identity(resource, id_)
    _check_extensions(resource.get("extension", []))
    return State(resource, _code(resource.get("code")), _subject(desk, resource.get("subject", _ABSENT)))


def _check_identity(resource: Json, id_: str | None) -> None:
    meta = resource.get("meta", {})
    if not isinstance(meta, dict):
        raise InvalidResource("meta is an object", expression="Basic.meta")
    if id_ is not None and resource.get("id") != id_:
        raise BadRequest(f"the URL names Basic/{id_}, but the body has another id or none", expression="Basic.id")
    if id_ is None and "id" in resource:
        raise BadRequest("the server gives the id of a new state", expression="Basic.id")
    if id_ is None and "versionId" in meta:
        raise BadRequest("the server gives the version of a new state", expression="Basic.meta.versionId")


def _check_extensions(extensions: object) -> None:
    if not isinstance(extensions, list):
        raise InvalidResource("extension is an array", expression="Basic.extension")
    for number, each in enumerate(extensions):
        texts = [isinstance(each, dict) and isinstance(each.get(name), str) for name in ("url", "valueString")]
        if not all(texts) or each.keys() - {"id", "url", "valueString"}:
            place = f"Basic.extension[{number}]"
            raise InvalidResource("an extension of a state has a url and a valueString", expression=place)


def _code(code: Any) -> str:
    codings = code.get("coding") if isinstance(code, dict) else None
    if not isinstance(codings, list) or len(codings) != 1 or not isinstance(codings[0], dict):
        raise InvalidResource("a state has exactly one coding", expression="Basic.code.coding")
    system, value = codings[0].get("system"), codings[0].get("code")
    if not isinstance(system, str) or not isinstance(value, str) or not system or not value or "|" in system + value:
        raise InvalidResource("the coding of a state has a system and a code", expression="Basic.code.coding")
    return f"{system}|{value}"


def _subject(desk: Desk, subject: Any) -> str:
    if subject is _ABSENT:
        return ""
    reference = subject.get("reference") if isinstance(subject, dict) else None
    return subject_of(desk, reference) if isinstance(reference, str) else _refuse_subject()


def subject_of(desk: Desk, reference: str) -> str:
    """Return `Type/id` of an absolute reference to a resource of this server. Raises InvalidResource."""
    base, _, rest = reference.partition(f"{desk.base}/")
    type_, _, id_ = rest.partition("/")
    return rest if not base and type_ in SUBJECTS and is_id(id_) else _refuse_subject()


def _refuse_subject() -> str:
    raise InvalidResource(
        f"the subject of a state is named by its whole URL on this server: {', '.join(SUBJECTS)}",
        expression="Basic.subject.reference",
    )


def may_use(client: Client, code: str) -> bool:
    """Tell whether an app is associated with a state code: by its administrators, or, where they named none, because
    the system lies at the origin of one of its redirect URIs.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html#security-and-access-controls
    """
    system, _, _ = code.partition("|")
    if client.state_codes:
        return code in client.state_codes or f"{system}|" in client.state_codes
    return bool(_origin(system)) and _origin(system) in {_origin(uri) for uri in client.redirect_uris}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme == "https" and parts.netloc else ""


def granting(scopes: Scopes, letter: str, code: str) -> Sequence[Scope]:
    """Return the scopes that allow something with the states of a code."""
    return [scope for scope in scopes.resources if scope.allows(letter, "Basic") and _is_about(scope, code)]


def _is_about(scope: Scope, code: str) -> bool:
    """A scope may be narrowed by `code` alone; narrowed by anything else it grants nothing here."""
    asked = parse_qsl(scope.query, keep_blank_values=True)
    return all(name == "code" and code in value.split(",") for name, value in asked)


def may_touch(grant: Grant, scopes: Sequence[Scope], subject: str, *, modify: bool) -> bool | None:
    """Tell whether the holder of a grant may touch the states of a subject; None: if they may see the subject.

    Global state is changed by administrators and services alone.
    """
    levels = {scope.level for scope in scopes}
    wide = bool(levels & {"user", "system"})
    if not subject:
        return wide and (not modify or "admin" in grant.roles or "system" in levels)
    type_, _, id_ = subject.partition("/")
    if type_ == "Patient":
        if "patient" in levels and grant.patient == id_:
            return True
        return None if wide and (grant.represented is None or id_ in grant.represented) else False
    own = "user" in levels and subject == grant.subject
    return own or (None if "system" in levels or ("user" in levels and type_ != "Practitioner") else False)


async def create_state(desk: Desk, client: Client, state: State) -> Record:
    """Store a new state. Raises Conflict: there are as many of the code and subject as may be."""
    if len(await find_states(desk, state.code, state.subject)) >= desk.settings.app_state_most:
        raise Conflict(f"there are {desk.settings.app_state_most} states of {state.code} already", expression="Basic")
    value = {"client": client.id, "code": state.code, "subject": state.subject, **_written(desk, state, 1)}
    id_ = new_handle()[:32].replace("_", "-")
    await desk.put(RecordChange(APP_STATE.name, id_, value, expected=0))
    return await _stored(desk, id_)


async def update_state(desk: Desk, record: Record, state: State) -> Record:
    """Replace a state. Raises PreconditionFailed: it was changed meanwhile, or is about something else."""
    before = decode(str(record.value["body"]).encode())
    if before["code"] != state.resource["code"] or record.value["subject"] != state.subject:
        raise PreconditionFailed("the code and the subject of a state stay as they are", expression="Basic.code")
    changed = {**record.value, **_written(desk, state, int(str(record.value["version"])) + 1)}
    await _put(desk, RecordChange(APP_STATE.name, record.key, changed, expected=record.revision))
    return await _stored(desk, record.key)


async def delete_state(desk: Desk, record: Record) -> None:
    """Delete a state. Raises PreconditionFailed: it was changed meanwhile."""
    await _put(desk, RecordChange(APP_STATE.name, record.key, None, expected=record.revision))


async def _put(desk: Desk, change: RecordChange) -> None:
    try:
        await desk.put(change)
    except RecordChanged:
        raise PreconditionFailed("the state was changed meanwhile", expression="http.if-match") from None


def _written(desk: Desk, state: State, version: int) -> Mapping[str, Any]:
    type_, _, id_ = state.subject.partition("/")
    kept = {name: value for name, value in state.resource.items() if name not in ("id", "subject")}
    kept["meta"] = {k: v for k, v in state.resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    return {
        "patient": id_ if type_ == "Patient" else "", "version": version, "updated": desk.now(),
        "body": encode(kept).decode(),
    }  # fmt: skip


async def matching(desk: Desk, id_: str, tag: str | None) -> Record:
    """Return a state at the version of an entity tag. Raises PreconditionFailed: there is none, or none any more."""
    record = await desk.get(APP_STATE.name, id_) if is_id(id_) else None
    if record is None or tag not in (etag(record), etag(record).removeprefix("W/")):
        raise PreconditionFailed(f"Basic/{id_[:64]} is not at this version", expression="http.if-match")
    return record


async def find_states(desk: Desk, code: str, subject: str) -> list[Record]:
    """Return the states of one code and one subject; of no subject, where it is empty."""
    where = (Where("code", "=", code), Where("subject", "=", subject))
    return list(await desk.store.records.find(APP_STATE.name, where, limit=1_000))


async def _stored(desk: Desk, id_: str) -> Record:
    record = await desk.get(APP_STATE.name, id_)
    if record is None:
        raise PreconditionFailed(f"Basic/{id_} was deleted meanwhile", expression="http.if-match")
    return record


def etag(record: Record) -> str:
    """Return the entity tag of a state."""
    return f'W/"{record.value["version"]}"'


def shown(desk: Desk, record: Record) -> Json:
    """Return a state as its app gets it."""
    value: Any = record.value
    body: Json = decode(str(value["body"]).encode())
    meta = {"versionId": str(value["version"]), "lastUpdated": instant(value["updated"]), **body.pop("meta", {})}
    body.pop("resourceType")
    subject = {"subject": {"reference": f"{desk.base}/{value['subject']}"}} if value["subject"] else {}
    return {"resourceType": "Basic", "id": record.key, "meta": meta, **body, **subject}
