"""The CDS services: patient-view, order-sign and encounter-discharge, on the rules and scores of this plugin.

Spec: https://cds-hooks.hl7.org/2.0/
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from fhir_ai.cds.feedback import note, remember
from fhir_ai.cds.known import Resource, entries, facts, loinc_codes, sound
from fhir_ai.cds.making import Made, due, fired, flagged, follow_up, in_order, plain, unlisted
from fhir_ai.cds.table import Hook
from fhir_ai.findings.gathering import Facts
from fhir_ai.inputs.times import millis
from fhir_ai.inputs.units import UCUM
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import Host, ResourceKey

SERVICE: Final = "cds-services"
_DAY: Final = 86_400_000
_INPATIENT: Final = frozenset(("IMP", "ACUTE", "NONAC", "OBSENC", "SS"))
_URGENT: Final = frozenset(("EM", "UR", "EMER", "emd"))
_PLANNED: Final = frozenset(("EL", "R"))
_PATIENT: Final[Mapping[str, str]] = {
    "patient": "Patient/{{context.patientId}}",
    "conditions": "Condition?patient={{context.patientId}}&_count=300",
    "medicines": "MedicationRequest?patient={{context.patientId}}&status=active&_count=200",
}
_DISCHARGE: Final[Mapping[str, str]] = {
    "encounter": "Encounter/{{context.encounterId}}",
    "visits": "Encounter?patient={{context.patientId}}&class=EMER&date=ge{{today() - 240 days}}&_count=50",
    "appointments": "Appointment?patient={{context.patientId}}&date=ge{{today()}}&_count=20",
    "reports": "DiagnosticReport?patient={{context.patientId}}&status=registered,partial,preliminary&_count=20",
}
_TITLES: Final[Mapping[Hook, tuple[str, str]]] = {
    "patient-view": ("Scores and criteria", "Red flags, high scores, criteria that are met, tests that are due."),
    "order-sign": ("Orders against findings", "Orders of medicines that scores and results speak against."),
    "encounter-discharge": ("Before discharge", "Risk of readmission (LACE), missing follow-ups, pending results."),
}


class Call(Protocol):
    """One call of a service, as `cds-services` gives it."""

    @property
    def tenant(self) -> str:
        """Name of the tenant."""

    @property
    def context(self) -> Mapping[str, Any]:
        """The `context` of the call, checked by its hook."""

    @property
    def prefetch(self) -> Mapping[str, Any]:
        """The resources of the prefetch by key."""

    @property
    def client(self) -> Any:
        """FHIR as the caller of the service."""


Handler = Callable[[Call], Awaitable[Sequence[dict[str, Any]]]]


def add_services(host: Host, services: Any) -> None:
    """Add the services to the registry of the plugin that serves CDS Hooks."""
    observations = f"Observation?patient={{{{context.patientId}}}}&code={loinc_codes()}"
    recent = {**_PATIENT, "observations": f"{observations}&date=ge{{{{today() - 730 days}}}}&_sort=-date&_count=300"}
    optional = ("conditions", "medicines", "observations", *_DISCHARGE)
    for hook, (title, said) in _TITLES.items():
        templates = {**recent, **(_DISCHARGE if hook == "encounter-discharge" else {})}
        services.add(
            f"fhir-ai-{hook}", hook=hook, title=title, description=f"{said} Published scores and rules.",
            usage_requirements="Support for a clinician, who decides.", handler=_handler(host, hook),
            prefetch=templates, optional=tuple(each for each in optional if each in templates),
            on_feedback=_listener(host, hook),
        )  # fmt: skip


def patient_view(known: Facts) -> list[Made]:
    """Return what is worth knowing when a record is opened."""
    return [*flagged(known), *fired("patient-view", known), *unlisted(known), *due(known)]


def order_sign(known: Facts, context: Mapping[str, Any]) -> list[Made]:
    """Return what speaks against orders that are about to be signed."""
    drafts = context.get("draftOrders")
    orders = [*entries(drafts, "MedicationRequest"), *entries(drafts, "MedicationAdministration")]
    return fired("order-sign", known, orders)


def discharge(known: Facts, prefetch: Mapping[str, Any]) -> list[Made]:
    """Return what is missing before somebody goes home."""
    made = fired("encounter-discharge", known)
    appointments = [
        each
        for each in entries(prefetch.get("appointments"), "Appointment")
        if each.get("status") in ("booked", "proposed", "pending", "waitlist")
    ]
    if not appointments and prefetch.get("appointments") is not None:
        days = 7 if any(each.name == "lace-high" for each in made) else 14
        said = ("No follow-up appointment is recorded", f"A visit within {days} days of discharge is usual practice.")
        more = {"suggestions": [follow_up(known, days)], "selectionBehavior": "at-most-one"}
        made.append(plain("no-follow-up", "warning" if days == 7 else "info", said, "cms-tcm", more))
    pending = list(entries(prefetch.get("reports"), "DiagnosticReport"))
    if pending:
        names = ", ".join(dict.fromkeys(_titled(each) for each in pending[:10]))
        said = (f"{len(pending)} results are pending at discharge", f"{names}. Say who will follow them.")
        made.append(plain("results-pending", "warning", said, "roy2005", {}))
    return made


def left_out(count: int) -> list[Made]:
    """Return a card that says that something could not be read: without it, silence would look like all clear."""
    if not count:
        return []
    said = (
        f"{count} resources could not be read and were left out",
        "They have not the form of R4, or are of somebody else.",
    )
    return [plain("left-out", "warning", said, "r4", {})]


def stay(prefetch: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Return the inputs of LACE that the hook tells; what the Encounter does not say is left out, not guessed."""
    encounter = prefetch.get("encounter")
    if not isinstance(encounter, Mapping) or encounter.get("class", {}).get("code") not in _INPATIENT:
        return {}
    period = encounter.get("period", {})
    begun, ended = millis(period.get("start")), millis(period.get("end")) or now
    if begun is None or ended < begun:
        return {}
    days = Decimal(max(1, round((ended - begun) / _DAY)))
    found: dict[str, Any] = {"stay": {"value": days, "system": UCUM, "code": "d"}}
    codes = {encounter["class"].get("code"), *_coded(encounter.get("priority")), *_coded(_source(encounter))}
    if codes & _URGENT or "ACUTE" in codes:
        found["acute_admission"] = True
    elif codes & _PLANNED:
        found["acute_admission"] = False
    if prefetch.get("visits") is not None:
        since = begun - 183 * _DAY
        starts = [millis(each.get("period", {}).get("start")) for each in entries(prefetch["visits"], "Encounter")]
        found["emergency_visits"] = sum(at is not None and since <= at < begun for at in starts)
    return found


