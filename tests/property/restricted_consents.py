"""Consents of the small world, and what a naive reading of their JSON hides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.property.restricted_world import LINKS, PATIENTS, TERMS, Json, World, attachments, belongs, ref, references

_TYPES = "http://hl7.org/fhir/resource-types"


def rule(kind: str, *inner: Json, classes: str = "", code: str = "", label: str = "") -> Json:
    made: Json = {"type": kind}
    if classes:
        made["class"] = [{"system": _TYPES, "code": each} for each in classes.split()]
    if code:
        made["code"] = [{"coding": [{"system": "http://loinc.org", "code": code}]}]
    if label:
        made["securityLabel"] = [{"system": f"{TERMS}/v3-Confidentiality", "code": label}]
    return made | ({"provision": list(inner)} if inner else {})


def consent(patient: str, policy: str, *rules: Json) -> Json:
    return {
        "resourceType": "Consent", "id": f"of-{patient}", "status": "active", "patient": ref("Patient", patient),
        "scope": {"coding": [{"code": "patient-privacy"}]}, "category": [{"text": "x"}],
        "policyRule": {"coding": [{"system": f"{TERMS}/v3-ActCode", "code": policy}]},
    } | ({"provision": {"provision": list(rules)}} if rules else {})  # fmt: skip


@dataclass(frozen=True)
class Consents:
    """What the patients of a world said; `permits` is what silence means, `labels` are those that are hidden."""

    consents: tuple[Json, ...] = ()
    permits: bool = True
    labels: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        return hash(str(self))

    def hides(self, world: World, resource: Json) -> bool:
        return (
            self._hides_itself(world, resource)
            or any(self._refused(world, other) for other in _through(world, resource))
            or (resource["resourceType"] == "Binary" and self._in_hidden(world, resource))
            or (not self.permits and _is_somebodys(resource) and self._is_of_the_silent(world, resource))
        )

    def _hides_itself(self, world: World, resource: Json) -> bool:
        labels = {label["code"] for label in resource.get("meta", {}).get("security", [])}
        out = any(belongs(world, resource, (patient,)) for patient in self._out())
        return bool(labels & self.labels) or out or self._refused(world, resource)

    def _refused(self, world: World, resource: Json) -> bool:
        some = [patient for patient in PATIENTS if self._of(patient) and patient not in self._out()]
        return any(belongs(world, resource, (p,)) and not self._permitted(p, resource) for p in some)

    def _in_hidden(self, world: World, binary: Json) -> bool:
        url = f"Binary/{binary['id']}"
        others = [other for key in world.versions if (other := world.current(key)) and url in attachments(other)]
        return any(self._hides_itself(world, other) for other in others)

    def _is_of_the_silent(self, world: World, resource: Json) -> bool:
        known = [patient for patient in PATIENTS if self._of(patient)]
        return not belongs(world, resource, known) or any(
            belongs(world, resource, (patient,)) for patient in PATIENTS if patient not in known
        )

    def _of(self, patient: str) -> list[Json]:
        return [each for each in self.consents if each["patient"]["reference"] == f"Patient/{patient}"]

    def _out(self) -> list[str]:
        plain = [p for p in PATIENTS if self._of(p) and not any("provision" in each for each in self._of(p))]
        return [patient for patient in plain if not all(_base(each) for each in self._of(patient))]

    def _permitted(self, patient: str, resource: Json) -> bool:
        rules = [rule for each in self._of(patient) for rule in each.get("provision", {}).get("provision", [])]
        if _says(rules, resource, "deny"):
            return False
        return _says(rules, resource, "permit") or all(_base(each) for each in self._of(patient))


def _base(given: Json) -> bool:
    return bool(given["policyRule"]["coding"][0]["code"] == "OPTIN")


def _says(rules: Sequence[Json], resource: Json, what: str) -> bool:
    """Tell whether one of these rules, with its exceptions, says so of a resource."""
    for each in rules:
        inner = each.get("provision", [])
        if not _is_about(each, resource):
            continue
        if each["type"] == what:
            if not _says(inner, resource, "permit" if what == "deny" else "deny"):
                return True
        elif _says(inner, resource, what):
            return True
    return False


def _is_about(given: Json, resource: Json) -> bool:
    classes = [each["code"] for each in given.get("class", [])]
    codes = {coding["code"] for each in given.get("code", []) for coding in each["coding"]}
    labels = {each["code"] for each in given.get("securityLabel", [])}
    concept: Any = resource.get("code") if resource["resourceType"] == "Observation" else None
    own = {coding["code"] for coding in (concept or {}).get("coding", [])}
    carried = {label["code"] for label in resource.get("meta", {}).get("security", [])}
    return (
        (not classes or resource["resourceType"] in classes)
        and (not codes or bool(codes & own))
        and (not labels or bool(labels & carried))
    )


def _through(world: World, resource: Json) -> Iterator[Json]:
    """Yield what a resource belongs to."""
    for link in LINKS.get(resource["resourceType"], ()):
        for target in references(resource, link.expression) if link.via else ():
            other = world.current(target)
            if other is not None and link.via in ("Resource", other["resourceType"]):
                yield other


def _is_somebodys(resource: Json) -> bool:
    links = LINKS.get(resource["resourceType"], ())
    named = [(link, target) for link in links for target in references(resource, link.expression)]
    return resource["resourceType"] == "Patient" or any(link.via or t.startswith("Patient/") for link, t in named)
