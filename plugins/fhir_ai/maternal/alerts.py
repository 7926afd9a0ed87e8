"""Alerts of a pregnancy: a Flag in the record and a CommunicationRequest to those who care for her.

Both are of one transaction with the record that says which alert is open: whatever is broken off or comes twice, there
is one.
"""

from collections.abc import Mapping
from typing import Any, Final

from fhir_ai.maternal.judging import Judgement, growth
from fhir_ai.maternal.records import Followed
from fhir_ai.operations.making import HOME, about, author, bundle_of, concept, labelled, references
from fhir_server.plugin_api import Beside, PluginContext, RecordChange, Resource, instant

NAME: Final = "maternal-alert"
CODE: Final = (f"{HOME}/CodeSystem/maternal-alert", "maternal-warning")
_CATEGORY: Final = ("http://terminology.hl7.org/CodeSystem/flag-category", "clinical")
_ASKED: Final = "Repeat the measurement; if confirmed, bedside evaluation now."


def raised(ctx: PluginContext, patient: Resource, judgement: Judgement, kept: Followed) -> list[dict[str, Any]]:
    """Return the Flag and the CommunicationRequest of a new alert, with the ids that the record of it will name."""
    at = instant(ctx.now())
    flag = {
        "resourceType": "Flag",
        "id": ctx.new_id(),
        "status": "active",
        "category": [concept("Clinical", _CATEGORY)],
        "code": concept(_title(judgement), CODE),
        "subject": about(patient),
        "period": {"start": at},
        "author": author(NAME),
    }
    message = {
        "resourceType": "CommunicationRequest",
        "id": ctx.new_id(),
        "status": "active",
        "priority": "urgent",
        "category": [concept("Maternal warning", CODE)],
        "subject": about(patient),
        "about": references([*judgement.references, kept.episode]),
        "authoredOn": at,
        "sender": author(NAME),
        "payload": _payload(judgement, kept),
    }
    return [labelled(flag), labelled(message)]


def revised(
    ctx: PluginContext, open_: Mapping[str, dict[str, Any]], judgement: Judgement, kept: Followed
) -> list[dict[str, Any]]:
    """Return what is open of an alert with other criteria."""
    changes: dict[str, dict[str, Any]] = {
        "Flag": {"code": concept(_title(judgement), CODE)},
        "CommunicationRequest": {
            "about": references([*judgement.references, kept.episode]),
            "payload": _payload(judgement, kept),
            "authoredOn": instant(ctx.now()),
        },
    }
    return [{**each, **changes[type_]} for type_, each in open_.items()]


def closed(ctx: PluginContext, open_: Mapping[str, dict[str, Any]], *, ended: bool) -> list[dict[str, Any]]:
    """Return what is open of an alert, closed. ended: the pregnancy is over, or was none."""
    found = []
    for type_, each in open_.items():
        if type_ == "Flag":
            found.append(
                {**each, "status": "inactive", "period": {**each.get("period", {}), "end": instant(ctx.now())}}
            )
        else:
            found.append({**each, "status": "revoked" if ended else "completed"})
    return found


async def opened(ctx: PluginContext, kept: Followed) -> dict[str, dict[str, Any]]:
    """Return what is still open of an alert: what people have closed meanwhile is theirs."""
    found = {"Flag": kept.flag, "CommunicationRequest": kept.message}
    read: dict[str, dict[str, Any]] = {}
    for type_, id_ in found.items():
        each = await ctx.client.find(type_, id_) if id_ else None
        if each is not None and each.get("status") == "active":
            read[type_] = each
    return read


async def store(
    ctx: PluginContext, made: list[dict[str, Any]], sources: list[dict[str, str]], record: RecordChange
) -> None:
    """Write resources and the record of them, all or nothing.

    Raises:
        RecordChanged: another process was faster.
        PreconditionFailed: somebody has changed one of them.
    """
    if not made:
        await ctx.store.put(record)
        return
    bundle, first = bundle_of(ctx, NAME, made, sources)
    for entry in bundle["entry"][first : first + len(made)]:
        resource = entry["resource"]
        entry["request"] = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
        version = resource.get("meta", {}).get("versionId")
        if version:
            entry["request"]["ifMatch"] = f'W/"{version}"'
    await ctx.client.transaction(bundle, beside=Beside(records=[record]))


def _title(judgement: Judgement) -> str:
    return f"Maternal warning: {'; '.join(judgement.met.values())}"


def _payload(judgement: Judgement, kept: Followed) -> list[dict[str, str]]:
    said = [f"{'; '.join(judgement.met.values())}. {_ASKED}"]
    if judgement.missing:
        said.append(f"Not measured in the last hours: {', '.join(judgement.missing)}.")
    if judgement.faults:
        said.append(f"Not used: {'; '.join(judgement.faults)}.")
    grew = growth(kept.visits)
    if grew:
        said.append(f"Over the visits: {grew}.")
    return [{"contentString": each} for each in said]
