"""Definitions: the R4 facts as one value, to which loaded definitions may add."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fhir_server.definitions.model import (
    Element,
    Invariant,
    OperationFacts,
    PatientLink,
    SearchParameterDefinition,
    TypeDefinition,
)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Definitions:
    """The facts of one FHIR version; compared and hashed by identity, so it can be the key of a cache.

    Attributes:
        types: every type by its key: `Patient`, `HumanName`, `string`, `Patient.contact`.
        resource_types: the types with a REST endpoint, sorted.
        search_parameters: every parameter, sorted by URL.
        compartments: compartment to resource type to codes of search parameters. `_id` stands for the focal
            resource itself. Spec: https://hl7.org/fhir/R4/compartmentdefinition.html
        operations: by id, `Patient-everything`; codes alone are not unique.
        required_codes: value set URL (no `|version`) to code to system: those of required bindings that can be
            listed, and of elements of type `code`.
        code_systems: value set URL to its only system, where the codes cannot be listed (currencies, MIME types).
        invariants: by unique key; `inv-1` is three rules in R4, so `inv-1@Task` and so on.
        patient_links: every resource type to the ways in which it reaches a patient; empty when there are none.
        patient_mentions: the same for references that name a patient and give no right to see the resource;
            types without any are absent. For erasing, exporting and consent.
    """

    types: Mapping[str, TypeDefinition]
    resource_types: tuple[str, ...]
    search_parameters: tuple[SearchParameterDefinition, ...]
    compartments: Mapping[str, Mapping[str, tuple[str, ...]]]
    operations: Mapping[str, OperationFacts]
    required_codes: Mapping[str, Mapping[str, str]]
    code_systems: Mapping[str, str]
    invariants: Mapping[str, Invariant]
    patient_links: Mapping[str, tuple[PatientLink, ...]]
    patient_mentions: Mapping[str, tuple[PatientLink, ...]]

    def element(self, path: str) -> Element | None:
        """The element at a dotted path from a type; None when there is none.

        Types and content references are followed: `Patient.contact.name.family`, `Bundle.entry.link.url`. A choice
        may be written `value[x]`, `value` (then nothing can follow) or `valueQuantity`.
        """
        type_name, *steps = path.split(".")
        definition = self.types.get(type_name)
        found: Element | None = None
        for step in steps:
            if definition is None:
                return None
            name = step.removesuffix("[x]")
            found = definition.by_name.get(name) or _choice(definition, name)
            if found is None:
                return None
            definition = self._type_below(found, name)
        return found

    def operation(self, code: str, resource_type: str | None = None) -> OperationFacts | None:
        """The operation `$code` as called on a type, or on the system when that is None."""
        for facts in self.operations.values():
            if facts.code != code:
                continue
            if resource_type is None:
                if facts.system:
                    return facts
            elif resource_type in facts.resources or "Resource" in facts.resources:
                return facts
        return None

    def code_system(self, value_set: str, code: str) -> str | None:
        """The system that a plain `code` of a value set belongs to; token search needs it.

        Spec: https://hl7.org/fhir/R4/search.html#token
        """
        codes = self.required_codes.get(value_set)
        if codes is None:
            return self.code_systems.get(value_set)
        if code in codes:
            return codes[code]
        systems = set(codes.values())
        return systems.pop() if len(systems) == 1 else None

    def with_types(
        self,
        types: Iterable[TypeDefinition],
        search_parameters: Iterable[SearchParameterDefinition] = (),
        patient_links: Mapping[str, tuple[PatientLink, ...]] | None = None,
        invariants: Mapping[str, Invariant] | None = None,
    ) -> "Definitions":
        """New definitions with these types, parameters, links and invariants added or put in the place of those of one
        name.

        Resources that are not abstract get an endpoint. A resource without links has an empty tuple of them.
        """
        added = {definition.name: definition for definition in types}
        resources = [d.name for d in added.values() if d.kind == "resource" and not d.abstract]
        by_url = {p.url: p for p in (*self.search_parameters, *search_parameters)}
        links = dict.fromkeys(resources, ()) | dict(self.patient_links) | dict(patient_links or {})
        return replace(
            self,
            types=ChainMap(added, self.types),  # type: ignore[arg-type]  # read only, whatever its stubs say
            resource_types=tuple(sorted({*self.resource_types, *resources})),
            search_parameters=tuple(by_url[url] for url in sorted(by_url)),
            patient_links=links,
            invariants={**self.invariants, **invariants} if invariants else self.invariants,
        )

    def _type_below(self, element: Element, name: str) -> TypeDefinition | None:
        if element.type_key:
            return self.types.get(element.type_key)
        of = element.json_names.get(name)
        return self.types.get(of.code) if of else None


def _choice(definition: TypeDefinition, name: str) -> Element | None:
    return next((e for e in definition.elements if e.choice and e.name == name), None)
