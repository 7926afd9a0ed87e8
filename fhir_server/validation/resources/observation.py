"""Profiles that FHIR itself asks of an Observation because of its code: the vital signs.

Spec: https://hl7.org/fhir/R4/observation-vitalsigns.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.validation.resources.values import child, objects

_BASE = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Implied:
    """A profile, and the code that asks for it."""

    profile: str
    code: str


# Codes that say the same more narrowly (by SNOMED CT, by method or site) count too: the profile then asks for the
# general code beside them.
_PROFILES = {
    "vitalspanel": ("85353-1",),
    "resprate": ("9279-1", "86290005"),
    "heartrate": ("8867-4", "364075005"),
    "oxygensat": ("2708-6", "59408-5", "431314004"),
    "bodytemp": ("8310-5", "276885007", "386725007"),
    "bodyheight": ("8302-2", "50373000"),
    "headcircum": ("9843-4", "363812007"),
    "bodyweight": ("29463-7", "27113001"),
    "bmi": ("39156-5", "60621009"),
    "bp": ("85354-9", "76534-7", "75367002"),
}
_SYSTEMS = {True: "http://loinc.org", False: "http://snomed.info/sct"}
_BY_CODE = {(_SYSTEMS["-" in code], code): f"{_BASE}{name}" for name, codes in _PROFILES.items() for code in codes}


def implied_profiles(resource: Any) -> Iterator[Implied]:
    """Yield the profiles that an Observation must meet whatever it claims, each once."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Observation":
        return
    seen: set[str] = set()
    for _, coding in objects(child(resource, "code"), "coding"):
        code = coding.get("code")
        system = coding.get("system")
        profile = _BY_CODE.get((system, code)) if isinstance(code, str) and isinstance(system, str) else None
        if profile is not None and profile not in seen:
            seen.add(profile)
            yield Implied(profile, str(code))
