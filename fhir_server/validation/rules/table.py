"""The rules of every kind of object, made when it is first met: JSON property to what is to be checked there.

Only what carries a rule is visited. See docs/adr/0011-full-validation.md.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fhir_server.definitions import Definitions, Element, ElementType, TypeDefinition
from fhir_server.fhirpath.types import model_of
from fhir_server.validation import profiles
from fhir_server.validation.place import Place
from fhir_server.validation.resources.attachment import check as check_attachment
from fhir_server.validation.rules import codes
from fhir_server.validation.rules.bindings import binding_check, maximum_check
from fhir_server.validation.rules.claims import check_claims
from fhir_server.validation.rules.invariants import Invariants
from fhir_server.validation.rules.primitives import TEXTS, primitive_check
from fhir_server.validation.rules.visits import Kind, and_texts, companion, visiting
from fhir_server.validation.rules.words import identifier_fault, in_words, of_element, without_values
from fhir_server.validation.run import Check, Run

# The only maximum value set of R4 that is not an invariant too.
_LANGUAGES, _ALL_LANGUAGES = "http://hl7.org/fhir/ValueSet/languages", "http://hl7.org/fhir/ValueSet/all-languages"
_OF_STRUCTURE = frozenset(("http://hl7.org/fhir/StructureDefinition/SimpleQuantity",))
_OF_WHOLE: Mapping[str, tuple[Check, ...]] = {
    "Coding": (codes.coding,),
    "Attachment": (check_attachment,),
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), (codes.unit,)),
}


_IN_WORDS: Mapping[str, tuple[Check, ...]] = {"Identifier": (in_words(identifier_fault),)}


class Rules:
    """The rules of definitions; safe to share between threads."""

    def __init__(self, definitions: Definitions, *, errors_only: bool = False) -> None:
        self._definitions = definitions
        self._errors_only = errors_only
        model = model_of(definitions)
        self._invariants = Invariants(definitions, model, errors_only=errors_only)
        self._kinds: dict[str, Kind] = {}

    def resource(self, value: Any, place: Place, run: Run) -> None:
        """Check a resource of its own, and all within."""
        name = value.get("resourceType") if type(value) is dict else None
        if type(name) is not str or name not in self._definitions.types:
            return
        outer = run.resource
        run.resource = value
        try:
            self.kind(name).check(value, place, run)
            check_claims(value, name, place, run)
        finally:
            run.resource = outer

    def contained(self, value: Any, place: Place, run: Run) -> None:
        """Check a contained resource."""
        outer, run.container = run.container, run.resource
        try:
            self.resource(value, place, run)
        finally:
            run.container = outer

    def kind(self, key: str) -> Kind:
        """The rules on objects of a type, or on a backbone element."""
        found = self._kinds.get(key)
        return self._kinds.setdefault(key, self._kind(key)) if found is None else found

    def _kind(self, key: str) -> Kind:
        definition = self._definitions.types[key]
        constraints = definition.constraints if definition.kind != "backbone" else ()
        whole = (*_OF_WHOLE.get(key, ()), *self._invariants.checks(constraints, key))
        if not self._errors_only:
            whole = (*whole, *_IN_WORDS.get(key, ()), *without_values(definition))
        return Kind(Table(self, definition), whole)

    def property(self, element: Element, name: str) -> Check | None:
        """What is to be checked of a property, or of its `_name`; None where there is nothing."""
        of = element.json_names[name.removeprefix("_")]
        shown = f"{element.name}.ofType({of.code})" if element.choice and of else element.name
        if name.startswith("_"):
            extension = visiting(self.kind("Extension"), (_extension,), "extension", many=True)
            return companion(extension, shown) if extension else None
        many = element.max is None or element.max > 1
        found = visiting(self._kind_of(element, of), tuple(self._rules(element, of)), shown, many=many)
        return and_texts(found, shown) if of and of.code in TEXTS and not self._errors_only else found

    def _kind_of(self, element: Element, of: ElementType | None) -> Kind | None:
        """What the values of an element are, if they are objects of a type that is known beforehand."""
        if element.type_key:
            return self.kind(element.type_key)
        return self.kind(of.code) if of and self._definitions.types[of.code].kind == "complex-type" else None

    def _rules(self, element: Element, of: ElementType | None) -> Iterator[Check]:
        """The rules on one value of an element beyond those of its kind."""
        code = of.code if of else ""
        if of:
            yield from self._of_type(element, of)
        yield from self._invariants.checks(self._constraints(element), element.type_key or code)
        if not self._errors_only:
            yield from of_element(element, of)
        binding = element.binding
        if binding and not (binding.strength == "required" and binding.value_set in self._definitions.required_codes):
            bound = binding_check(binding, code, errors_only=self._errors_only)
            if bound:
                yield bound
        if binding and binding.value_set == _LANGUAGES:
            yield maximum_check(_ALL_LANGUAGES)

    def _constraints(self, element: Element) -> tuple[str, ...]:
        """The invariants at an element; those of a content reference are where it refers to."""
        target = self._definitions.element(element.content) if element.content else None
        return element.constraints + (target.constraints if target else ())

    def _of_type(self, element: Element, of: ElementType) -> Iterator[Check]:
        kind = self._definitions.types[of.code].kind
        if kind == "resource":
            yield self.contained if element.name == "contained" else self.resource
        elif kind == "primitive-type":
            found = primitive_check(element, of)
            if found:
                yield found
        elif of.code == "Extension":
            yield _modifier if element.name == "modifierExtension" else _extension
        for profile in of.profiles:
            if profile not in _OF_STRUCTURE and not element.type_key:
                yield _profiled(profile)


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


def _extension(value: Any, place: Place, run: Run) -> None:
    profiles.check_extension(value, place, run)


def _modifier(value: Any, place: Place, run: Run) -> None:
    profiles.check_extension(value, place, run, modifier=True)


def _profiled(profile: str) -> Check:
    return lambda value, place, run: profiles.check(value, profile, place, run)


@cache
def rules_of(definitions: Definitions, *, errors_only: bool = False) -> Rules:
    """The rules of definitions: one for each process."""
    return Rules(definitions, errors_only=errors_only)
