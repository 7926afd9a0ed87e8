"""What Consents and security labels hide from one caller, as predicates that stand inside every query.

Explicit denials go before explicit permissions, these before what the bases say; without a Consent the setting decides.
Everything that is linked to a patient who opted out is hidden, and so is what belongs to it, or is its content.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from fhir_server.auth.consent import Coding, Directive, Provision
from fhir_server.auth.links import CONTENTS, any_of, of_patients, reaches_patients
from fhir_server.auth.said import Group, Said, within
from fhir_server.definitions import Definitions
from fhir_server.search.parameters_links import CONTENT, LINK, VIA, pointing_types
from fhir_server.search.query import (
    EVERYTHING,
    NOTHING,
    Among,
    And,
    Chain,
    Has,
    Ids,
    Missing,
    Node,
    Not,
    Reference,
    ReferenceValue,
    Token,
    TokenValue,
)

Narrow = Callable[[str, str], Node]

OWN_LABELS: Mapping[str, tuple[str, ...]] = {"BREACH": ("DetectedIssue", "Communication", "Flag")}
"""Labels that only the server gives, with the types that carry them: alerts of breaches, which hold no content."""

_CODED = ("code", "type", "vaccine-code", "class", "service-type", "reason-code")
_DATES = (
    "date", "period", "authoredon", "effective-time", "onset-date", "performed", "whenprepared", "whenhandedover",
    "sent", "created", "authored-on", "authored", "started", "issued", "recorded", "recorded-date", "occurrence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Who:
    """A caller as Consents know them: `Practitioner/1` and what they act for, and the purposes of use."""

    actors: frozenset[str]
    purposes: frozenset[str]
    hidden_labels: frozenset[str] = frozenset()


class Bounds:
    """The limits of one caller at one time.

    Args:
        said: what the patients said, sorted for all callers.
        narrow: reads `name=value` of a search into a predicate; NOTHING for a parameter that the type has not.
        permits: what holds for patients without a Consent.
    """

    def __init__(self, who: Who, said: Said, facts: Definitions, narrow: Narrow, permits: bool, now: int) -> None:
        self._who, self._said, self._facts, self._narrow = who, said, facts, narrow
        self._permits, self._now = permits, now
        self._nodes: dict[str, Node] = {}
        self._parts: dict[str, Node] = {}

    @property
    def empty(self) -> bool:
        """Tell whether nothing is hidden."""
        return self._permits and not (self._said.out.ids or self._said.partly or self._who.hidden_labels)

    def of(self, type_: str) -> Node:
        """Return what must hold of a resource of the type for the caller to see it."""
        node = self._nodes.get(type_)
        if node is None:
            node = self._nodes[type_] = self._made(type_)
        return node

    def refused(self, patient: str, type_: str) -> Node:
        """Return what is hidden of the resources of one patient."""
        if patient in self._said.out.ids:
            return EVERYTHING
        found = self._said.of(patient)
        return self._refused(found, type_) if found else NOTHING if self._permits else EVERYTHING

    def conditions(self, provision: Provision, type_: str) -> Node:
        """Return what must hold of a resource for a provision to be about it and this caller."""
        if not self._applies(provision) or (provision.types and type_ not in provision.types):
            return NOTHING
        parts: list[Node] = []
        if provision.codes:
            parts.append(any_of([self._asked(type_, code, provision.codes) for code in _CODED]))
        if provision.labels:
            parts.append(Token("_security", tuple(TokenValue(s or None, code) for s, code in provision.labels)))
        if any(provision.care):
            parts.append(self._dated(type_, provision.care))
        if provision.data:
            parts.append(self._named(type_, provision.data))
        return EVERYTHING if not parts else parts[0] if len(parts) == 1 else And(tuple(parts))

    def _made(self, type_: str) -> Node:
        hidden = [self._hidden(type_), *self._through(type_)]
        nodes: list[Node] = [Not(node) for node in dict.fromkeys(hidden) if node != NOTHING]
        if not self._permits and reaches_patients(type_, self._facts):
            nodes.insert(0, self._known(type_))
        return EVERYTHING if not nodes else nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def _hidden(self, type_: str) -> Node:
        """What is hidden for its own sake."""
        parts = [self._partial(type_)]
        if self._said.out.ids:
            parts.append(of_patients(type_, self._said.out, self._facts))
        parts.append(self._labelled(type_, self._who.hidden_labels))
        return any_of(parts)

    def _labelled(self, type_: str, labels: Collection[str]) -> Node:
        """What carries one of these labels; those of the server's own stand on few types, and cost the rest nothing."""
        codes = [code for code in sorted(labels) if type_ in OWN_LABELS.get(code, (type_,))]
        return Token("_security", tuple(TokenValue(None, code) for code in codes)) if codes else NOTHING

    def _partial(self, type_: str) -> Node:
        """What is hidden of those whose Consents have exceptions."""
        if type_ not in self._parts:
            self._parts[type_] = any_of([self._of_group(group, type_) for group in self._said.partly])
        return self._parts[type_]

    def _of_group(self, group: Group, type_: str) -> Node:
        return _both(of_patients(type_, group.patients, self._facts), self._refused(group.directives, type_))

    def _through(self, type_: str) -> Iterable[Node]:
        """Yield what is hidden for the sake of what it belongs to, or what it is content of."""
        via = (
            {link.via for link in self._facts.patient_links.get(type_, ()) if link.via} if self._said.partly else set()
        )
        for target in sorted(self._facts.resource_types if "Resource" in via else via):
            if (hidden := self._partial(target)) != NOTHING:
                yield Chain(VIA, target, hidden)
        if type_ == CONTENTS:
            for source in pointing_types(self._facts):
                if (hidden := self._hidden(source)) != NOTHING and hidden != self._labelled(source, OWN_LABELS):
                    yield Has(source, CONTENT, hidden)

    def _known(self, type_: str) -> Node:
        """Where silence denies: what is nobody's, or of patients who said something."""
        nobodys: list[Node] = [Missing(LINK, True), Missing(VIA, True)]
        if not self._said.known.ids:
            return NOTHING if type_ == "Patient" else And(tuple(nobodys))
        known = of_patients(type_, self._said.known, self._facts)
        if type_ == "Patient":
            return Among("", "Patient", self._said.known)
        silent = [Not(node) for node in self._silent(type_)]
        return And((any_of([And(tuple(nobodys)), known]), *silent))

    def _silent(self, type_: str) -> Iterable[Node]:
        """Yield what is linked to a patient who said nothing, though perhaps to others too."""
        links = self._facts.patient_links.get(type_, ())
        silent = Not(Among("", "Patient", self._said.known))
        if any(link.via is None for link in links):
            yield Chain(LINK, "Patient", silent)
        via = {link.via for link in links if link.via}
        if not via:
            return
        yield Chain(VIA, "Patient", silent)
        for target in sorted(self._facts.resource_types if "Resource" in via else via):
            if any(link.via is None for link in self._facts.patient_links.get(target, ())):
                yield Chain(VIA, target, Chain(LINK, "Patient", silent))

    def _refused(self, found: Sequence[Directive], type_: str) -> Node:
        """What is hidden of the patients who said this, with exceptions."""
        denied = any_of([self._exceptions(d.exceptions, type_, permit=False) for d in found])
        if all(d.permit for d in found):
            return denied
        permitted = any_of([self._exceptions(d.exceptions, type_, permit=True) for d in found])
        return EVERYTHING if denied == EVERYTHING else any_of([denied, _opposite(permitted)])

    def _exceptions(self, provisions: Iterable[Provision], type_: str, *, permit: bool) -> Node:
        """Return what provisions permit, or deny, in so many words."""
        parts = []
        for provision in provisions:
            about = self.conditions(provision, type_)
            if about == NOTHING:
                continue
            if provision.permit == permit:
                said = _opposite(self._exceptions(provision.inner, type_, permit=not permit))
            else:
                said = self._exceptions(provision.inner, type_, permit=permit)
            parts.append(_both(about, said))
        return EVERYTHING if EVERYTHING in parts else any_of(parts)

    def _applies(self, provision: Provision) -> bool:
        who = self._who
        return (
            provision.reads
            and within(provision.period, self._now)
            and (not provision.actors or not provision.actors.isdisjoint(who.actors))
            and (not provision.purposes or not provision.purposes.isdisjoint(who.purposes))
        )

    def _asked(self, type_: str, code: str, values: Iterable[Coding]) -> Node:
        texts = [f"{_escaped(system)}|{_escaped(value)}" if system else _escaped(value) for system, value in values]
        return self._narrow(type_, f"{code}={quote(','.join(texts))}")

    def _dated(self, type_: str, care: tuple[str, str]) -> Node:
        start, end = care
        for code in _DATES:
            bounds = [(f"ge{start}" if start else ""), (f"le{end}" if end else "")]
            query = "&".join(f"{code}={quote(bound)}" for bound in bounds if bound)
            if (node := self._narrow(type_, query)) != NOTHING:
                return node
        return NOTHING

    def _named(self, type_: str, data: Iterable[str]) -> Node:
        pairs = [(kind, id_) for kind, _, id_ in (each.partition("/") for each in sorted(data))]
        ids = tuple(id_ for kind, id_ in pairs if kind == type_)
        nodes: list[Node] = [Ids(ids)] if ids else []
        if any(link.via for link in self._facts.patient_links.get(type_, ())):
            nodes.append(Reference(VIA, tuple(ReferenceValue(kind, id_) for kind, id_ in pairs)))
        return any_of(nodes)


def _both(one: Node, other: Node) -> Node:
    if NOTHING in (one, other):
        return NOTHING
    return other if one == EVERYTHING else one if other == EVERYTHING else And((one, other))


def _opposite(node: Node) -> Node:
    if node == NOTHING:
        return EVERYTHING
    return NOTHING if node == EVERYTHING else Not(node)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")


def boundaries(directives: Iterable[Directive]) -> list[int]:
    """Return the instants at which something begins or ends to hold."""
    found: set[int | None] = set()
    for directive in directives:
        found.update(directive.period)
        _gather(directive.exceptions, found)
    return sorted(instant for instant in found if instant is not None)


def _gather(provisions: Iterable[Provision], found: set[int | None]) -> None:
    for provision in provisions:
        found.update(provision.period)
        _gather(provision.inner, found)


def hidden_labels(table: Mapping[str, Collection[str]], roles: Collection[str]) -> frozenset[str]:
    """Return the labels that none of the roles may see behind."""
    return frozenset(code for code, may in table.items() if not set(may) & set(roles))
