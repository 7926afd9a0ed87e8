"""What a whole resource is held to beyond its type: profiles that it claims or that R4 asks for, rules in words."""

from typing import Any

from fhir_server.validation import profiles, resources
from fhir_server.validation.findings import Origin
from fhir_server.validation.place import Place
from fhir_server.validation.resources.observation import implied_profiles
from fhir_server.validation.rules.native import objects
from fhir_server.validation.run import Run

_BASE = "http://hl7.org/fhir/StructureDefinition/"
# What answers a form is worth nothing where it does not fit the form.
_ANSWERS = frozenset(("QuestionnaireResponse",))
Resource = dict[str, Any]


def check_claims(resource: Resource, type_: str, place: Place, run: Run) -> None:
    """Check a resource against all of these."""
    _prose(resource, type_, place, run)
    if "meta" in resource:
        _profiles(resource, type_, place, run)
    if type_ == "Observation" and run.implied:
        _implied(resource, place, run)


def _prose(resource: Resource, type_: str, place: Place, run: Run) -> None:
    """Rules that R4 gives in words for a type of resource."""
    if run.prose or type_ in _ANSWERS:
        before, run.findings.origin = run.findings.origin, "base" if type_ in _ANSWERS else "prose"
        try:
            resources.check(resource, place, run)
        finally:
            run.findings.origin = before


def _profiles(resource: Resource, type_: str, place: Place, run: Run) -> None:
    """The profiles that a resource says it conforms to. Spec: https://hl7.org/fhir/R4/resource.html#Meta"""
    meta = resource["meta"]
    named = meta.get("profile") if type(meta) is dict else None
    for index, profile in enumerate(named if type(named) is list else ()):
        if type(profile) is str and profile != _BASE + type_:
            _claimed(resource, profile, Place(Place(place, "meta"), "profile", index), (place, run))


def _claimed(resource: Resource, profile: str, at: Place, where: tuple[Place, Run]) -> None:
    """Check one claim of `meta.profile`; one that is not known here is a warning."""
    place, run = where
    if profiles.known(profile, run):
        _of_profile(resource, profile, place, (run, "profile"))
    elif not run.findings.errors_only:
        run.unchecked(at, "structure", f"conformance was not checked: {profiles.why_not(profile, run)}")


def _implied(resource: Resource, place: Place, run: Run) -> None:
    """The profiles that R4 asks for because of a code. Spec: https://hl7.org/fhir/R4/observation-vitalsigns.html"""
    for implied in implied_profiles(resource):
        if profiles.known(implied.profile, run):
            text = f"checked against {implied.profile}, as R4 asks for the code {implied.code}"
            run.inform(place, "informational", text)
            start = len(run.findings.issues)
            _of_profile(resource, implied.profile, place, (run, "implied"))
            if not _is_vital_sign(resource):
                run.findings.soften(start)


def _is_vital_sign(resource: Resource) -> bool:
    """Whether an Observation says so itself. Where it does not, the profile is good advice."""
    return any(
        coding.get("code") == "vital-signs"
        for category in objects(resource.get("category"))
        for coding in objects(category.get("coding"))
    )


def _of_profile(resource: Resource, profile: str, place: Place, claim: tuple[Run, Origin]) -> None:
    run, origin = claim
    before, run.findings.origin = run.findings.origin, origin
    try:
        profiles.check(resource, profile, place, run)
    finally:
        run.findings.origin = before
