"""Making: what outputs of clinical AI have in common: label, author, references, extensions, one stored transaction.

Label: https://terminology.hl7.org/CodeSystem-v3-ObservationValue.html (AIAST).
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from fhir_server.plugin_api import PluginContext, Resource, instant

VALUES: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
AIAST: Final[Mapping[str, str]] = {"system": VALUES, "code": "AIAST", "display": "Artificial Intelligence asserted"}
HOME: Final = "http://fhir-server.org"
SCORE: Final = f"{HOME}/CodeSystem/score"
VERSION: Final = "1.0.0"
_DEVICES: Final = f"{HOME}/ai-device"


def device(name: str) -> dict[str, Any]:
    """Return the Device that a rule set or a score of this version is."""
    return {
        "resourceType": "Device",
        "identifier": [{"system": _DEVICES, "value": f"{name}-{VERSION}"}],
        "status": "active",
        "manufacturer": "fhir-server",
        "deviceName": [{"name": f"fhir-server {name}", "type": "model-name"}],
        "version": [{"value": VERSION}],
        "type": {"text": "clinical decision support: published rules, no learned model"},
    }


def author(name: str) -> dict[str, Any]:
    """Return a logical reference to that Device."""
    return {
        "type": "Device",
        "identifier": {"system": _DEVICES, "value": f"{name}-{VERSION}"},
        "display": f"fhir-server {name} {VERSION}",
    }


def labelled(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource with the label that says that a machine asserted it."""
    type_, rest = resource["resourceType"], {k: v for k, v in resource.items() if k != "resourceType"}
    return {"resourceType": type_, "meta": {"security": [dict(AIAST)]}, **_full(rest)}


def references(of: Iterable[str]) -> list[dict[str, str]]:
    """Return references, each once, without those that are empty."""
    return [{"reference": each} for each in dict.fromkeys(of) if each]


def about(patient: Resource) -> dict[str, Any]:
    """Return the reference to a patient; who is not in the record is only shown."""
    return {"reference": f"Patient/{patient['id']}"} if patient.get("id") else {"display": "not in the record"}


def concept(text: str, *codings: tuple[str, str]) -> dict[str, Any]:
    """Return a CodeableConcept."""
    coded = [{"system": system, "code": code} for system, code in codings]
    return {"coding": coded, "text": text} if coded else {"text": text}


async def stored(
    ctx: PluginContext,
    name: str,
    made: Sequence[dict[str, Any]],
    sources: Sequence[Mapping[str, str]],
    cards: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Store outputs with a Provenance for each Device that made some, all or nothing, as the caller."""
    bundle, first = bundle_of(ctx, name, made, sources, cards)
    answer = await ctx.client.transaction(bundle)
    return [entry["resource"] for entry in answer["entry"][first : first + len(made)]]


def bundle_of(
    ctx: PluginContext,
    name: str,
    made: Sequence[dict[str, Any]],
    sources: Sequence[Mapping[str, str]],
    cards: Mapping[str, str] = MappingProxyType({}),
) -> tuple[dict[str, Any], int]:
    """Return the transaction that stores outputs, and the number of the entry that holds the first of them.

    Outputs that name the Device of a model as their author keep it; the Device `name` of published rules is the author
    of the rest, and is stored with them. cards: the card of each model's Device, by reference.
    """
    urns = [f"urn:uuid:{ctx.new_id()}" for _ in made]
    rules = f"urn:uuid:{ctx.new_id()}"
    outputs = [_authored(each, rules) for each in made]
    by_device: dict[str, list[str]] = {}
    for urn, each in zip(urns, outputs, strict=True):
        by_device.setdefault(_author_of(each), []).append(urn)
    exists = f"identifier={_DEVICES}|{name}-{VERSION}"
    machines = [_entry(rules, device(name), exists)] if rules in by_device else []
    provenances = [
        _entry(f"urn:uuid:{ctx.new_id()}", _provenance(ctx, who, targets, sources, cards.get(who, "")), "")
        for who, targets in by_device.items()
    ]
    entries = [_entry(urn, each, "") for urn, each in zip(urns, outputs, strict=True)]
    entry = [*machines, *entries, *provenances]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entry}, len(machines)


def _entry(urn: str, resource: Mapping[str, Any], exists: str) -> dict[str, Any]:
    request = {"method": "POST", "url": resource["resourceType"], **({"ifNoneExist": exists} if exists else {})}
    return {"fullUrl": urn, "resource": resource, "request": request}


def _authored(resource: dict[str, Any], urn: str) -> dict[str, Any]:
    """Name the stored Device where R4 lets a Device be the author, unless that of a model is named."""
    key = _author_key(resource)
    if str(resource.get(key, {}).get("reference", "")).startswith("Device/"):
        return resource
    return {**resource, key: {"reference": urn}}


def _author_key(resource: Mapping[str, Any]) -> str:
    keys = {"Flag": "author", "DetectedIssue": "author", "CommunicationRequest": "sender"}
    return keys.get(str(resource["resourceType"]), "performer")


def _author_of(resource: Mapping[str, Any]) -> str:
    return str(resource[_author_key(resource)]["reference"])


def _provenance(
    ctx: PluginContext, device: str, targets: Sequence[str], sources: Sequence[Mapping[str, str]], card: str
) -> dict[str, Any]:
    """Return the Provenance of what a Device made: AI-Provenance, with the card that a model is derived from."""
    caller = ctx.caller
    who = {"reference": caller.subject} if caller.subject else {"display": caller.name or "not named"}
    entities: list[dict[str, Any]] = [{"role": "source", "what": dict(source)} for source in sources]
    if card:
        entities.append({"role": "derivation", "what": {"reference": card}})
    return {
        "resourceType": "Provenance",
        "meta": {"security": [dict(AIAST)]},
        "target": [{"reference": urn} for urn in targets],
        "recorded": instant(ctx.now()),
        "reason": [{"coding": [dict(AIAST)]}],
        "agent": [
            {"role": [{"text": "Artificial-Intelligence"}], "who": {"reference": device}, "onBehalfOf": who},
        ],
        **_full({"entity": entities}),
    }


def _full(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, [], {}, "")}


def unseen(types: Iterable[str]) -> list[str]:
    """Say which types the caller may not see at all: what they would tell is not known, and not taken to be absent."""
    named = ", ".join(sorted(types))
    return [f"You may not see {named} of this patient: what needs them is not computed."] if named else []
