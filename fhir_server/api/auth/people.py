"""What the pages show of patients and visits, asked of the record as the signed-in user may see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_server.api.auth.service import Service
from fhir_server.model.exchange import FhirRequest, Query

_SHOWN = "20"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """One patient or visit, as a line on a page."""

    id: str
    name: str
    birth: str = ""
    gender: str = ""
    date: str = ""


async def patients(service: Service, tenant: str, base: str, find: str) -> list[Shown]:
    """Return patients by a part of their name."""
    found = await _search(service, tenant, base, "Patient", (("name:contains", find), ("_count", _SHOWN)))
    return [_patient(resource) for resource in found]


async def patient(service: Service, tenant: str, base: str, id_: str) -> Shown | None:
    """Return one patient."""
    found = await _search(service, tenant, base, "Patient", (("_id", id_),))
    return _patient(found[0]) if found else None


async def encounters(service: Service, tenant: str, base: str, patient_id: str) -> list[Shown]:
    """Return the latest visits of a patient."""
    query = (("subject", f"Patient/{patient_id}"), ("_sort", "-date"), ("_count", _SHOWN))
    found = await _search(service, tenant, base, "Encounter", query)
    return [
        Shown(str(each["id"]), _kind(each), date=str(each.get("period", {}).get("start", ""))[:10]) for each in found
    ]


async def _search(service: Service, tenant: str, base: str, type_: str, query: Query) -> list[Json]:
    request = FhirRequest("GET", "search-type", base, type_, query=query, tenant=tenant, grant="*")
    answer = await service.ask(request)
    bundle = msgspec.json.decode(b"".join(answer.body))
    return [entry["resource"] for entry in bundle.get("entry", ())]


def _patient(resource: Json) -> Shown:
    names = resource.get("name") or [{}]
    first = names[0]
    name = first.get("text") or " ".join([*first.get("given", ()), first.get("family", "")]).strip()
    return Shown(
        str(resource["id"]),
        name or "without a name",
        str(resource.get("birthDate", "")),
        str(resource.get("gender", "")),
    )


def _kind(resource: Json) -> str:
    for type_ in resource.get("type", ()):
        for text in (type_.get("text"), *(coding.get("display") for coding in type_.get("coding", ()))):
            if text:
                return str(text)
    return "Visit"
