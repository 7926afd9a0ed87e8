"""The rules of every kind of object, made when it is first met: JSON property to what is to be checked there.

Only what carries a rule is visited. See docs/adr/0007-full-validation.md.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fhir_server.definitions import Definitions, Element, ElementType, TypeDefinition, load
from fhir_server.fhirpath import TypeModel
from fhir_server.fhirpath.types import default_model
from fhir_server.validation import profiles, resources
from fhir_server.validation.findings import Origin
from fhir_server.validation.place import Place
from fhir_server.validation.resources.attachment import check as check_attachment
from fhir_server.validation.resources.observation import implied_profiles
from fhir_server.validation.rules import codes
from fhir_server.validation.rules.bindings import binding_check, maximum_check
from fhir_server.validation.rules.invariants import Invariants
from fhir_server.validation.rules.primitives import TEXTS, primitive_check, texts
from fhir_server.validation.run import Check, Run

# The only maximum value set of R4 that is not an invariant too.
_LANGUAGES, _ALL_LANGUAGES = "http://hl7.org/fhir/ValueSet/languages", "http://hl7.org/fhir/ValueSet/all-languages"
_OF_STRUCTURE = frozenset(("http://hl7.org/fhir/StructureDefinition/SimpleQuantity",))
_OF_WHOLE: Mapping[str, tuple[Check, ...]] = {
    "Coding": (codes.coding,),
    "Attachment": (check_attachment,),
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), (codes.unit,)),
}
# What answers a form is worth nothing where it does not fit the form.
_ANSWERS = frozenset(("QuestionnaireResponse",))
_BASE = "http://hl7.org/fhir/StructureDefinition/"


class Rules:
    """The rules of definitions; safe to share between threads."""

    def __init__(self, definitions: Definitions, *, errors_only: bool = False) -> None:
        self._definitions = definitions
        self._errors_only = errors_only
        model = default_model() if definitions is load() else TypeModel(definitions)
        self._invariants = Invariants(definitions, model, errors_only=errors_only)
        self._nodes: dict[str, Check] = {}

    def resource(self, value: Any, place: Place, run: Run) -> None:
        """Check a resource of its own, and all within."""
        name = value.get("resourceType") if type(value) is dict else None
        if type(name) is not str or name not in self._definitions.types:
            return
        outer = run.resource
        run.resource = value
        try:
            self.node(name)(value, place, run)
            _prose(value, name, place, run)
            if "meta" in value:
                _profiles(value, place, run)
            if name == "Observation" and run.implied:
                _implied(value, place, run)
        finally:
            run.resource = outer

    def contained(self, value: Any, place: Place, run: Run) -> None:
        """Check a contained resource."""
        outer, run.container = run.container, run.resource
        try:
            self.resource(value, place, run)
        finally:
            run.container = outer

    def node(self, key: str) -> Check:
        """The check of objects of a type, or of a backbone element."""
        found = self._nodes.get(key)
        return self._nodes.setdefault(key, self._node(key)) if found is None else found

    def _node(self, key: str) -> Check:
        definition = self._definitions.types[key]
        table = Table(self, definition)
        constraints = definition.constraints if definition.kind != "backbone" else ()
        whole = (*_OF_WHOLE.get(key, ()), *self._invariants.checks(constraints, key))

        def check(value: Any, place: Place, run: Run) -> None:
            if type(value) is not dict:
                return
            for name in value:
                one = table[name]
                if one is not None:
                    one(value[name], place, run)
            for rule in whole:
                rule(value, place, run)

        return check

    def property(self, element: Element, name: str) -> Check | None:
        """What is to be checked of a property, or of its `_name`; None where there is nothing."""
        of = element.json_names[name.removeprefix("_")]
        shown = f"{element.name}.ofType({of.code})" if element.choice and of else element.name
        if name.startswith("_"):
            return self._companion(shown)
        parts = tuple(self._parts(element, of))
        if of and of.code in TEXTS and not self._errors_only:
            return _and_texts(_of_parts(parts, element, shown), shown)
        return _of_parts(parts, element, shown)

    def _parts(self, element: Element, of: ElementType | None) -> Iterator[Check]:
        """The checks of one value of an element."""
        code = of.code if of else ""
        if element.type_key:
            yield self.node(element.type_key)
        elif of:
            yield from self._of_type(element, of)
        yield from self._invariants.checks(self._constraints(element), element.type_key or code)
        if element.binding and not (element.binding.strength == "required" and self._listed(element, code)):
            bound = binding_check(element.binding, code, errors_only=self._errors_only)
            if bound:
                yield bound
        if element.binding and element.binding.value_set == _LANGUAGES:
            yield maximum_check(_ALL_LANGUAGES)

    def _constraints(self, element: Element) -> tuple[str, ...]:
        """The invariants at an element; those of a content reference are where it refers to."""
        target = self._definitions.element(element.content) if element.content else None
        return element.constraints + (target.constraints if target else ())

    def _listed(self, element: Element, code: str) -> bool:
        """Whether structure has the codes of a required binding already."""
        return element.binding is not None and element.binding.value_set in self._definitions.required_codes

    def _of_type(self, element: Element, of: ElementType) -> Iterator[Check]:
        code, kind = of.code, self._definitions.types[of.code].kind
        if kind == "resource":
            yield self.contained if element.name == "contained" else self.resource
        elif code == "Extension":
            yield self._extension(modifier=element.name == "modifierExtension")
        elif kind == "primitive-type":
            found = primitive_check(element, of)
            if found:
                yield found
        else:
            yield from self._of_data_type(of)

    def _of_data_type(self, of: ElementType) -> Iterator[Check]:
        yield self.node(of.code)
        for profile in of.profiles:
            if profile not in _OF_STRUCTURE:
                yield _profiled(profile)

    def _extension(self, *, modifier: bool) -> Check:
        inner = self.node("Extension")

        def check(value: Any, place: Place, run: Run) -> None:
            if type(value) is dict:
                inner(value, place, run)
                profiles.check_extension(value, place, run, modifier=modifier)

        return check

    def _companion(self, shown: str) -> Check:
        """The extensions of primitives."""
        extensions = _every(self._extension(modifier=False), "extension")

        def check(value: Any, place: Place, run: Run) -> None:
            many = type(value) is list
            for index, item in enumerate(value if many else [value]):
                if type(item) is dict and "extension" in item:
                    extensions(item["extension"], Place(place, shown, index if many else -1), run)

        return check


class Table(dict[str, Check | None]):
    """JSON property to its check, for one kind of object; made when a property is first met, for types may hold
    themselves and most properties never come by."""

    def __init__(self, rules: Rules, definition: TypeDefinition) -> None:
        super().__init__()
        self._rules = rules
        self._known = definition.by_name

    def __missing__(self, name: str) -> Check | None:
        element = self._known.get(name.removeprefix("_"))
        if element is None:
            return None
        made = self[name] = self._rules.property(element, name)
        return made


def _of_parts(parts: tuple[Check, ...], element: Element, shown: str) -> Check | None:
    if not parts:
        return None
    one = parts[0] if len(parts) == 1 else _all(parts)
    return _every(one, shown) if element.max is None or element.max > 1 else _single(one, shown)


def _and_texts(rest: Check | None, shown: str) -> Check:
    def check(value: Any, place: Place, run: Run) -> None:
        texts(value, place, shown, run)
        if rest is not None:
            rest(value, place, run)

    return check


def _every(one: Check, shown: str) -> Check:
    def check(value: Any, place: Place, run: Run) -> None:
        if type(value) is list:
            for index, item in enumerate(value):
                one(item, Place(place, shown, index), run)

    return check


def _single(one: Check, shown: str) -> Check:
    return lambda value, place, run: one(value, Place(place, shown), run)


def _all(parts: tuple[Check, ...]) -> Check:
    def check(value: Any, place: Place, run: Run) -> None:
        for part in parts:
            part(value, place, run)

    return check


def _profiled(profile: str) -> Check:
    return lambda value, place, run: profiles.check(value, profile, place, run)


def _profiles(resource: dict[str, Any], place: Place, run: Run) -> None:
    """The profiles that a resource says it conforms to. Spec: https://hl7.org/fhir/R4/resource.html#Meta"""
    meta = resource["meta"]
    named = meta.get("profile") if type(meta) is dict else None
    for index, profile in enumerate(named if type(named) is list else ()):
        if type(profile) is str and profile != _BASE + resource["resourceType"]:
            check_profile(resource, profile, place, (run, index))


