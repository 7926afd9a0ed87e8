"""One profile: what its StructureDefinition says, and the checks made of that."""

from dataclasses import dataclass, field

from fhir_server.validation.profiles.compiler import Compiler
from fhir_server.validation.profiles.elements import Json, Tree, objects
from fhir_server.validation.profiles.facts import CORE
from fhir_server.validation.profiles.rule import SpotCheck
from fhir_server.validation.profiles.values import fixed_value

_IMPOSED = CORE + "structuredefinition-imposeProfile"


@dataclass(slots=True, eq=False)
class Profile:
    """One StructureDefinition, compiled when it is first used.

    Attributes:
        label: its URL and version, as findings name it.
        type: the type that it is a profile on.
        must_support: paths of the elements that are marked so.
        imposed: URLs of profiles that must hold as well.
    """

    url: str
    label: str
    type: str
    definition: Json
    tree: Tree
    compiler: Compiler
    _checks: tuple[SpotCheck, ...] | None = None
    must_support: tuple[str, ...] = field(default=())
    imposed: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.imposed = _imposed(self.definition)

    def checks(self) -> tuple[SpotCheck, ...]:
        """Return the checks. Two threads may make them twice; either will do."""
        if self._checks is None:
            whole = self.tree is self.compiler.tree
            self._checks = self.compiler.root() if whole else self.compiler.nested(self.tree)
        return self._checks

    @property
    def extension_url(self) -> str:
        """The URL that extensions of this definition have."""
        url = self.tree.children.get("url")
        found = fixed_value(url.definition) if url else None
        return found[0] if found and isinstance(found[0], str) else self.url


def _imposed(definition: Json) -> tuple[str, ...]:
    """The profiles that a resource has to conform to as well.

    Spec: https://hl7.org/fhir/extensions/StructureDefinition-structuredefinition-imposeProfile.html
    """
    extensions = objects(definition.get("extension"))
    urls = (each.get("valueCanonical") for each in extensions if each.get("url") == _IMPOSED)
    return tuple(url for url in urls if isinstance(url, str))
