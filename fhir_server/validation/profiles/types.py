"""Types that a profile leaves of those of an element, and profiles on them.

Spec: https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.type
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from fhir_server.definitions import Definitions
from fhir_server.validation.profiles.facts import Facts, TypeFacts
from fhir_server.validation.profiles.references import reference_checks
from fhir_server.validation.profiles.rule import Rule, SpotCheck
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.registry import Profiles

_ANY = frozenset(("Resource", "DomainResource", "Element", "BackboneElement"))
_REFERENCES = frozenset(("Reference", "canonical"))


def type_checks(
    own: Facts, base: Facts, profile: str, profiles: "Profiles", pin: Callable[[str], str]
) -> Iterator[SpotCheck]:
    """Yield the checks on the types of an element that its base has not."""
    if own.types and own.types.keys() != base.types.keys() and _narrowed(own, base):
        yield _allowed(own.types, profile, profiles.definitions)
    for code, of in own.types.items():
        before = base.types.get(code, TypeFacts())
        if of.profiles and of.profiles != before.profiles:
            yield _profiled(code, tuple(map(pin, of.profiles)), profiles)
        if code in _REFERENCES:
            yield from (_only(code, check) for check in reference_checks(of, before, profile, profiles, pin))


def _narrowed(own: Facts, base: Facts) -> bool:
    """Types of a choice or of a resource; where only one type is possible, structure is told elsewhere."""
    return len(base.types) > 1 or not base.types.keys().isdisjoint(_ANY)


def is_kind_of(name: str, codes: Mapping[str, object] | frozenset[str], definitions: Definitions) -> bool:
    """Whether a type is one of these, or a kind of one of these."""
    current: str | None = name
    while current:
        if current in codes:
            return True
        definition = definitions.types.get(current)
        if definition is not None and definition.kind == "primitive-type":
            return "Element" in codes  # a code is no string where a profile asks for one
        if definition is None:
            return False
        current = definition.base if definition.kind != "backbone" else "BackboneElement"
        if current == "BackboneElement":
            return current in codes or "Element" in codes
    return False


def _allowed(types: Mapping[str, TypeFacts], profile: str, definitions: Definitions) -> SpotCheck:
    names = ", ".join(types)

    def check(spot: Spot, run: Run) -> None:
        if spot.type and spot.type not in types and not is_kind_of(spot.type, types, definitions):
            if spot.name.startswith("value.") and isinstance(spot.above, Spot) and spot.above.type == "Extension":
                text = f"The extension '{profile}' allows for the types [{names}] but found type {spot.type}"
                run.error(spot.above, "structure", text)
                return
            text = f"The profile '{profile}' allows for the type {names} but found type {spot.type}"
            # Of several types nobody can say which was meant, so that the owner is at fault, as the reference has it.
            run.error(spot.above if len(types) > 1 and spot.above else spot, "structure", text)

    return Rule(check, lambda _value, type_, _run: type_ in types)


def _only(code: str, check: SpotCheck) -> SpotCheck:
    def guarded(spot: Spot, run: Run) -> None:
        if spot.type == code:
            check(spot, run)

    if not isinstance(check, Rule):
        return guarded
    good = check.good
    return Rule(guarded, lambda value, type_, run: type_ != code or good(value, type_, run))


def _profiled(code: str, urls: tuple[str, ...], profiles: "Profiles") -> SpotCheck:
    """One profile must hold; of several, any."""

    def one(spot: Spot, run: Run) -> None:
        if _concerns(spot, code, profiles):
            profiles.check_type(spot, urls[0], run)

    def any_of(spot: Spot, run: Run) -> None:
        if not _concerns(spot, code, profiles):
            return
        known = [url for url in urls if profiles.knows(url)]
        matching = [url for url in known if profiles.conforms(spot, url, run)]
        if not matching and len(known) < len(urls):
            # Where others are known and do not fit, the unknown one may; that cannot be told.
            for url in urls:
                if url not in known:
                    (profiles.check if known else profiles.check_type)(spot, url, run)
        elif not matching:
            run.error(spot, "structure", f"Unable to find a match for the profile among choices: {', '.join(urls)}")
            for url in urls:
                profiles.check_type(spot, url, run)
        elif len(matching) > 1:
            text = f"Found multiple matching profiles among {len(urls)} choices: {', '.join(matching)}"
            run.warn(spot, "structure", text)

    return one if len(urls) == 1 else any_of


def _concerns(spot: Spot, code: str, profiles: "Profiles") -> bool:
    if spot.type == code or code in _ANY:
        return True
    return is_kind_of(spot.type, {code: None}, profiles.definitions)
