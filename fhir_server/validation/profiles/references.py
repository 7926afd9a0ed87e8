"""What references of a profile may lead to.

Spec: https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.type.targetProfile
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fhir_server.validation.profiles.facts import TypeFacts
from fhir_server.validation.profiles.rule import Rule, SpotCheck
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.profiles.targets import literal, named_type, resolve
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.registry import Profiles

_ANY = frozenset(("Resource", "DomainResource"))


def reference_checks(
    own: TypeFacts, base: TypeFacts, profile: str, profiles: "Profiles", pin: Callable[[str], str]
) -> Iterator[SpotCheck]:
    """Yield the checks on references that a profile adds."""
    if own.targets and set(own.targets) != set(base.targets) and _ANY.isdisjoint(own.targets):
        yield _targets(tuple(map(pin, own.targets)), profile, profiles)
    if own.aggregation and own.aggregation != base.aggregation:
        yield _aggregated(own.aggregation, profile)
    if own.versioning == "specific":
        yield _versioned(profile)


def _targets(urls: tuple[str, ...], profile: str, profiles: "Profiles") -> SpotCheck:
    types = profiles.definitions.types

    def check(spot: Spot, run: Run) -> None:
        if literal(spot.value) is None:
            return
        target = resolve(spot, run).spot
        # The URL of a canonical does not tell what it is of.
        name = target.type if target else "" if spot.type == "canonical" else named_type(spot.value, types)
        if not name:
            return
        fitting = [url for url in urls if profiles.type_of(url) in (name, "")]
        if not fitting:
            expected = ", ".join(dict.fromkeys(profiles.type_of(url) for url in urls))
            text = f"The type '{name}' of the reference is not a valid target for this element (must be one of "
            run.error(spot, "structure", f"{text}[{expected}], from {profile})")
        elif target is not None and name not in fitting:
            _match(spot, target, fitting, run)

    def _match(spot: Spot, target: Spot, fitting: list[str], run: Run) -> None:
        known = [url for url in fitting if profiles.find(url)]
        for url in fitting:
            if url not in known:
                profiles.tell_unknown(spot, url, run)
        if len(known) < len(fitting) or any(profiles.conforms(target, url, run) for url in known):
            return
        where = literal(spot.value)
        run.error(spot, "structure", f"Unable to find a profile match for {where} among choices: {', '.join(known)}")
        for url in known:
            if fault := profiles.first_fault(target, url, run):
                run.inform(spot, "structure", f"{where} does not match {url}: {fault}")

    plain = frozenset(url for url in urls if url in types)

    def good(value: Any, type_: str, _run: Run) -> bool:
        """A target that is named by a type that alone suffices."""
        return type_ == "Reference" and type(value) is dict and named_type(value, types) in plain

    return Rule(check, good) if plain else check


def _aggregated(modes: tuple[str, ...], profile: str) -> SpotCheck:
    allowed = ", ".join(modes)

    def check(spot: Spot, run: Run) -> None:
        if literal(spot.value) is None:
            return
        mode = resolve(spot, run).mode
        if mode not in modes and not (mode == "bundled" and "referenced" in modes):
            what = "external" if mode == "referenced" else mode
            text = f"The reference is {what}, which is not one of the aggregation modes ({allowed}) of {profile}"
            run.error(spot, "structure", text)

    return check


def _versioned(profile: str) -> SpotCheck:
    def check(spot: Spot, run: Run) -> None:
        reference = literal(spot.value)
        if reference and "/_history/" not in reference and not reference.startswith("#"):
            run.error(spot, "structure", f"The reference must name a version (from {profile})")

    return check
