"""Known: what a CDS client sent of a patient, or what was fetched for it, as facts that rules ask about."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fhir_ai.cds.table import cards
from fhir_ai.findings.gathering import Facts, facts_of
from fhir_ai.findings.table import Asked as Question
from fhir_ai.findings.table import Measure, ScoreIs, parts
from fhir_ai.inputs import Record
from fhir_ai.inputs.diagnoses import codings
from fhir_ai.inputs.ingredients import atc_codes
from fhir_ai.inputs.tables import ATC, PLACES
from fhir_ai.operations.asked import Asked, person_named
from fhir_ai.scores import SCORES
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import FhirError, PluginContext

Resource = Mapping[str, Any]
Groups = Mapping[str, tuple[str, ...]]
"""Names of medicines by group."""
_ALSO: Final = ("creatinine", "temperature", "heart_rate", "respiratory_rate", "spo2", "systolic", "diastolic", "hba1c")
_TYPES: Final = {"observations": "Observation", "conditions": "Condition", "medicines": "MedicationRequest"}
_PANEL: Final = ("85354-9",)


def facts(prefetch: Mapping[str, Any], patient: str, now: int, given: Mapping[str, Any], settings: AiSettings) -> Facts:
    """Return the facts of what is there; `given` are inputs that the hook itself tells.

    What was neither sent nor could be fetched is hidden: what it would tell is not known, and not absent.
    """
    person = prefetch.get("patient") or {"resourceType": "Patient", "id": patient}
    observations = list(entries(prefetch.get("observations"), "Observation"))
    hidden = frozenset(type_ for name, type_ in _TYPES.items() if name not in prefetch)
    record = Record(
        person, now, observations, list(entries(prefetch.get("conditions"), "Condition")),
        list(entries(prefetch.get("medicines"), "MedicationRequest")), hidden=hidden,
    )  # fmt: skip
    whom = Asked(dict(person), given={"region": settings.region, **given})
    return facts_of(record, observations, whom, settings)


def entries(bundle: Any, type_: str) -> Iterator[Resource]:
    """Yield the resources of a type in a Bundle; what has not its form is passed over."""
    found = bundle.get("entry") if isinstance(bundle, Mapping) else None
    for entry in found if isinstance(found, list) else ():
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if isinstance(resource, Mapping) and resource.get("resourceType") == type_:
            yield resource


def sound(ctx: PluginContext, sent: Mapping[str, Any], patient: str) -> tuple[dict[str, Any], int]:
    """Return what a client sent, and how many were left out: without the form of their type, or of another patient."""
    found: dict[str, Any] = {}
    wrong = 0
    for name, value in sent.items():
        if not isinstance(value, Mapping) or "resourceType" not in value:
            found[name] = value if not isinstance(value, Mapping) else None
        elif value["resourceType"] != "Bundle":
            good = _is_sound(ctx, value, patient)
            found[name], wrong = value if good else None, wrong + (not good)
        else:
            listed = value.get("entry")
            inner = [each.get("resource") for each in listed if isinstance(each, Mapping)] if listed else []
            kept = [each for each in inner if _is_sound(ctx, each, patient)]
            found[name] = {"resourceType": "Bundle", "entry": [{"resource": each} for each in kept]}
            wrong += sum(each is not None for each in inner) - len(kept)
    return found, wrong


def _is_sound(ctx: PluginContext, resource: Any, patient: str) -> bool:
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return False
    try:
        issues = ctx.core.validator.check(resource, resource["resourceType"], level="structure")
    except FhirError:  # a type that there is not
        return False
    if any(each.severity in ("error", "fatal") for each in issues):
        return False
    return not patient or person_named(resource) in ("", patient)


def groups_of(order: Resource) -> frozenset[str]:
    """Return the groups that a medicine is of: by ATC, or by the name of its ingredient."""
    codes: set[str] = set()
    for concept in _concepts(order):
        codes.update(code for system, code in codings(concept) if system == ATC)
        codes.update(atc_codes(concept))
    return frozenset(name for name, starts in cards().groups.items() if any(code.startswith(starts) for code in codes))


def taken(facts: Facts) -> Groups:
    """Return the groups of the active medicines, each with their names."""
    return grouped(
        each for each in facts.record.medicines if each.get("status") == "active" and not each.get("doNotPerform")
    )


def grouped(orders: Iterable[Resource], also: Groups | None = None) -> dict[str, tuple[str, ...]]:
    """Return the groups of medicines, each with their names."""
    found = dict(also or {})
    for each in orders:
        for group in groups_of(each):
            found[group] = tuple(dict.fromkeys((*found.get(group, ()), named(each))))
    return found


def named(order: Resource | None) -> str:
    """Return the name of a medicine."""
    given = (order or {}).get("medicationCodeableConcept", {})
    names = [given.get("text"), *(each.get("display") or each.get("code") for each in given.get("coding", ()))]
    return next((str(name) for name in names if name), "a medicine without a name")[:100]


def loinc_codes() -> str:
    """Return the codes of all that rows ask about, for a prefetch template."""
    table = cards()
    asked: list[Question] = [row.if_ for row in table.rows if row.if_ is not None]
    asked += [row.if_ for row in table.due]
    names = {part.measure for each in asked for part in parts(each) if isinstance(part, Measure)}
    scores = {part.score for each in asked for part in parts(each) if isinstance(part, ScoreIs)}
    names |= {each.name for score in scores for each in SCORES[score].inputs} | {row.measure for row in table.due}
    codes = {code for name in (*names, *_ALSO) if name in PLACES for code in PLACES[name].codes}
    return ",".join(sorted(codes.union(_PANEL)))


def _concepts(order: Resource) -> Iterator[Mapping[str, Any]]:
    concept = order.get("medicationCodeableConcept")
    if isinstance(concept, Mapping):
        yield concept
    inside = str((order.get("medicationReference") or {}).get("reference", "")).removeprefix("#")
    for each in order.get("contained", ()):
        if inside and each.get("id") == inside and isinstance(each.get("code"), Mapping):
            yield each["code"]
