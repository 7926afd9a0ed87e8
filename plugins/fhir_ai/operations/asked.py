"""Asked: whom a call is about, and what it says beyond the record."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_ai.scores.symptoms import SYMPTOMS
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_server.plugin_api import BadRequest, BadValue, Call, Inputs, MethodNotAllowed, PluginContext, Resource

_TYPES = frozenset(("Observation", "Condition", "MedicationRequest", "MedicationStatement"))


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a call is about. stored: they are in the record. given: inputs by name; symptoms: keys, or `system|code`;
    absent: the same, of those that were looked for and are not there.

    resources: Observations and the like that came with the call.
    """

    patient: Resource
    encounter: Resource | None = None
    stored: bool = True
    given: Mapping[str, Any] = field(default_factory=dict)
    symptoms: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    resources: tuple[Resource, ...] = ()
    persist: bool = False

    def of_type(self, *types: str) -> list[Resource]:
        """Return what came with the call of some types."""
        return [each for each in self.resources if each.get("resourceType") in types]

    @property
    def came(self) -> dict[str, list[Resource]]:
        """What came with the call, by type."""
        return {type_: self.of_type(type_) for type_ in _TYPES} if self.resources else {}


async def asked(
    ctx: PluginContext, call: Call, own: frozenset[str] = frozenset(), signs: Container[str] = SYMPTOMS
) -> Asked:
    """Read a call at the level of a Patient, of an Encounter, or of the system (a kiosk).

    own: inputs beyond the vocabulary. signs: keys of the symptoms that are known.

    Raises:
        NotFound: there is no such patient that the caller may see.
        BadRequest: nobody is named, or something that is not known.
    """
    inputs, persist = call.inputs, bool(call.inputs.one("persist", False))
    if persist and call.request.method == "GET":
        raise MethodNotAllowed("persist=true changes the record; POST it", expression="persist")
    given, symptoms, absent = (
        _given(inputs, own),
        _symptoms(inputs, "symptom", signs),
        _symptoms(inputs, "absent", signs),
    )
    resources = tuple(resources_of(ctx, inputs))
    if call.request.type == "Encounter":
        encounter = await ctx.client.read("Encounter", str(call.request.id))
        patient = await _subject(ctx, encounter)
        of_one_person(resources, str(patient["id"]))
        return Asked(patient, encounter, True, given, symptoms, absent, resources, persist)
    if call.request.type == "Patient":
        patient = await ctx.client.read("Patient", str(call.request.id))
        of_one_person(resources, str(patient["id"]))
        return Asked(patient, None, True, given, symptoms, absent, resources, persist)
    patients = [each for each in resources if each.get("resourceType") == "Patient"]
    if len(patients) != 1:
        raise BadRequest(f"$triage of the system needs one Patient; {len(patients)} came", expression="resource")
    if persist:
        raise BadRequest("only the triage of a patient of the record can be stored", expression="persist")
    of_one_person(resources, str(patients[0].get("id", "")))
    patient = {key: value for key, value in patients[0].items() if key != "id"}
    return Asked(patient, None, False, given, symptoms, absent, resources, False)


async def _subject(ctx: PluginContext, encounter: Resource) -> Resource:
    reference = str(encounter.get("subject", {}).get("reference", ""))
    type_, _, id_ = reference.removeprefix(f"{ctx.base}/").partition("/")
    if type_ != "Patient" or not id_ or "/" in id_:
        raise BadRequest("this Encounter has no Patient of this record as its subject", expression="Encounter.subject")
    return await ctx.client.read("Patient", id_)


def _given(inputs: Inputs, own: frozenset[str]) -> dict[str, Any]:
    """Read the inputs that are stated for this call: name and value."""
    found: dict[str, Any] = {}
    for part in inputs.many("input"):
        name, value = str(part.one("name")), part.one("value")
        if name not in VOCABULARY and name not in own:
            raise BadValue(f"no score has an input {name[:60]!r}", expression="input.name")
        if name in found and found[name] != value:
            raise BadValue(f"the input {name} is given twice, with two values", expression="input")
        found[name] = value
    return found


def _symptoms(inputs: Inputs, name: str, signs: Container[str]) -> tuple[str, ...]:
    known = tuple(str(each) for each in inputs.many(name))
    for each in known:
        if "|" not in each and each not in signs:
            some = ", ".join(sorted(signs)) if isinstance(signs, Iterable) else ""
            raise BadValue(
                f"{each[:60]!r} is no symptom that is known; give system|code, or one of {some}", expression=name
            )
    return known


def resources_of(ctx: PluginContext, inputs: Inputs) -> list[Resource]:
    """Return what came with the call; what has not the form of its type is refused."""
    found: list[Resource] = []
    for each in inputs.many("resource"):
        _check(ctx, each)
        inner = [entry["resource"] for entry in each.get("entry", ()) if "resource" in entry]
        found += inner if _is_bundle(each) else [each]
    wrong = [str(each.get("resourceType")) for each in found if each.get("resourceType") not in _TYPES | {"Patient"}]
    if wrong:
        said = f"a Patient, Observations, Conditions and medicines may come with the call, not {wrong[0][:60]}"
        raise BadRequest(said, expression="resource")
    return found


def of_one_person(resources: Iterable[Resource], id_: str = "") -> None:
    """Hold what came to one Patient: of this id, or else of the first that is named.

    Raises:
        BadRequest: something is about somebody else.
    """
    for each in resources:
        other = person_named(each)
        id_ = id_ or other
        if other not in ("", id_):
            said = (
                f"the {each['resourceType']} that came is of Patient/{other[:64]}, and the call is about Patient/{id_}"
            )
            raise BadRequest(said, expression="resource")


def person_named(resource: Mapping[str, Any]) -> str:
    """Return the id of the Patient that a resource is, or is about; empty where it names none."""
    if resource.get("resourceType") == "Patient":
        return str(resource.get("id", ""))
    reference = str(resource.get("subject", {}).get("reference", ""))
    *_, type_, id_ = ("", "", *reference.partition("/_history/")[0].split("/"))
    return id_ if type_ == "Patient" else ""


def _check(ctx: PluginContext, resource: Resource) -> None:
    issues = ctx.core.validator.check(resource, str(resource["resourceType"]), level="structure")
    errors = [issue for issue in issues if issue.severity in ("error", "fatal")]
    if errors:
        raise BadRequest(errors[0].diagnostics, issues=errors)


def _is_bundle(resource: Resource) -> bool:
    return resource.get("resourceType") == "Bundle"