def _handler(host: Host, hook: Hook) -> Handler:
    async def answer(call: Call) -> Sequence[dict[str, Any]]:
        ctx = await host.context(call.tenant)
        settings: AiSettings = ctx.settings
        patient = str(call.context.get("patientId") or "")
        sent, wrong = sound(ctx, call.prefetch, patient)
        drafts, unread = sound(ctx, {"draftOrders": call.context.get("draftOrders")}, patient)
        given = stay(sent, ctx.now()) if hook == "encounter-discharge" else {}
        known = facts(sent, patient, ctx.now(), given, settings)
        if hook == "patient-view":
            made = patient_view(known)
        elif hook == "order-sign":
            made = order_sign(known, drafts)
        else:
            made = discharge(known, sent)
        shown = in_order([*made, *left_out(wrong + unread)], settings.cds_cards)
        await remember(ctx, hook, patient if await _sees(call, patient) else "", shown)
        return [each.card for each in shown]

    return answer


async def _sees(call: Call, patient: str) -> bool:
    """Tell whether the token that came with a call sees its patient: what is said of cards is written of no other."""
    key = ResourceKey("Patient", patient)
    return call.client is not None and bool(patient) and key in await call.client.readable([key])


def _listener(host: Host, hook: str) -> Callable[[str, Sequence[Mapping[str, Any]]], Awaitable[None]]:
    async def heard(tenant: str, items: Sequence[Mapping[str, Any]]) -> None:
        await note(await host.context(tenant), hook, items)

    return heard


def _coded(concept: Any) -> set[str]:
    codings = concept.get("coding", ()) if isinstance(concept, Mapping) else ()
    return {str(each.get("code")) for each in codings}


def _source(encounter: Resource) -> Any:
    return encounter.get("hospitalization", {}).get("admitSource")


def _titled(report: Resource) -> str:
    code = report.get("code", {})
    names = [code.get("text"), *(each.get("display") for each in code.get("coding", ()))]
    return next((str(name)[:80] for name in names if name), "a report without a name")
