"""Whose a study is: a Patient is found by issuer and id, and taken only if the demographics agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicomweb.index.folding import folded, folded_names
from dicomweb.ingest.facts import first
from fhir_server.plugin_api import FhirError, PluginContext

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

_SEXES = {"M": "male", "F": "female", "O": "other"}
_MOST_HOPS = 5


@dataclass(frozen=True, slots=True)
class Match:
    """The Patient's logical id, or why there is none: words for a person, without any data of the patient."""

    patient: str = ""
    why: str = ""


async def match(ctx: PluginContext, row: Mapping[str, Any], settings: "DicomSettings") -> Match:
    """Find the Patient of a study by its record."""
    system = system_of(str(row.get("issuer") or ""), settings)
    value = str(row.get("patient_id") or "")
    if not system or not value:
        return Match(why="the objects say no Patient ID, or not who issued it")
    found = [each async for each in ctx.own.each("Patient", {"identifier": f"{_escaped(system)}|{_escaped(value)}"})]
    if not found:
        return await _unknown(ctx, row, system, settings)
    if len(found) > 1:
        return Match(why="several Patients have the identifier of the objects")
    patient = await _survivor(ctx, found[0])
    why = disagreement(row, patient) or disagreement(row, found[0])
    return Match(why=why) if why else Match(str(patient["id"]))


def system_of(issuer: str, settings: "DicomSettings") -> str:
    """Return the system of identifiers that an issuer stands for; empty for an unknown one."""
    issuer = issuer or settings.default_issuer
    return settings.issuers.get(issuer) or (issuer if ":" in issuer else "")


def disagreement(row: Mapping[str, Any], patient: Mapping[str, Any]) -> str:
    """Return what the objects and a Patient say differently; empty where family name and birth date agree, and sex does
    where both say it."""
    said = {str(each).split("^")[0] for each in row.get("name") or ()} - {""}
    families = {folded(each.get("family", "")) for each in patient.get("name", ())}
    if not said & families:
        return "the Patient with this identifier has another family name"
    born = str(row.get("birth_date") or "")
    if not born or born != str(patient.get("birthDate") or "").replace("-", ""):
        return "the Patient with this identifier has another birth date, or it is not known"
    sex = _SEXES.get(str(row.get("sex") or ""))
    if sex and patient.get("gender") in ("male", "female") and sex != patient["gender"] and sex != "other":
        return "the Patient with this identifier has another sex"
    return ""


async def _survivor(ctx: PluginContext, patient: dict[str, Any]) -> dict[str, Any]:
    """Return who replaced a patient that was merged."""
    for _ in range(_MOST_HOPS):
        link = next((each for each in patient.get("link", ()) if each.get("type") == "replaced-by"), None)
        id_ = link and str(link.get("other", {}).get("reference", "")).removeprefix("Patient/")
        other = await ctx.own.find("Patient", id_) if id_ else None
        if other is None:
            return patient
        patient = other
    return patient


async def _unknown(ctx: PluginContext, row: Mapping[str, Any], system: str, settings: "DicomSettings") -> Match:
    complete = all(row.get(each) for each in ("patient_id", "name", "birth_date", "sex"))
    if settings.unknown_patients != "create" or not complete:
        return Match(why="no Patient has the identifier of the objects")
    try:
        made = await ctx.own.create(
            patient_of(row, system), if_none_exist=f"identifier={_escaped(system)}|{_escaped(str(row['patient_id']))}"
        )
    except FhirError:
        return Match(why="no Patient has the identifier of the objects, and none could be created")
    return Match(str(made["id"]))


def patient_of(row: Mapping[str, Any], system: str) -> dict[str, Any]:
    """Return a Patient as the objects describe them."""
    name = first(row["a"], "00100010", {})
    text = name.get("Alphabetic") or name.get("Ideographic") or "" if isinstance(name, dict) else str(name)
    family, given, middle, prefix, suffix = (text.split("^") + [""] * 5)[:5]
    person = {
        "use": "official", "family": family, "given": [each for each in (given, middle) if each],
        "prefix": [prefix] if prefix else [], "suffix": [suffix] if suffix else [],
    }  # fmt: skip
    born = str(row["birth_date"])
    made = {
        "resourceType": "Patient",
        "identifier": [{"system": system, "value": str(row["patient_id"])}],
        "name": [{key: value for key, value in person.items() if value}],
        "gender": _SEXES.get(str(row.get("sex")), "unknown"),
    }
    if len(born) == 8 and born.isdigit():
        made["birthDate"] = f"{born[:4]}-{born[4:6]}-{born[6:]}"
    return made


def same_person(one: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    """Tell whether an object may belong to a study: both name the same patient, or one of them none."""
    known, said = str(one.get("patient_id") or ""), str(first(dict(header), "00100020"))
    if known and said and known != said:
        return False
    mine, theirs = set(one.get("name") or ()), set(folded_names(first(dict(header), "00100010", None)))
    return bool(known and said) or not mine or not theirs or bool(mine & theirs)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")
