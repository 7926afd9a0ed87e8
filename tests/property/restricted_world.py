"""A small world of patients, and what a naive model says that a caller may see of it: plain JSON, no index."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fhir_server.auth.scopes import Scope, parse_scopes
from fhir_server.definitions import load
from fhir_server.settings import Settings

Json = dict[str, Any]
PATIENTS = ("ann", "bob", "cas")
TERMS = "http://terminology.hl7.org/CodeSystem"
CATEGORIES = f"{TERMS}/observation-category"
SHARED = frozenset(Settings().shared_types)
LINKS = load().patient_links


def ref(type_: str, id_: str) -> Json:
    return {"reference": f"{type_}/{id_}"}


@dataclass
class World:
    """All resources by `Type/id`, each with its versions, oldest first; None is a deletion."""

    versions: dict[str, list[Json | None]] = field(default_factory=dict)

    def add(self, type_: str, id_: str, **elements: Any) -> str:
        key = f"{type_}/{id_}"
        found = self.versions.setdefault(key, [])
        source = f"urn:v:{type_}-{id_}-{len(found) + 1}"
        meta = {"source": source, **elements.pop("meta", {})}
        found.append({"resourceType": type_, "id": id_, "meta": meta, **elements})
        return key

    def delete(self, key: str) -> None:
        self.versions[key].append(None)

    def current(self, key: str) -> Json | None:
        return self.versions.get(key, [None])[-1]


def make_world(dice: Random) -> World:
    world = World()
    _shared(world)
    for id_ in PATIENTS:
        world.add("Patient", id_, active=True, name=[{"family": f"F{id_}"}], gender=dice.choice(["male", "female"]))
    _clinical(world, dice)
    _linked(world, dice)
    _contents(world, dice)
    _past(world, dice)
    return world


def _shared(world: World) -> None:
    world.add("Practitioner", "doc", name=[{"family": "Grey"}])
    world.add("Practitioner", "nurse", name=[{"family": "White"}])
    world.add("Organization", "org", name="Ward")
    world.add("Location", "room", name="Room", managingOrganization=ref("Organization", "org"))
    world.add("Medication", "pill", status="active")
    world.add("StructureMap", "map", url="http://x/m", name="m", status="draft",
              group=[{"name": "g", "typeMode": "none", "input": [{"name": "i", "mode": "source"}],
                      "rule": [{"name": "r", "source": [{"context": "i"}]}]}])  # fmt: skip


def observation(patient: str | None, dice: Random) -> Json:
    about = {"subject": ref("Patient", patient)} if patient else {}
    category = dice.choice(["laboratory", "vital-signs"])
    return {
        "status": dice.choice(["final", "amended"]),
        "code": {"coding": [{"system": "http://loinc.org", "code": dice.choice(["1-8", "2-6"])}]},
        "category": [{"coding": [{"system": CATEGORIES, "code": category}]}],
        "effectiveDateTime": f"2026-01-{dice.randint(10, 28)}",
        "performer": [ref(*dice.choice([("Practitioner", "doc"), ("Organization", "org"), ("Patient", "bob")]))],
        **about,
    }


def _clinical(world: World, dice: Random) -> None:
    for number in range(9):
        patient = dice.choice([*PATIENTS, *PATIENTS, None])
        world.add("Observation", f"o{number}", **observation(patient, dice))
    for number in range(4):
        world.add("Encounter", f"e{number}", status="finished", subject=ref("Patient", dice.choice(PATIENTS)),
                  **{"class": {"system": f"{TERMS}/v3-ActCode", "code": "AMB"}})  # fmt: skip
        world.add("Condition", f"c{number}", subject=ref("Patient", dice.choice(PATIENTS)),
                  encounter=ref("Encounter", f"e{dice.randint(0, 3)}"))  # fmt: skip
    for number in range(3):
        patient = dice.choice(PATIENTS)
        world.add("RelatedPerson", f"rp{number}", patient=ref("Patient", patient), active=dice.random() < 0.8)
        world.add("Device", f"d{number}", **({"patient": ref("Patient", patient)} if number else {}))
        world.add("MedicationRequest", f"m{number}", status="active", intent="order",
                  medicationReference=ref("Medication", "pill"), subject=ref("Patient", patient))  # fmt: skip


def _linked(world: World, dice: Random) -> None:
    def any_of(type_: str) -> Json:
        return ref(*dice.choice([key for key in world.versions if key.startswith(f"{type_}/")]).split("/"))

    for number in range(4):
        world.add("Task", f"t{number}", status="requested", intent="order",
                  **({"focus": any_of("Observation")} if number % 2 else {"for": any_of("Patient")}))  # fmt: skip
        world.add("Provenance", f"p{number}", target=[any_of(dice.choice(["Observation", "Patient", "Task"]))],
                  recorded="2026-01-01T00:00:00Z", agent=[{"who": ref("Practitioner", "doc")}])  # fmt: skip
        members = [{"entity": any_of("Patient")} for _ in range(dice.randint(0, 2))]
        world.add("Group", f"g{number}", type="person", actual=True, **({"member": members} if members else {}))
        world.add("List", f"l{number}", status="current", mode="working", subject=any_of("Patient"),
                  entry=[{"item": any_of("Observation")} for _ in range(3)])  # fmt: skip
        actors = [any_of("Patient"), any_of("Practitioner"), any_of("Patient")][: dice.randint(1, 3)]
        world.add("Appointment", f"a{number}", status="proposed",
                  participant=[{"actor": actor, "status": "accepted"} for actor in actors])  # fmt: skip
    for number in range(2):
        world.add("Basic", f"b{number}", code={"text": "x"}, **({"subject": any_of("Patient")} if number else {}))
        world.add("Schedule", f"s{number}", actor=[any_of("Patient" if number else "Practitioner")])
        world.add("Slot", f"sl{number}", schedule=ref("Schedule", f"s{number}"), status="free",
                  start="2026-01-01T00:00:00Z", end="2026-01-01T01:00:00Z")  # fmt: skip
        world.add("Person", f"pe{number}", link=[{"target": any_of("Patient")}])
        world.add("Linkage", f"k{number}", item=[{"type": "source", "resource": any_of("Observation")},
                                               {"type": "alternate", "resource": any_of("Condition")}])  # fmt: skip
        composition = {
            "resourceType": "Composition", "id": "inner", "status": "final", "type": {"text": "x"}, "title": "x",
            "date": "2026-01-01", "author": [ref("Practitioner", "doc")], "subject": any_of("Patient"),
        }  # fmt: skip
        world.add("Bundle", f"bd{number}", type="document", timestamp="2026-01-01T00:00:00Z",
                  identifier={"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{number}"},
                  entry=[{"fullUrl": f"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e{number}",
                          "resource": composition}])  # fmt: skip
        world.add("Composition", f"co{number}", **{k: v for k, v in composition.items() if k not in ("id",)} | {
            "section": [{"title": "x", "entry": [any_of("Observation"), any_of("Condition")]}]})  # fmt: skip


def _contents(world: World, dice: Random) -> None:
    for number in range(5):
        context = {"securityContext": ref("Patient", dice.choice(PATIENTS))} if number < 2 else {}
        world.add("Binary", f"x{number}", contentType="text/plain", data="aGk=", **context)
    for number in range(3):
        urls = [f"Binary/x{dice.randint(0, 4)}" for _ in range(2)]
        world.add("DocumentReference", f"dr{number}", status="current", subject=ref("Patient", dice.choice(PATIENTS)),
                  content=[{"attachment": {"url": url}} for url in urls])  # fmt: skip
    subject = ref("Patient", dice.choice(PATIENTS))
    world.add("DiagnosticReport", "r0", status="final", code={"text": "x"}, subject=subject,
              presentedForm=[{"url": f"Binary/x{dice.randint(0, 4)}"}], result=[ref("Observation", "o0")])  # fmt: skip


def _past(world: World, dice: Random) -> None:
    """Some were another patient's once, some are deleted."""
    for number in range(3):
        world.add("Observation", f"o{number}", **observation(dice.choice(PATIENTS), dice))
    world.delete("Observation/o3")
    world.delete(f"Condition/c{dice.randint(0, 3)}")
    world.add("Flag", "f0", status="active", code={"text": "x"}, subject=ref("Patient", dice.choice(PATIENTS)))
    world.delete("Flag/f0")


