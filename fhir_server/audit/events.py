"""What the audit keeps of one event: two short texts, without anything clinical.

Spec: https://hl7.org/fhir/R4/auditevent.html
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

import msgspec

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.audit import AuditEntry, AuditRow

Action = Literal["C", "R", "U", "D", "E"]

ACTIONS: dict[str, Action] = {
    "read": "R",
    "vread": "R",
    "history-instance": "R",
    "history-type": "R",
    "history-system": "R",
    "create": "C",
    "update": "U",
    "patch": "U",
    "delete": "D",
}
"""By code of the event; all else is executed. A search is, too: so say the patterns of IHE."""

REFUSED = "refused"
"""The code of requests without a good token."""

SIGN_IN, SIGN_OUT, TOKEN, REVOKED, SECURITY = "login", "logout", "token", "revoke", "security"
"""Codes of what the authorization server does; the last is for whatever changes users, apps and what they may do."""

BREAK_GLASS, BREAKING = "break-glass", "BTG"
"""The code of opening a record in an emergency, and the purpose of what is done under it (v3-ActReason)."""

ALARM = "alarm"
"""The code of what the server noticed of itself (`fhir_server.alerts`); the note begins with the kind and a colon."""

SENT = "sent"
"""The code of something about a patient that was sent out of the server, other than in answer to a request."""

PLUGIN = "plugin:"
"""What the client of a plugin's own work begins with; no app can be called so."""

EXPORT = "$export"
"""A further key of bulk exports, which name no patient although they may be about all."""

REPORTED = "reported"
"""The code of an AuditEvent that an app has sent."""


class Agent(msgspec.Struct, frozen=True, array_like=True):
    """Who acted, through which app and from where.

    user: id of the account. subject: who that is in the record, `Practitioner/1`. others: whom an app names as agents
    of an event that it reports, and the plugin that did something by itself within the request of somebody.
    """

    user: str = ""
    subject: str = ""
    client: str = ""
    grant: str = ""
    address: str = ""
    roles: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


class Event(msgspec.Struct, frozen=True, array_like=True):
    """What happened.

    code: the interaction, or one of the codes above. status: of HTTP. entity: `Type/id`, or the type alone.
    patients: logical ids of those whom the event is about. request: id of the HTTP request. query: what was asked for,
    relative to the endpoint. purpose: of use, as the client says. note: an operation's name, a reason. count: how many
    events this stands for, where they are summed up, or patients, where `patients` does not hold all.
    document: the AuditEvent that an app has sent, as JSON.
    """

    code: str
    status: int = 200
    entity: str = ""
    version: int = 0
    patients: tuple[str, ...] = ()
    request: str = ""
    query: str = ""
    purpose: str = ""
    note: str = ""
    count: int = 0
    document: bytes = b""

    @property
    def action(self) -> Action:
        """The code of AuditEvent.action."""
        return ACTIONS.get(self.code, "E")

    @property
    def outcome(self) -> str:
        """The code of AuditEvent.outcome: success, the client's fault, or the server's."""
        return "0" if self.status < 400 else "4" if self.status < 500 else "8"


_DAMAGED = Event(ALARM, 500, note="damaged-audit: this row cannot be read; run `fhir-server audit verify`")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

_event_encoder = msgspec.msgpack.Encoder()
_event_decoder = msgspec.msgpack.Decoder(Event)
_agent_decoder = msgspec.json.Decoder(Agent)


def row_of(time: int, agent: str, event: Event, more: Sequence[str] = ()) -> AuditRow:
    """Return the row of an event; `agent` is a text of `agent_text`, `more` are further keys."""
    keys = [f"Patient/{id_}" for id_ in event.patients]
    if "/" in event.entity and event.entity not in keys:
        keys.append(event.entity)
    if event.note == "export":
        keys.append(EXPORT)
    if more:
        keys += [key for key in more if key not in keys]
    return AuditRow(time, agent, _event_encoder.encode(event), tuple(keys))


def keys_of(entry: AuditEntry, named_by: Callable[[bytes], Sequence[str]]) -> tuple[str, ...]:
    """Return all keys that a row may have been given when it was made, from what it says.

    Args:
        named_by: what the AuditEvent that an app has sent, as JSON, refers to, each as `Type/id`.
    """
    event = event_of(entry)
    more = named_by(event.document) if event.document else ()
    return row_of(entry.time, entry.agent, event, (*own_keys(agent_of(entry.agent)), *more)).keys


@lru_cache(maxsize=4096)
def agent_text(agent: Agent) -> str:
    """Return an agent as rows have it."""
    return msgspec.json.encode(agent).decode()


@lru_cache(maxsize=4096)
def helped_by(text: str, plugin: str) -> str:
    """Return an agent, as rows have it, with the plugin that acts within the request; itself, if it is the plugin."""
    agent = agent_of(text)
    if agent.client == plugin or plugin in agent.others:
        return text
    return agent_text(msgspec.structs.replace(agent, others=(*agent.others, plugin)))


@lru_cache(maxsize=4096)
def agent_of(text: str) -> Agent:
    """Return the agent of a row; nobody where it was tampered with, which `verify` shows."""
    try:
        agent = _agent_decoder.decode(text)
    except msgspec.DecodeError:
        return Agent()
    if text.isascii() and "\\u" not in text:
        return agent  # JSON escapes what FHIR forbids
    return Agent(
        plain(agent.user), plain(agent.subject), plain(agent.client), plain(agent.grant), plain(agent.address),
        tuple(map(plain, agent.roles)), agent.others,
    )  # fmt: skip


def event_of(entry: AuditEntry) -> Event:
    """Return the event of a row; one that was tampered with is an alarm."""
    try:
        event = _event_decoder.decode(entry.body)
    except msgspec.DecodeError:
        return _DAMAGED
    if event.entity.isprintable() and event.note.isprintable() and event.purpose.isprintable():
        return event
    return msgspec.structs.replace(
        event, entity=plain(event.entity), note=plain(event.note), purpose=plain(event.purpose)
    )


def plain(text: str) -> str:
    """Return a text that a client has sent without the characters that FHIR forbids.

    Spec: https://hl7.org/fhir/R4/datatypes.html#string
    """
    return text if text.isprintable() else _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


def own_keys(agent: Agent) -> tuple[str, ...]:
    """Return the keys that rows have for who acts: a patient finds what they did themselves."""
    return (agent.subject,) if agent.subject.startswith("Patient/") else ()


def named(key: ResourceKey | None, type_: str | None) -> str:
    """Return the entity of an event."""
    return str(key) if key is not None else type_ or ""
