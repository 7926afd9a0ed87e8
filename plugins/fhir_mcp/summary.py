"""The digest of a patient: `$everything`, in lines that can be read."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from fhir_server.plugin_api import PluginContext, decode

_DATES: Final = (
    "effectiveDateTime", "effectiveInstant", "performedDateTime", "onsetDateTime", "authoredOn", "occurrenceDateTime",
    "recordedDate", "date", "issued", "created", "start", "sent", "dateTime", "authored", "whenHandedOver",
    "recorded",
)  # fmt: skip
_PERIODS: Final = ("effectivePeriod", "period", "performedPeriod", "billablePeriod", "onsetPeriod", "occurrencePeriod")
_CONCEPTS: Final = (
    "code", "vaccineCode", "medicationCodeableConcept", "type", "category", "serviceType", "scope", "activity", "class",
    "description",
)  # fmt: skip
_STATUS: Final = ("clinicalStatus", "status", "verificationStatus")
_PAGE: Final = 500


async def patient_summary(ctx: PluginContext, id_: str) -> str:
    """Return the digest of a patient, newest first within each type. Raises NotFound."""
    limits = ctx.settings
    lines: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    counts: Counter[str] = Counter()
    found, more = [_patient(await ctx.client.read("Patient", id_))], False
    async for resource in _everything(ctx, id_, limits.summary_resources):
        if resource is None:
            more = True
        elif (resource["resourceType"], resource["id"]) != ("Patient", id_):
            counts[resource["resourceType"]] += 1
            lines[resource["resourceType"]].append(_line(resource))
    for type_, count in counts.most_common():
        newest = sorted(lines[type_], reverse=True)[: limits.summary_lines]
        of = f", the newest {len(newest)}" if len(newest) < count else ""
        found += [f"\n{type_} ({count}{of}):", *(f"- {when or 'no date'}: {said}" for when, said in newest)]
    if more:
        found.append(
            f"\n[the patient has more than {limits.summary_resources} resources; the rest is not counted here]"
        )
    text = "\n".join(found)
    cut = "\n[cut: use fhir_search for the rest]"
    return text if len(text) <= limits.max_result else text[: limits.max_result - len(cut)] + cut


async def _everything(ctx: PluginContext, id_: str, most: int) -> AsyncIterator[dict[str, Any] | None]:
    """Yield the resources of a patient; None at the end where there are more than `most`."""
    path, seen = f"Patient/{id_}/$everything?_count={_PAGE}", 0
    while path:
        bundle = decode(b"".join((await ctx.client.request("GET", path)).body))
        for entry in bundle.get("entry", []):
            if seen == most:
                yield None
                return
            seen += 1
            yield entry["resource"]
        links = {link["relation"]: link["url"] for link in bundle.get("link", [])}
        path = links.get("next", "").removeprefix(f"{ctx.base}/")


def _patient(resource: Mapping[str, Any]) -> str:
    names = [" ".join((*name.get("given", []), name.get("family", ""))).strip() for name in resource.get("name", [])]
    facts = [resource.get("gender"), f"born {resource['birthDate']}" if "birthDate" in resource else None]
    facts += ["inactive"] if resource.get("active") is False else []
    facts += ["deceased"] if resource.get("deceasedBoolean") or resource.get("deceasedDateTime") else []
    said = ", ".join(str(fact) for fact in facts if fact)
    return f"Patient/{resource['id']}: {names[0] if names else 'without a name'}" + (f" ({said})" if said else "")


def _line(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Return date and words of a resource."""
    parts = [_concept(resource), _value(resource), _status(resource)]
    said = ", ".join(part for part in parts if part)
    return _date(resource), f"{said or 'without a code'} [{resource['resourceType']}/{resource.get('id', '')}]"


def _date(resource: Mapping[str, Any]) -> str:
    for name in _DATES:
        if isinstance(resource.get(name), str):
            return str(resource[name])[:16]
    for name in _PERIODS:
        if isinstance(resource.get(name), Mapping):
            return str(resource[name].get("start") or resource[name].get("end") or "")[:16]
    return ""


def _concept(resource: Mapping[str, Any]) -> str:
    return next((said for name in _CONCEPTS if name in resource and (said := _text(resource[name]))), "")


def _status(resource: Mapping[str, Any]) -> str:
    return next((said for name in _STATUS if name in resource and (said := _text(resource[name]))), "")


def _value(resource: Mapping[str, Any]) -> str:
    """Return the values of an observation, those of its components too."""
    parts = [resource, *resource.get("component", [])]
    found = []
    for part in parts:
        name = next((name for name in part if name.startswith("value") and name[5:6].isupper()), None)
        if name is not None:
            label = f"{_concept(part)} " if part is not resource else ""
            found.append(f"{label}{_shown(part[name])}".strip())
    return "; ".join(found)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value:
        return f"{value.get('comparator', '')}{value['value']} {value.get('unit') or value.get('code') or ''}".strip()
    return _text(value) if isinstance(value, Mapping | list) else str(value)


def _text(value: Any) -> str:
    """Return the words of a concept, a coding, a list of them, or a text."""
    if isinstance(value, list):
        return next((said for each in value if (said := _text(each))), "")
    if not isinstance(value, Mapping):
        return str(value)
    coding = next((each for each in value.get("coding", []) if isinstance(each, Mapping)), {})
    return str(
        value.get("text")
        or coding.get("display")
        or value.get("display")
        or coding.get("code")
        or value.get("code")
        or ""
    )