# --- the model


@dataclass(frozen=True)
class Model:
    """What a caller may see: scopes, the patient of the launch, the patients represented (None: staff).

    said: the Consents that limit them. half: they see what belongs to something that they do not see, so that a server
    of visible resources cannot tell whose it is.
    """

    scopes: str
    patient: str = ""
    represented: tuple[str, ...] | None = None
    said: Any = None
    half: bool = False

    def sees(self, world: World, resource: Json, letters: str = "rs") -> bool:
        if self.said is not None and self.said.hides(world, resource):
            return False
        return any(self._by(world, resource, letter) for letter in letters)

    def _by(self, world: World, resource: Json, letter: str) -> bool:
        scopes = parse_scopes(self.scopes).resources
        type_ = resource["resourceType"]
        return any(s.allows(letter, type_) and self._within(world, s, resource) for s in scopes)

    def _within(self, world: World, scope: Scope, resource: Json) -> bool:
        if scope.query and not _granular(scope.query, resource):
            return False
        patients = (self.patient,) if scope.level == "patient" else self.represented
        if scope.level == "system" or patients is None:
            return True
        type_ = resource["resourceType"]
        if type_ != "Patient" and not LINKS.get(type_):
            return type_ in SHARED
        if belongs(world, resource, patients):
            return True
        return type_ == "Binary" and self._pointed_to(world, resource)

    def _pointed_to(self, world: World, binary: Json) -> bool:
        if "securityContext" in binary:
            return False
        url = f"Binary/{binary['id']}"
        others = (world.current(key) for key in world.versions)
        return any(other and url in attachments(other) and self.sees(world, other, "r") for other in others)

    def visible(self, world: World, letters: str = "rs") -> World:
        """What is left of the world: of each resource whose last content is seen, the versions that are."""
        found = World()
        for key, versions in world.versions.items():
            contents = [each for each in versions if each is not None]
            if self.sees(world, contents[-1], letters):
                found.versions[key] = [each for each in versions if each is None or self.sees(world, each, letters)]
        return found


