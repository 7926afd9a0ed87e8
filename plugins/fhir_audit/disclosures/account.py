"""The account: what of the audit is a disclosure of one patient's data, and disclosures to one recipient together.

What went to one recipient for one purpose stands together, with how often and the first and last time, as 45 CFR
164.528(b)(3) has it.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from fhir_audit.breaches.seen import READS
from fhir_audit.disclosures.purposes import EXEMPT, purpose_of
from fhir_server.plugin_api import (
    AuditAgent,
    AuditEntry,
    AuditFacts,
    AuditQuery,
    PluginContext,
    TooCostly,
    audit_agent,
    audit_facts,
    decode,
)

MOST: Final = 200_000
"""Rows that one account looks at."""

_PAGE: Final = 1_000
_MOST_EVENTS: Final = 20
_DISCLOSING: Final = frozenset(("disclose", "transmit", "110106", "110104", "export"))
EXPORTS: Final = "$export"
"""The key of the rows of bulk exports."""

_REPORTED: Final = "reported"


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose account, of which time (milliseconds, until is exclusive), with what needs no account too, and how the
    purposes of users and apps are known."""

    patient: str
    since: int
    until: int
    everything: bool
    implied: Mapping[str, Sequence[str]]
    apps: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One row as the account has it.

    why: the reason that it needs no account, empty where it does. request: of a bulk export, id of the request.
    """

    seq: int
    time: int
    agent: AuditAgent
    purpose: str
    what: str
    why: str
    request: str = ""


@dataclass(slots=True)
class Line:
    """What went to one recipient for one purpose."""

    agent: AuditAgent
    purpose: str
    why: str
    first: int
    last: int
    count: int = 0
    addresses: Counter[str] = field(default_factory=Counter)
    what: Counter[str] = field(default_factory=Counter)
    seqs: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Account:
    """Lines in the order of their first disclosure; how many events needed no account, by reason; all events in it."""

    lines: list[Line] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    seqs: list[int] = field(default_factory=list)


async def account(ctx: PluginContext, asked: Asked) -> Account:
    """Return the account. Raises TooCostly: there are too many events in the time asked for."""
    found, lines = Account(), dict[tuple[str, str, str, str], Line]()
    requests = set[str]()
    async for entry in _rows(ctx, asked):
        one = disclosure_of(entry, asked)
        if one is None or (one.request and one.request in requests):
            continue  # an export is recorded as it was asked for, and as its job began
        requests.add(one.request)
        if one.why:
            found.left_out[one.why] += 1
            if not asked.everything:
                continue
        found.seqs.append(one.seq)
        agent = one.agent
        key = (agent.user or agent.subject, agent.client, one.purpose, one.why)
        line = lines.get(key)
        if line is None:
            line = lines[key] = Line(_anywhere(agent), one.purpose, one.why, one.time, one.time)
        _add(line, one)
    found.lines = list(lines.values())
    return found


def _add(line: Line, one: Disclosure) -> None:
    line.last, line.count = one.time, line.count + 1
    line.what[one.what] += 1
    if one.agent.address:
        line.addresses[one.agent.address] += 1
    if len(line.seqs) < _MOST_EVENTS:
        line.seqs.append(one.seq)


INSIDE: Final = frozenset(
    f"plugin:{name}"
    for name in ("dicomweb", "fhir_ai", "fhir_audit", "fhir_billing", "fhir_imaging_ai", "fhir_match", "fhir_views")
)
"""Parts of the server that compute with the record and give nothing of it to anybody by themselves."""


def _anywhere(agent: AuditAgent) -> AuditAgent:
    """Return an agent without where it was, which may differ from act to act."""
    return AuditAgent(agent.user, agent.subject, agent.client, "", "", agent.roles, agent.others)


async def _rows(ctx: PluginContext, asked: Asked) -> AsyncIterator[AuditEntry]:
    """Yield the rows that are about the patient, oldest first."""
    keys = frozenset((f"Patient/{asked.patient}", EXPORTS))
    query = AuditQuery((keys,), asked.since, asked.until, ascending=True, count=_PAGE, most=_PAGE)
    looked = 0
    while True:
        page = await ctx.core.store.audit.find(query)
        for entry in page.entries:
            yield entry
        looked += len(page.entries)
        if page.next is None:
            return
        if looked >= MOST:
            raise TooCostly(f"there are more than {MOST} events: ask for a shorter period", expression="http.start")
        query = replace(query, above=page.next)


def disclosure_of(entry: AuditEntry, asked: Asked) -> Disclosure | None:
    """Return a row as a disclosure of the patient's data; None where nobody got any."""
    facts, agent = audit_facts(entry), audit_agent(entry.agent)
    if facts.code == _REPORTED:
        return _reported(entry, agent, facts, asked)
    whole = facts.code == "operation" and facts.note == "export" and not facts.patients
    if facts.code not in READS or facts.status >= 400 or not (whole or asked.patient in facts.patients):
        return None
    user = bool(agent.user or agent.subject)
    if not user and agent.client in INSIDE:
        return None
    purpose = purpose_of(facts.purpose, agent.roles, asked.implied, user=user)
    why = "own" if _is_own(agent, asked.patient) else _exempt(purpose, agent, asked, user=user)
    return Disclosure(entry.seq, entry.time, agent, purpose, _what(facts), why, facts.request if whole else "")


