"""Feedback: which cards were shown, and what users did with them, linked to the output that each card was.

A card is a record until somebody answers it. Then, where the patient is of our record, its GuidanceResponse and a Task
with the answer are stored in one transaction; the Task's focus is the GuidanceResponse.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_ai.cds.making import Made, table_version
from fhir_ai.operations.making import HOME, author, bundle_of, concept, labelled, references
from fhir_ai.settings import AiSettings
from fhir_server.plugin_api import (
    Beside,
    Busy,
    Collection,
    PluginContext,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    Where,
    instant,
)

NAME: Final = "cds"
CARDS: Final = Collection("fhir_ai.card", (RecordField("at", "integer"),), patient="patient")
"""Cards that were shown, by their uuid, until `cds_card_days` are over."""
OVERRIDES: Final = Collection(
    "fhir_ai.override", (RecordField("name"), RecordField("at", "integer")), patient="patient"
)
"""What users did with cards, by the uuid of the card."""
FEEDBACK: Final = f"{HOME}/CodeSystem/cds-feedback"
ANSWERS: Final[Mapping[str, str]] = {"accepted": "Accepted by the user", "overridden": "Overridden by the user"}
_MOST: Final = 20
_DAY: Final = 86_400_000
_SWEPT: Final = 500
_TRIES: Final = 5


async def remember(ctx: PluginContext, service: str, patient: str, made: Sequence[Made]) -> None:
    """Keep which cards were shown; `patient` is the id of one of our record, or empty."""
    if not made:
        return
    await ctx.store.put(
        *(
            RecordChange(
                CARDS.name, each.card["uuid"],
                {
                    "service": service, "name": each.name, "version": table_version(), "patient": patient,
                    "at": ctx.now(), "summary": each.card["summary"], "indicator": each.card["indicator"],
                    "url": each.card["source"]["url"], "references": list(each.references[:_MOST]),
                },
            )
            for each in made
        )
    )  # fmt: skip


async def note(ctx: PluginContext, service: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Keep what users did with cards of ours; cards that nobody knows any more are passed over."""
    for item in items:
        card = await ctx.store.get(CARDS.name, str(item["card"]))
        if card is not None and card.value["service"] == service:
            await _noted(ctx, card, item)


async def sweep(ctx: PluginContext) -> None:
    """Forget cards that nobody answered in time."""
    settings: AiSettings = ctx.settings
    before = ctx.now() - settings.cds_card_days * _DAY
    while True:
        old = await ctx.store.find(CARDS.name, (Where("at", "<", before),), limit=_SWEPT)
        await ctx.store.put(*(RecordChange(CARDS.name, each.key, None) for each in old))
        if len(old) < _SWEPT:
            return


async def _noted(ctx: PluginContext, card: Record, item: Mapping[str, Any]) -> None:
    """Keep one answer; when somebody else answered the same card in between, it is put upon theirs."""
    for _ in range(_TRIES):
        try:
            return await _note(ctx, card, item)
        except RecordChanged:
            continue
    raise Busy("others answer this card at the same time; send it again")


async def _note(ctx: PluginContext, card: Record, item: Mapping[str, Any]) -> None:
    known = await ctx.store.get(OVERRIDES.name, card.key)
    revision = known.revision if known else 0
    value: dict[str, object] = {
        "name": card.value["name"], "version": card.value["version"], "service": card.value["service"],
        "outcome": item["outcome"], "reason": _reason(item)[0], "at": ctx.now(), "patient": card.value["patient"],
        "output": known.value["output"] if known else "", "task": "",
    }  # fmt: skip
    if not card.value["patient"] or await ctx.own.find("Patient", str(card.value["patient"])) is None:
        await ctx.store.put(RecordChange(OVERRIDES.name, card.key, value, expected=revision))
        return
    output = str(value["output"]) or f"GuidanceResponse/{ctx.new_id()}"
    task = f"Task/{ctx.new_id()}"
    record = RecordChange(OVERRIDES.name, card.key, {**value, "output": output, "task": task}, expected=revision)
    made = [] if value["output"] else [(output, _guidance(card))]
    bundle = _bundle(ctx, [*made, (task, _task(ctx, card, item, output))], references(_evidence(card)))
    await ctx.own.transaction(bundle, beside=Beside(records=[record]))


