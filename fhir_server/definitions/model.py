"""The values of the R4 definitions: types, elements, search parameters, operations, invariants, patient links."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["resource", "complex-type", "primitive-type", "backbone"]


@dataclass(frozen=True, slots=True)
class Binding:
    """Which value set a coded element draws on; `value_set` is a canonical URL without `|version`.

    Spec: https://hl7.org/fhir/R4/terminologies.html#strength
    """

    strength: Literal["required", "extensible", "preferred", "example"]
    value_set: str


@dataclass(frozen=True, slots=True)
class ElementType:
    """One type that an element may have.

    `targets` are the types that a Reference or canonical may point to (empty: any), `profiles` the canonical URLs
    of what the type is narrowed to (SimpleQuantity, MoneyQuantity). FHIRPath type names of the package are mapped
    to the FHIR type (`id` of a resource is `id`, of an element `string`).
    """

    code: str
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type.

    `name` is without `[x]`, `path` with it (`Observation.value[x]`). `max` None means `*`. `type_key` is the key in
    `Definitions.types` of a nested definition (backbone elements and content references), else None; `content` is
    that key for content references only, whose `types` are empty. `constraints` are keys of
    `Definitions.invariants`; `ele-1`, which holds everywhere, is left out.

    Spec: https://hl7.org/fhir/R4/elementdefinition.html
    """

    name: str
    path: str
    min: int
    max: int | None
    types: tuple[ElementType, ...] = ()
    choice: bool = False
    content: str | None = None
    binding: Binding | None = None
    modifier: bool = False
    summary: bool = False
    constraints: tuple[str, ...] = ()
    type_key: str | None = None
    xml_attribute: bool = False

    @property
    def json_names(self) -> Mapping[str, ElementType | None]:
        """JSON property to its type: one for each type of a choice (`valueQuantity`), else the name itself.

        Spec: https://hl7.org/fhir/R4/formats.html#choice
        """
        if self.choice:
            return {self.name + t.code[0].upper() + t.code[1:]: t for t in self.types}
        return {self.name: self.types[0] if self.types else None}


@dataclass(frozen=True, slots=True)
class TypeDefinition:
    """A resource, a data type or a backbone element (`Patient.contact`), with all its elements in snapshot order.

    `by_name` has every JSON property, choices under each concrete name. `constraints` are the invariants of the
    type itself (those of a backbone are at its element). `regex` is that of a primitive's text as published: it
    is not anchored, and that of base64Binary takes exponential time on bad input. `url` is that of the
    StructureDefinition where it is not one of R4's own.

    Spec: https://hl7.org/fhir/R4/structuredefinition.html
    """

    name: str
    kind: Kind
    base: str | None
    abstract: bool
    elements: tuple[Element, ...]
    by_name: Mapping[str, Element] = field(compare=False)
    constraints: tuple[str, ...] = ()
    regex: str | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule on elements, as FHIRPath; `paths` says where it stands (`dom-2` at DomainResource only).

    Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints
    """

    key: str
    severity: Literal["error", "warning"]
    human: str
    expression: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchParameterDefinition:
    """What can be searched for: `components` are (URL of the parameter, expression below the composite's root).

    Spec: https://hl7.org/fhir/R4/searchparameter.html
    """

    url: str
    name: str
    code: str
    base: tuple[str, ...]
    type: str
    expression: str | None = None
    targets: tuple[str, ...] = ()
    components: tuple[tuple[str, str], ...] = ()
    modifiers: tuple[str, ...] = ()
    comparators: tuple[str, ...] = ()
    multiple_or: bool = True
    multiple_and: bool = True


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """One parameter of an operation; `max` None means `*`, `type` is None when it has `parts`.

    Spec: https://hl7.org/fhir/R4/operationdefinition.html
    """

    name: str
    use: Literal["in", "out"]
    min: int
    max: int | None
    type: str | None = None
    search_type: str | None = None
    targets: tuple[str, ...] = ()
    parts: tuple["OperationParameter", ...] = ()


@dataclass(frozen=True, slots=True)
class OperationFacts:
    """An operation of the specification and the levels at which it may be called.

    definition: the OperationDefinition that they are of; R4's own are facts alone.

    Spec: https://hl7.org/fhir/R4/operationslist.html
    """

    code: str
    name: str
    url: str
    system: bool
    type_level: bool
    instance: bool
    resources: tuple[str, ...] = ()
    affects_state: bool = False
    parameters: tuple[OperationParameter, ...] = ()
    definition: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PatientLink:
    """One way in which a resource reaches a patient.

    `expression` is FHIRPath on the resource and gives References (for `entry.resource` of Bundle the resources
    themselves). With `via` None, those that name a Patient are the link and others count for nothing. Else the
    target's own links are followed: `via` is its type, or `Resource` for whatever type the reference names, where
    a Patient again is the link itself. References into a Bundle (`urn:uuid:`) are resolved within it.

    `role` tells a record of the patient (`subject`) from one in which the patient takes part (`party`: author,
    payee, member; the R4 compartment counts both) and from one that merely names the patient (`mention`: never a
    reason to let somebody see it). A resource may reach several patients.

    Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
    """

    expression: str
    via: str | None = None
    role: Literal["subject", "party", "mention"] = "subject"
