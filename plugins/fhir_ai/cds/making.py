"""Making cards of rows that fire, each with its source, what it rests on, suggestions and reasons to override."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from fhir_ai.cds.known import Groups, Resource, grouped, groups_of, named, taken
from fhir_ai.cds.table import CardRow, Cards, DueRow, Hook, Indicator, Source, cards
from fhir_ai.findings.diagnose import flags_of
from fhir_ai.findings.diagnose_output import codes
from fhir_ai.findings.gathering import Facts
from fhir_ai.findings.judging import judge
from fhir_ai.findings.table import measures, parts, rules
from fhir_ai.findings.weighing import Candidate, ranked
from fhir_ai.inputs.diagnoses import codings, stands
from fhir_ai.inputs.tables import ICD10, LOINC, PLACES, SNOMED
from fhir_ai.operations.making import HOME, concept

_DAY: Final = 86_400_000
_ORDER: Final[Mapping[Indicator, int]] = {"critical": 0, "warning": 1, "info": 2}
REASONS: Final[Mapping[str, str]] = {
    "benefit-outweighs-risk": "Benefit outweighs the risk",
    "monitored": "It is known and monitored",
    "already-done": "It is done or ordered already",
    "wrong-data": "The record is wrong or out of date",
    "not-relevant": "Not relevant for this patient",
    "patient-declined": "The patient declined",
}
REASON: Final = f"{HOME}/CodeSystem/cds-override-reason"
SUPPORT: Final = "Support for a clinician, who decides."


@dataclass(frozen=True, slots=True)
class Made:
    """A card, by which row, and what it rests on."""

    name: str
    card: dict[str, Any]
    references: tuple[str, ...] = field(default_factory=tuple)

    @property
    def order(self) -> int:
        """Its place: critical first."""
        return _ORDER[self.card["indicator"]]


def fired(hook: Hook, facts: Facts, orders: Sequence[Resource] = ()) -> list[Made]:
    """Return a card for each row that fires, once for each order that it is about."""
    table, active = cards(), taken(facts)
    ordered = [(each, groups_of(each)) for each in orders]
    found: list[Made] = []
    for row in table.of(hook):
        if not row.orders:
            found += _fire(row, facts, active, None)
            continue
        for order, groups in ordered:
            others = grouped((one for one, _ in ordered if one is not order), active)
            if row.orders in groups and row.not_orders not in groups:
                found += _fire(row, facts, others, order)
    return found


def due(facts: Facts) -> list[Made]:
    """Return one card for all tests that are due, with an order for each to accept."""
    late: dict[str, tuple[DueRow, str]] = {}
    if "Observation" in facts.record.hidden:
        return []
    for row in cards().due:
        newest = next(iter(facts.finder.series(measures()[row.measure])), None)
        days = None if newest is None else (facts.record.now - newest.at) / _DAY
        if row.measure not in late and judge(row.if_, facts).holds and (days is None or days > row.days):
            late[row.measure] = (row, "never recorded" if days is None else f"the newest is {days:.0f} days old")
    if not late:
        return []
    lines = [f"- {row.title}: {said}; every {row.days} days ({_link(cards().sources[row.source])})"
             for row, said in late.values()]  # fmt: skip
    orders = [_suggestion(f"Order: {row.title}", [_order(facts, row.title, row.measure)]) for row, _ in late.values()]
    titles = ", ".join(dict.fromkeys(row.title for row, _ in late.values()))
    body = _card(
        "info", f"Tests are due: {titles}", "\n".join(lines), cards().sources[next(iter(late.values()))[0].source]
    )
    return [Made("tests-due", {**body, "suggestions": orders, "selectionBehavior": "any"})]


def flagged(facts: Facts) -> list[Made]:
    """Return one card for the red flags of now; nothing else on the screen lowers it."""
    flags = flags_of(facts)
    if not flags:
        return []
    lines = [f"- {each.because} (acuity {each.acuity}; {each.source})" for each in flags]
    names = ", ".join(each.name for each in flags)
    body = _card("critical", f"Red flag: {names}", "\n".join(lines), cards().sources["red-flags"])
    return [Made("red-flags", body)]


def unlisted(facts: Facts) -> list[Made]:
    """Return a card for each condition whose published criteria are met and that no Condition of the record is of."""
    found: list[Made] = []
    if "Condition" in facts.record.hidden:
        return found
    for each in ranked(rules().conditions, facts):
        if each.support == "criteria-met" and not _listed(each, facts):
            met = next((row, said) for row, said in each.criteria if said.holds and row.kind == "definition")
            source = Source(label=rules().sources[met[0].source].split(". http")[0][:200], url=_url(met[0].source))
            body = _card(
                "warning", f"Criteria are met, not on the problem list: {each.condition.title}",
                f"{met[0].says}. Found: {met[1].said}.", source,
            )  # fmt: skip
            add = _suggestion("Add to the problem list, unconfirmed", [_condition(facts, each)])
            made = {**body, "suggestions": [add], "selectionBehavior": "at-most-one"}
            found.append(Made(f"criteria-{each.condition.name}", made, met[1].references))
    return found


def plain(name: str, indicator: Indicator, said: tuple[str, str], source: str, more: Mapping[str, Any]) -> Made:
    """Return a card that is of no row: its summary and detail, and what else it has."""
    return Made(name, {**_card(indicator, *said, cards().sources[source]), **more})


def follow_up(facts: Facts, days: int) -> dict[str, Any]:
    """Return the suggestion of a visit within some days."""
    by = datetime.fromtimestamp((facts.record.now + days * _DAY) / 1000, UTC).strftime("%Y-%m-%d")
    visit = _request(facts, concept("Follow-up visit", (SNOMED, "390906007"))) | {"occurrenceDateTime": by}
    action = {"type": "create", "description": f"Follow-up visit by {by}", "resource": visit}
    return _suggestion(f"Ask for a follow-up visit within {days} days", [action])


def in_order(made: Iterable[Made], most: int) -> list[Made]:
    """Return cards with the critical first; those beyond the limit are left out unless they are critical."""
    found = sorted(made, key=lambda each: each.order)
    critical = sum(each.order == 0 for each in found)
    return found[: max(most, critical)]


def _fire(row: CardRow, facts: Facts, active: Groups, order: Resource | None) -> list[Made]:
    needs = [each for each in (row.with_, row.and_with) if each]
    if row.without and "MedicationRequest" in facts.record.hidden:
        return []
    if not set(needs) <= set(active) or (row.without and row.without in active):
        return []
    judged = None if row.if_ is None else judge(row.if_, facts)
    if judged is not None and judged.holds is not True:
        return []
    said = f"Found: {_dated(row, facts, judged.said)}." if judged else ""
    about = f"Order: {named(order)}." if order is not None else ""
    besides = ", ".join(dict.fromkeys(name for group in needs for name in active[group]))
    also = f"Together with: {besides}." if besides else ""
    detail = "\n\n".join(each for each in (row.detail, said, about, also, SUPPORT) if each)
    body = _card(row.indicator, row.summary, detail, cards().sources[row.source])
    suggestions = _suggestions(row, facts, order)
    if suggestions:
        body |= {"suggestions": suggestions, "selectionBehavior": "at-most-one"}
    return [Made(row.name, body, judged.references if judged else ())]


def _suggestions(row: CardRow, facts: Facts, order: Resource | None) -> list[dict[str, Any]]:
    found = []
    if row.remove and order is not None and order.get("id"):
        place = f"{order['resourceType']}/{order['id']}"
        action = {"type": "delete", "description": "Take the order back", "resourceId": place}
        found.append(_suggestion("Take the order back", [action]))
    if row.follow_up:
        found.append(follow_up(facts, row.follow_up))
    return found


def _dated(row: CardRow, facts: Facts, said: str) -> str:
    """Add the dates of the measures that a row asks about: old values are told as old."""
    names = {getattr(part, "measure", "") for part in parts(row.if_)} if row.if_ is not None else set()
    dates = []
    for name in sorted(names - {""}):
        found = facts.finder.find(measures()[name])
        if found.at:
            day = datetime.fromtimestamp(found.at / 1000, UTC).strftime("%Y-%m-%d")
            dates.append(f"{found.title} of {day}")
    return f"{said} ({', '.join(dates)})" if dates else said


def _card(indicator: Indicator, summary: str, detail: str, source: Source) -> dict[str, Any]:
    return {
        "uuid": str(uuid4()),
        "summary": summary if len(summary) < 140 else f"{summary[:136]}...",
        "detail": detail,
        "indicator": indicator,
        "source": {"label": source.label, "url": source.url, "topic": {"display": "fhir_ai", "code": "fhir_ai"}},
        "overrideReasons": [{"code": code, "system": REASON, "display": text} for code, text in REASONS.items()],
        "links": [{"label": source.label, "url": source.url, "type": "absolute"}],
    }


def _suggestion(label: str, actions: list[dict[str, Any]]) -> dict[str, Any]:
    return {"label": label, "uuid": str(uuid4()), "actions": actions}


def _order(facts: Facts, title: str, measure: str) -> dict[str, Any]:
    place = PLACES.get(measure)
    code = concept(title, *((LOINC, each) for each in (place.codes[:1] if place else ())))
    return {"type": "create", "description": f"Order {title}", "resource": _request(facts, code)}


def _request(facts: Facts, code: dict[str, Any]) -> dict[str, Any]:
    subject = {"reference": f"Patient/{facts.record.patient.get('id', '')}"}
    return {"resourceType": "ServiceRequest", "status": "draft", "intent": "proposal", "code": code, "subject": subject}


def _condition(facts: Facts, candidate: Candidate) -> dict[str, Any]:
    status = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    clinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    resource = {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [{"system": clinical, "code": "active"}]},
        "verificationStatus": {"coding": [{"system": status, "code": "unconfirmed"}]},
        "code": concept(candidate.condition.title, *codes(candidate)),
        "subject": {"reference": f"Patient/{facts.record.patient.get('id', '')}"},
    }
    return {"type": "create", "description": f"Add {candidate.condition.title}, unconfirmed", "resource": resource}


def _listed(candidate: Candidate, facts: Facts) -> bool:
    condition = candidate.condition
    for each in facts.record.conditions:
        for system, code in codings(each.get("code", {})) if stands(each) else ():
            if (system == SNOMED and code == condition.snomed) or (
                system in ICD10 and code.startswith(condition.icd10[:3])
            ):
                return True
    return False


def _link(source: Source) -> str:
    return f"[{source.label}]({source.url})"


def _url(name: str) -> str:
    text = rules().sources[name]
    return next((word.rstrip(".,;)") for word in text.split() if word.startswith("https://")), HOME)


def table_version(table: Cards | None = None) -> str:
    """Return the version of the table of cards."""
    return (table or cards()).version
