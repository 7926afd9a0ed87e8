"""Which fields the types of FHIR have in GraphQL.

Names are those of the JSON: `valueQuantity`, `_birthDate`. Types nested in others are named after their path:
`PatientContact`.

Spec: https://hl7.org/fhir/R4/graphql.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fhir_server.plugin_api import Definitions

ANY = "Resource"
_ABSTRACT = frozenset({ANY, "DomainResource"})


@dataclass(frozen=True, slots=True)
class ElementField:
    """One property: its type (a key of the definitions), whether it is an array, and whether its values are scalars."""

    type: str
    many: bool
    scalar: bool


class Fields:
    """The fields of types, made when they are first asked for."""

    def __init__(self, facts: Definitions) -> None:
        self.facts = facts
        self._of: dict[str, Mapping[str, ElementField]] = {}

    def of(self, type_: str) -> Mapping[str, ElementField]:
        """The elements of a type by their name in JSON."""
        found = self._of.get(type_)
        if found is None:
            found = self._of[type_] = self._made(type_)
        return found

    def _made(self, type_: str) -> Mapping[str, ElementField]:
        definition = self.facts.types.get(type_)
        found: dict[str, ElementField] = {}
        for element in definition.elements if definition else ():
            for name, of in element.json_names.items():
                key = element.type_key or (of.code if of else ANY)
                many = element.max is None or element.max > 1
                scalar = self.is_scalar(key)
                found[name] = ElementField(key, many, scalar)
                if scalar:
                    found[f"_{name}"] = ElementField("Element", many, False)
        return found

    def is_scalar(self, type_: str) -> bool:
        """Whether values of a type are scalars; the text of a narrative is one too."""
        definition = self.facts.types.get(type_)
        return type_ == "xhtml" or (definition is not None and definition.kind == "primitive-type")

    def is_resource(self, type_: str) -> bool:
        """Whether a type is one of resources, abstract ones included."""
        return type_ in _ABSTRACT or type_ in self.facts.resource_types or type_ == "Parameters"

    def fits(self, type_: str, wanted: str) -> bool:
        """Whether a type is, or is a kind of, the one of a fragment, by either of its names."""
        while type_:
            if wanted in (type_, name_of(type_)):
                return True
            definition = self.facts.types.get(type_)
            type_ = (definition.base if definition else "") or ""
        return False


@cache
def fields_of(facts: Definitions) -> Fields:
    """The fields by some definitions, made once."""
    return Fields(facts)


def name_of(type_: str) -> str:
    """The name of a type in GraphQL: `Patient.contact` is PatientContact."""
    return "".join(part[:1].upper() + part[1:] for part in type_.split(".")) if "." in type_ else type_