def _bundle(
    ctx: PluginContext, made: Sequence[tuple[str, dict[str, Any]]], sources: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return the transaction: outputs of the machine with Device and Provenance, the Task of the user beside them."""
    machines = [resource for _, resource in made if resource["resourceType"] != "Task"]
    bundle, first = bundle_of(ctx, NAME, machines, sources) if machines else (_empty(), 0)
    place = {resource["resourceType"]: reference for reference, resource in made}
    for entry in bundle["entry"][first : first + len(machines)]:
        _put(entry, place[entry["resource"]["resourceType"]])
    for reference, resource in made:
        if resource["resourceType"] == "Task":
            entry = {"resource": resource, "request": {}}
            _put(entry, reference)
            bundle["entry"].append(entry)
    return bundle


def _put(entry: dict[str, Any], reference: str) -> None:
    """Give an entry the id that the record beside names."""
    entry["resource"] = {**entry["resource"], "id": reference.partition("/")[2]}
    entry["request"] = {"method": "PUT", "url": reference}


def _empty() -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": []}


def _guidance(card: Record) -> dict[str, Any]:
    """Return the output that a card was."""
    value = card.value
    return labelled(
        {
            "resourceType": "GuidanceResponse",
            "requestIdentifier": {"system": f"{HOME}/cds-card", "value": card.key},
            "moduleUri": f"{HOME}/cds-services/{value['service']}/{value['name']}|{value['version']}",
            "status": "success",
            "subject": {"reference": f"Patient/{value['patient']}"},
            "occurrenceDateTime": instant(int(str(value["at"]))),
            "performer": author(NAME),
            "reasonCode": [{"text": str(value["name"])}],
            "note": [{"text": f"{value['indicator']}: {value['summary']}"}, {"text": f"Source: {value['url']}"}],
        }
    )


def _task(ctx: PluginContext, card: Record, item: Mapping[str, Any], output: str) -> dict[str, Any]:
    """Return what the user said of it."""
    code, display = _reason(item)
    accepted = item["outcome"] == "accepted"
    comment = (item.get("overrideReason") or {}).get("userComment")
    chosen = [str(each.get("id")) for each in item.get("acceptedSuggestions") or ()]
    task = {
        "resourceType": "Task",
        "identifier": [{"system": f"{HOME}/cds-feedback", "value": card.key}],
        "status": "completed" if accepted else "rejected",
        "statusReason": concept(display or code, (str(_system(item)), code)) if code else None,
        "intent": "proposal",
        "code": concept(ANSWERS[str(item["outcome"])], (FEEDBACK, str(item["outcome"]))),
        "focus": {"reference": output},
        "for": {"reference": f"Patient/{card.value['patient']}"},
        "authoredOn": instant(ctx.now()),
        "note": [{"text": str(comment)[:2000]}] if comment else [],
        "output": [{"type": {"text": "accepted suggestion"}, "valueString": each} for each in chosen],
    }
    return {key: each for key, each in task.items() if each not in (None, [], "")}


def _reason(item: Mapping[str, Any]) -> tuple[str, str]:
    reason = (item.get("overrideReason") or {}).get("reason") or {}
    return str(reason.get("code", "")), str(reason.get("display", ""))


def _system(item: Mapping[str, Any]) -> str:
    reason = (item.get("overrideReason") or {}).get("reason") or {}
    return str(reason.get("system") or FEEDBACK)


def _evidence(card: Record) -> list[str]:
    found = card.value.get("references")
    return [str(each) for each in found] if isinstance(found, list) else []
