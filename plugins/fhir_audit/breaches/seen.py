"""What rules see of one row of the audit, and what they make of it."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from fhir_server.plugin_api import AuditAgent, AuditEntry, AuditFacts, audit_agent, audit_facts

READS: Final = frozenset(
    ("read", "vread", "history-instance", "history-type", "history-system", "search-type", "search-system",
     "search-compartment", "operation")
)  # fmt: skip
TOUCHES: Final = READS | {"create", "update", "patch", "delete"}
_SIGN_IN: Final = "login"
_WATCHED: Final = TOUCHES | {_SIGN_IN, "break-glass", "alarm"}


@dataclass(slots=True)
class Seen:
    """One row.

    who: who acted: an account, who that is in the record, or an app of its own accord; empty for nobody.
    reads, touches: whether data of patients was read, or read or written, by somebody who is known.
    """

    seq: int
    time: int
    agent: AuditAgent
    facts: AuditFacts
    who: str
    reads: bool
    touches: bool

    @property
    def name(self) -> str:
        """Who acted, as people know them."""
        return self.agent.subject or self.who

    @property
    def failed_sign_in(self) -> bool:
        """Tell whether somebody could not sign in."""
        return self.facts.code == _SIGN_IN and self.facts.status >= 400


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found.

    rule: its name. who: the account, app or address it is about. about: what else tells this finding from others of
    the rule and the same user (a break-glass is told for each patient). patients: logical ids of those concerned.
    count: how many patients or events. said: in words, for the record alone. subject: who that is in the record.
    """

    rule: str
    who: str
    seq: int
    time: int
    said: str
    severity: str = "moderate"
    subject: str = ""
    about: str = ""
    patients: tuple[str, ...] = ()
    count: int = 1
    seqs: tuple[int, ...] = field(default=())


def seen_of(entry: AuditEntry) -> Seen | None:
    """Return what rules see of a row; None for rows that no rule is about."""
    facts = audit_facts(entry)
    code = facts.code
    if code not in _WATCHED:
        return None
    agent = audit_agent(entry.agent)
    who = agent.user or agent.subject or (f"app:{agent.client}" if agent.client else "")
    got = code in TOUCHES and facts.status < 400 and bool(facts.patients) and bool(who)
    return Seen(entry.seq, entry.time, agent, facts, who, got and code in READS, got)


def found(rule: str, seen: Seen, said: str, **more: Any) -> Finding:
    """Return a finding about who acted in a row; `more` are other fields of it."""
    made = Finding(rule, seen.who, seen.seq, seen.time, said, subject=seen.agent.subject, seqs=(seen.seq,))
    return replace(made, **more)