def _exempt(purpose: str, agent: AuditAgent, asked: Asked, *, user: bool) -> str:
    if purpose in asked.exempt or (not purpose and not user and agent.client in asked.apps):
        return "operations"
    return EXEMPT.get(purpose, "")


def _is_own(agent: AuditAgent, patient: str) -> bool:
    """Tell whether the patient, or who represents them, got the data."""
    return agent.subject == f"Patient/{patient}" or agent.subject.startswith("RelatedPerson/")


def _what(facts: AuditFacts) -> str:
    """Return what was got, in words: the types, not the values that were searched for."""
    if facts.code == "operation":
        return f"${facts.note}" + (" (of many, this patient may be among them)" if facts.note == "export" else "")
    path = facts.query.partition("?")[0] if facts.query else ""
    type_ = facts.entity.partition("/")[0] or unquote(path).strip("/").rpartition("/")[2]
    return f"{type_ or 'whole record'} ({facts.code.partition('-')[0]})"


def _reported(entry: AuditEntry, agent: AuditAgent, facts: AuditFacts, asked: Asked) -> Disclosure | None:
    """Return what an app has reported as a disclosure: by type or subtype, of data that left elsewhere."""
    event: Any = decode(facts.document)
    codes = {str(coding.get("code")) for coding in (event.get("type", {}), *event.get("subtype", ()))}
    named = {str(each.get("what", {}).get("reference", "")).split("/_history")[0] for each in event.get("entity", ())}
    about = any(name == f"Patient/{asked.patient}" or name.endswith(f"/Patient/{asked.patient}") for name in named)
    if codes.isdisjoint(_DISCLOSING) or not about or event.get("outcome", "0") != "0":
        return None
    receiver = _receiver(event.get("agent", []))
    codings = [coding for purpose in _purposes(event) for coding in purpose.get("coding", ())]
    purpose = str(codings[0].get("code", "")) if codings else ""
    who = AuditAgent(subject=receiver, client=agent.client)
    texts = (str(each.get("name") or each.get("description") or "") for each in event.get("entity", ()))
    what = next(filter(None, texts), "") or "reported by an app"
    why = "own" if receiver == f"Patient/{asked.patient}" else _exempt(purpose, who, asked, user=True)
    return Disclosure(entry.seq, entry.time, who, purpose, what[:200], why)


def _purposes(event: Mapping[str, Any]) -> list[Any]:
    own = [purpose for agent in event.get("agent", ()) for purpose in agent.get("purposeOfUse", ())]
    return [*event.get("purposeOfEvent", ()), *own]


def _receiver(agents: Sequence[Mapping[str, Any]]) -> str:
    """Return who got the data: the agent who is a recipient, else who is not the requestor, else the first."""

    def rank(agent: Mapping[str, Any]) -> int:
        codes = {coding.get("code") for coding in agent.get("type", {}).get("coding", ())}
        return 0 if codes & {"IRCP", "110152"} else 1 if not agent.get("requestor") else 2

    for agent in sorted(agents, key=rank):
        who = agent.get("who", {})
        name = who.get("reference") or who.get("display") or who.get("identifier", {}).get("value") or agent.get("name")
        if name:
            return str(name)
    return ""
