"""Extraction: the index rows of a resource, for every search parameter of its type."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from fhir_server import definitions
from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction.generate import Extract, Generator
from fhir_server.search.extraction.plan import Planner
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.parameters import ParameterRegistry

_NONE_CONTAINED: Mapping[str, str] = {}


class Extractor:
    """Makes index rows by the parameters of one registry.

    The function of a type is generated when the first resource of the type comes. `zone` is that of dates without
    one. Rows may repeat where a resource repeats itself.

    What the rows hold beyond `entries`:
      - a CodeableConcept with nothing but text, which no code finds: (param, None, "")
      - a quantity whose unit is spelt otherwise than its code, a second time under its unit
      - a canonical with a version as (param, None, None, url, version) and as (param, None, None, "url|version", None)
      - a ContactPoint with its `use` as the system, as the specification has it
      - for an Identifier, rows `identifier:of-type`; for a Reference with an identifier, rows `subject:identifier`
    """

    def __init__(self, registry: ParameterRegistry, *, zone: tzinfo = UTC) -> None:
        self.registry = registry
        self._facts = definitions.load()
        self._readers = Readers(zone)
        self._planner = Planner(self._facts, self._readers)
        self._functions: dict[str, Extract] = {}

    def extract(self, type_: str, resource: dict[str, Any], *, own_base: str = "") -> IndexEntries:
        """Return the index rows of a resource, given as parsed JSON (decimals as `Decimal`).

        Absolute references under `own_base`, the server's own URL, count as relative ones.
        """
        contained = resource.get("contained")
        if contained:
            return self._with_contained(type_, resource, contained, own_base)
        return self._function(type_)(resource, (own_base, _NONE_CONTAINED))

    def source(self, type_: str) -> str:
        """Return the Python text that was generated for a type."""
        return self._generator(type_).source()

    def _with_contained(
        self, type_: str, resource: dict[str, Any], contained: list[dict[str, Any]], own_base: str
    ) -> IndexEntries:
        local = [(inner["resourceType"], inner["id"], inner) for inner in contained if "id" in inner]
        scope = (own_base, {id_: kind for kind, id_, _ in local})
        entries = self._function(type_)(resource, scope)
        entries.contained += [(kind, id_, self._function(kind)(inner, scope)) for kind, id_, inner in local]
        return entries

    def _function(self, type_: str) -> Extract:
        function = self._functions.get(type_)
        if function is None:
            function = self._functions[type_] = self._generator(type_).function()
        return function

    def _generator(self, type_: str) -> Generator:
        plan = self._planner.plan(type_, self.registry.of(type_))
        return Generator(plan, self._planner, self._facts, self._readers)