def _prose(resource: dict[str, Any], name: str, place: Place, run: Run) -> None:
    """Rules that R4 gives in words for a type of resource."""
    if run.prose or name in _ANSWERS:
        before, run.findings.origin = run.findings.origin, "base" if name in _ANSWERS else "prose"
        try:
            resources.check(resource, place, run)
        finally:
            run.findings.origin = before


def _implied(resource: dict[str, Any], place: Place, run: Run) -> None:
    """The profiles that R4 asks for because of a code. Spec: https://hl7.org/fhir/R4/observation-vitalsigns.html"""
    for implied in implied_profiles(resource):
        if profiles.known(implied.profile, run):
            text = f"checked against {implied.profile}, as R4 asks for the code {implied.code}"
            run.inform(place, "informational", text)
            _of_profile(resource, implied.profile, place, (run, "implied"))


def check_profile(resource: dict[str, Any], profile: str, place: Place, claim: tuple[Run, int]) -> None:
    """Check one claim of `meta.profile`; one that is not known here is a warning."""
    run, index = claim
    if not profiles.known(profile, run):
        at = Place(Place(place, "meta"), "profile", index)
        run.unchecked(at, "structure", f"conformance was not checked: {profiles.why_not(profile, run)}")
        return
    _of_profile(resource, profile, place, (run, "profile"))


def _of_profile(resource: dict[str, Any], profile: str, place: Place, claim: tuple[Run, Origin]) -> None:
    run, origin = claim
    before, run.findings.origin = run.findings.origin, origin
    try:
        profiles.check(resource, profile, place, run)
    finally:
        run.findings.origin = before


@cache
def rules_of(definitions: Definitions, *, errors_only: bool = False) -> Rules:
    """The rules of definitions: one for each process."""
    return Rules(definitions, errors_only=errors_only)
