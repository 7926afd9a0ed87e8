"""A row of the audit as AuditEvent, after the patterns of IHE BALP.

Spec: https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP/
"""

import re
from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.audit import codes
from fhir_server.audit.events import ALARM, PLUGIN, REPORTED, Agent, Event, agent_of, event_of
from fhir_server.model.json import encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version, instant
from fhir_server.storage.audit import AuditEntry

TYPE: Final = "AuditEvent"
_META: Final = b'"meta":{'
_PURPOSE: Final = re.compile(r"[A-Z]{2,20}", re.ASCII)
_MASKED: Final = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED"}]


@dataclass(frozen=True, slots=True)
class View:
    """How events are shown.

    base: URL of the endpoint. only: the patients whose part of an event may be seen; None: all of it.
    """

    base: str
    only: Collection[str] | None = None


def version_of(entry: AuditEntry, view: View) -> Version:
    """Return the AuditEvent of a row; it has one version only."""
    event = event_of(entry)
    if event.code == REPORTED:
        data = b'{"resourceType":"AuditEvent","id":"%d",%b' % (entry.seq, event.document[_meta_at(event.document) :])
    else:
        data = encode(resource(entry, event, view))
    body = Body(data, _meta_at(data) + len(_META))
    return Version(entry.seq, ResourceKey(TYPE, str(entry.seq)), 1, 0, entry.time, "POST", body)


def shown(entry: AuditEntry, base: str, only: Collection[str] | None = None) -> Version:
    """Return the AuditEvent of a row, without other patients where `only` names some."""
    return version_of(entry, View(base, only))


def _meta_at(data: bytes) -> int:
    return data.index(_META)


def resource(entry: AuditEntry, event: Event, view: View) -> dict[str, Any]:
    """Return the AuditEvent of an event that the server itself has recorded."""
    patients = event.patients if view.only is None else [each for each in event.patients if each in view.only]
    type_, subtype = codes.kind(event.code)
    found: dict[str, Any] = {
        "resourceType": TYPE,
        "id": str(entry.seq),
        "meta": _meta(event, len(patients), view),
        "type": type_,
        "subtype": [subtype],
        "action": event.action,
        "recorded": instant(entry.time),
        "outcome": event.outcome,
    }
    said = _said(event)
    if said:
        found["outcomeDesc"] = said
    found["agent"] = _agents(agent_of(entry.agent), event, view.base)
    found["source"] = {"observer": {"display": view.base or "FHIR server"}, "type": [codes.SERVER]}
    entities = [*_data(event), *_query(event, view), *map(_patient, patients), *_request(event)]
    if entities:
        found["entity"] = entities
    return found


def _meta(event: Event, patients: int, view: View) -> dict[str, Any]:
    profile = codes.profile(event.code, patients) if event.outcome == "0" else ""
    meta: dict[str, Any] = {"profile": [profile]} if profile and not (view.only is not None and event.query) else {}
    return meta if view.only is None else {**meta, "security": _MASKED}


def _said(event: Event) -> str:
    parts = [] if event.status < 400 or event.code == ALARM else [f"HTTP {event.status}"]
    if event.note and event.code != "operation":
        parts.append(event.note)
    if event.count and event.status >= 400:
        parts += [f"{event.count} times"] if event.count > 1 else []
    elif event.count:
        parts.append(f"{event.count} patients, of whom {len(event.patients)} are named")
    return "; ".join(parts)


def _agents(agent: Agent, event: Event, base: str) -> list[dict[str, Any]]:
    serving = codes.from_server(event.code)
    client_role, server_role = (codes.DESTINATION, codes.SOURCE) if serving else (codes.SOURCE, codes.DESTINATION)
    is_person = bool(agent.user or agent.subject)
    client: dict[str, Any] = {
        "type": {"coding": [client_role]},
        "who": {"identifier": {"value": agent.client}} if agent.client else {"display": "no app"},
        "requestor": not is_person,
        "network": {"address": agent.address, "type": "2"} if agent.address else {"address": "local", "type": "1"},
    }
    server = {
        "type": {"coding": [server_role]},
        "who": {"display": base or "FHIR server"},
        "requestor": False,
        "network": {"address": base, "type": "5"} if base else {"address": "local", "type": "1"},
    }
    plugins = [_plugin(name) for name in agent.others if name.startswith(PLUGIN)]
    if not is_person:
        _explain(client, agent, event)
        return [client, server, *plugins]
    return [client, server, _user(agent, event), *plugins]


def _plugin(name: str) -> dict[str, Any]:
    """Return the plugin that acted by itself within the request of somebody."""
    return {"type": {"coding": [codes.APPLICATION]}, "who": {"identifier": {"value": name}}, "requestor": False}


def _user(agent: Agent, event: Event) -> dict[str, Any]:
    who: dict[str, Any] = {"reference": agent.subject} if agent.subject else {}
    if agent.user and agent.user != agent.subject:
        who["identifier"] = {"value": agent.user}
    role = codes.AUTHOR if codes.writes(event.code) else codes.RECIPIENT
    user = {"type": {"coding": [role]}, "who": who, "requestor": True}
    _explain(user, agent, event)
    return user


def _explain(user: dict[str, Any], agent: Agent, event: Event) -> None:
    """Say under what roles, for what purpose and by which grant somebody acts."""
    if agent.roles:
        user["role"] = [{"text": role} for role in agent.roles]
    if agent.grant:
        user["policy"] = [f"urn:fhir-server:grant:{agent.grant}"]
    if event.purpose:
        coded = _PURPOSE.fullmatch(event.purpose)
        concept = {"coding": [{"system": codes.PURPOSES, "code": event.purpose}]} if coded else {"text": event.purpose}
        user["purposeOfUse"] = [concept]


def _data(event: Event) -> list[dict[str, Any]]:
    if "/" not in event.entity:
        return []
    version = f"/_history/{event.version}" if event.version else ""
    return [{"what": {"reference": event.entity + version}, "type": codes.SYSTEM_OBJECT, "role": codes.RESOURCE}]


def _query(event: Event, view: View) -> list[dict[str, Any]]:
    """Return what was asked for; whoever sees but a part of the event does not see it, for it may name others."""
    if not event.query or view.only is not None:
        return []
    url = f"{view.base}/{event.query}" if view.base else event.query
    return [{"type": codes.SYSTEM_OBJECT, "role": codes.QUERY, "query": b64encode(url.encode()).decode()}]


def _patient(id_: str) -> dict[str, Any]:
    return {"what": {"reference": f"Patient/{id_}"}, "type": codes.PERSON, "role": codes.PATIENT}


def _request(event: Event) -> list[dict[str, Any]]:
    return [{"what": {"identifier": {"value": event.request}}, "type": codes.REQUEST_ID}] if event.request else []
