"""What an element definition says, in a form in which a profile can be compared with what it is made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import Definitions, Element
from fhir_server.validation.profiles.elements import Json, Tree, objects

CORE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_PROFILE_ELEMENT = CORE + "elementdefinition-profile-element"
_FHIR_TYPE = CORE + "structuredefinition-fhir-type"
UNBOUNDED = 1 << 60
ALWAYS = frozenset(("ele-1", "ext-1"))


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """What is said of one type of an element: URLs of profiles on it, URLs or names of targets."""

    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()
    versioning: str = "either"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is compared; `types` empty: not said."""

    min: int
    max: int
    types: Mapping[str, TypeFacts]
    binding: tuple[str, str] | None
    constraints: frozenset[str]
    values: Mapping[str, Any]


NOTHING = Facts(0, UNBOUNDED, {}, None, ALWAYS, {})


def facts_of_element(element: Element, definitions: Definitions) -> Facts:
    """Return the facts of an element of the base definitions."""
    found = set(ALWAYS | set(element.constraints))
    for of in element.types:
        if of.code in definitions.types:
            found |= set(definitions.types[of.code].constraints)
    binding = element.binding
    return Facts(
        element.min,
        UNBOUNDED if element.max is None else element.max,
        {of.code: TypeFacts(of.profiles, of.targets) for of in element.types},
        (binding.strength, binding.value_set) if binding else None,
        frozenset(key.partition("@")[0] for key in found),
        {},
    )


def facts_of_type(name: str, definitions: Definitions) -> Facts:
    """Return the facts of the root of a type."""
    constraints = definitions.types[name].constraints if name in definitions.types else ()
    keys = frozenset(key.partition("@")[0] for key in constraints)
    return Facts(0, UNBOUNDED, {}, None, ALWAYS | keys, {})


def facts_of_tree(tree: Tree, definitions: Definitions) -> Facts:
    """Return the facts of an element of a snapshot."""
    definition = tree.definition
    binding = definition.get("binding")
    return Facts(
        natural(definition.get("min"), 0),
        natural(definition.get("max"), UNBOUNDED),
        types_of(definition, definitions),
        binding_facts(binding) if isinstance(binding, dict) else None,
        frozenset(str(constraint.get("key")) for constraint in objects(definition.get("constraint"))),
        {name: value for name, value in definition.items() if name.startswith(_VALUES)},
    )


_VALUES = ("fixed", "pattern", "minValue", "maxValue", "maxLength", "extension")


def natural(value: Any, default: int) -> int:
    """Read a cardinality; `*` and nonsense are the default."""
    text = str(value)
    return min(int(text), UNBOUNDED) if text.isascii() and text.isdecimal() and len(text) < 20 else default


def binding_facts(binding: Json) -> tuple[str, str]:
    """Return strength and value set without the version of the core."""
    value_set = str(binding.get("valueSet") or "")
    return str(binding.get("strength") or ""), value_set.removesuffix("|4.0.1")


def types_of(definition: Json, definitions: Definitions) -> dict[str, TypeFacts]:
    """Return the types of an element by code; the types of FHIRPath are those of FHIR that they stand for."""
    found: dict[str, TypeFacts] = {}
    for of in objects(definition.get("type")):
        if code := _code(of):
            before = found.get(code, TypeFacts())
            found[code] = TypeFacts(
                before.profiles + tuple(_profiles(of)),
                before.targets + tuple(_target(url, definitions) for url in _texts(of, "targetProfile")),
                before.aggregation + _texts(of, "aggregation"),
                str(of.get("versioning") or before.versioning),
            )
    return found


def _code(of: Json) -> str:
    code = str(of.get("code") or "")
    if not code.startswith(_SYSTEM):
        return code.removeprefix(CORE)
    for extension in objects(of.get("extension")):
        if extension.get("url") == _FHIR_TYPE:
            return str(extension.get("valueUrl") or extension.get("valueUri") or "string")
    name = code.removeprefix(_SYSTEM)
    return name[:1].lower() + name[1:]


def _texts(of: Json, name: str) -> tuple[str, ...]:
    found = of.get(name)
    return tuple(text for text in found if isinstance(text, str)) if isinstance(found, list) else ()


def _profiles(of: Json) -> Iterator[str]:
    """URLs of profiles; one that stands for an element of another profile is followed by `#` and the element's id.

    Spec: https://hl7.org/fhir/R4/extension-elementdefinition-profile-element.html
    """
    beside = of.get("_profile")
    companions = beside if isinstance(beside, list) else []
    for index, url in enumerate(_texts(of, "profile")):
        companion = companions[index] if index < len(companions) else None
        element = _profile_element(companion) if isinstance(companion, dict) else ""
        yield f"{url}#{element}" if element else url


def _profile_element(companion: Json) -> str:
    for extension in objects(companion.get("extension")):
        if extension.get("url") == _PROFILE_ELEMENT:
            return str(extension.get("valueString") or "")
    return ""


def _target(url: str, definitions: Definitions) -> str:
    """Resource types of the core go by their names."""
    name = url.partition("|")[0].removeprefix(CORE)
    known = definitions.types.get(name)
    return name if known is not None and known.kind == "resource" else url