def _granular(query: str, resource: Json) -> bool:
    name, _, value = query.partition("=")
    concepts = resource.get(name, [])
    concepts = concepts if isinstance(concepts, list) else [concepts]
    system, _, code = value.rpartition("|")
    codings = [coding for concept in concepts for coding in concept.get("coding", [])]
    return any(coding["code"] == code and system in ("", coding["system"]) for coding in codings)


def belongs(world: World, resource: Json, patients: Iterable[str]) -> bool:
    type_ = resource["resourceType"]
    own = {f"Patient/{id_}" for id_ in patients}
    if f"{type_}/{resource['id']}" in own:
        return True
    for link in LINKS.get(type_, ()):
        for target in references(resource, link.expression):
            if target in own:
                return True
            other = world.current(target) if link.via else None
            if other and (link.via in ("Resource", other["resourceType"])) and _direct(other, own):
                return True
    return False


def _direct(resource: Json, own: set[str]) -> bool:
    links = [link for link in LINKS.get(resource["resourceType"], ()) if link.via is None]
    return any(target in own for link in links for target in references(resource, link.expression))


def references(resource: Json, expression: str) -> Iterator[str]:
    values: list[Any] = [resource]
    for step in expression.split("."):
        if step.startswith("ofType("):
            values = [value for value in values if value["resourceType"] == step[7:-1]]
            continue
        name, _, index = step.partition("[")
        values = [found for value in values for found in _member(value, name, index.rstrip("]"))]
    yield from (value["reference"] for value in values if "reference" in value)


def _member(value: Mapping[str, Any], name: str, index: str) -> list[Any]:
    found = value.get(name)
    listed = found if isinstance(found, list) else [] if found is None else [found]
    return listed[int(index) : int(index) + 1] if index else listed


def attachments(resource: Json) -> set[str]:
    given = [each["attachment"] for each in resource.get("content", []) if isinstance(each, dict)]
    return {each["url"] for each in (*given, *resource.get("presentedForm", []))}
