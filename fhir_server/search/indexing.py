"""Extraction: the index rows of a resource, for every search parameter of its type."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from fhir_server.search.entries import IndexEntries
from fhir_server.search.extraction.elements import Scope
from fhir_server.search.extraction.general import General
from fhir_server.search.extraction.generate import Extract, function_of, source_of
from fhir_server.search.extraction.plan import Planner
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.extraction.shape import Shapes
from fhir_server.search.parameters import ParameterRegistry

_NONE_CONTAINED: Mapping[str, str] = {}
_MOST_PARTIAL = 1_000
_MISSHAPEN = (AttributeError, KeyError, TypeError, ValueError)


class Extractor:
    """Makes index rows by the parameters of one registry.

    The function of a type is generated when the first resource of the type comes. Expressions that it does not cover
    (only custom parameters have such) are evaluated by the general FHIRPath engine.

    What the rows hold beyond what `entries` says:
      - `code:text` strings, the texts that `:text` searches (`folded`, original "")
      - a Coding, CodeableConcept or Identifier without a code as code "", which `:missing` sees and no code finds
      - a quantity whose unit is spelt otherwise than its code a second time, under its unit and no system
      - a canonical with a version as (param, None, None, url, version)
      - a URI with `|version` a second time without
      - a family name a second time for each word after the first, beginning there
      - a token on a string a second time casefolded
    Rows may repeat where a resource repeats itself.

    Args:
        registry: the parameters in force.
        zone: that of dates which name none.
        texts: whether to make the `:text` rows, a sixth of all.
        trusted: whether resources have passed structural validation. If not, their misshapen parts are dropped first.
    """

    def __init__(
        self, registry: ParameterRegistry, *, zone: tzinfo = UTC, texts: bool = True, trusted: bool = True
    ) -> None:
        self.registry = registry
        self._trusted = trusted
        self._choices = f"{zone} {texts}"
        self._facts = registry.facts
        self._shapes = Shapes(self._facts)
        self._readers = Readers(zone)
        self._planner = Planner(self._facts, self._readers, texts=texts)
        self._functions: dict[str, Extract] = {}
        self._partial: dict[tuple[str, frozenset[str]], Extract] = {}

    def extract(self, type_: str, resource: dict[str, Any], *, own_base: str = "") -> IndexEntries:
        """Return the index rows of a resource, given as parsed JSON (decimals as `Decimal`).

        Absolute references under `own_base`, the server's own URL, count as relative ones.
        """
        if not self._trusted:
            return self._extract(type_, self._sound(type_, resource), own_base)
        try:
            return self._extract(type_, resource, own_base)
        except _MISSHAPEN:
            # Validation let it pass, or was off: index what can be.
            return self._extract(type_, self._sound(type_, resource), own_base)

    def some(self, type_: str, resource: dict[str, Any], codes: frozenset[str], *, own_base: str = "") -> IndexEntries:
        """Return the rows of these parameters alone, at a fraction of the cost."""
        if resource.get("contained") or not self._trusted:
            return self.extract(type_, resource, own_base=own_base)
        function = self._partial.get((type_, codes))
        if function is None:
            if len(self._partial) >= _MOST_PARTIAL:
                self._partial.clear()
            function = self._partial[type_, codes] = self._make(type_, codes)
        try:
            return function(resource, (own_base, _NONE_CONTAINED))
        except _MISSHAPEN:
            return self.extract(type_, resource, own_base=own_base)

    def texts(self, type_: str, resource: dict[str, Any]) -> list[tuple[str, str]]:
        """Return what `:text` searches, as (code of the parameter, folded text)."""
        strings = self.extract(type_, resource).strings
        return [(row[0].removesuffix(":text"), row[1]) for row in strings if row[0].endswith(":text")]

    def version_of(self, type_: str) -> str:
        """Return what the rows of a type depend on, zone included: rows made under another version are stale."""
        return f"{self.registry.version_of(type_)} {self._choices}"

    def source(self, type_: str) -> str:
        """Return the Python text that was generated for a type."""
        return source_of(self._planner.plan(type_, self.registry.indexed(type_)), self._facts, self._readers)

    def _extract(self, type_: str, resource: dict[str, Any], own_base: str) -> IndexEntries:
        contained = resource.get("contained")
        if not contained:
            return self._function(type_)(resource, (own_base, _NONE_CONTAINED))
        local = [(inner["resourceType"], inner["id"], inner) for inner in contained if "id" in inner]
        scope = (own_base, {id_: kind for kind, id_, _ in local})
        entries = self._function(type_)(resource, scope)
        entries.contained += [(kind, id_, self._function(kind)(inner, scope)) for kind, id_, inner in local]
        return entries

    def _sound(self, type_: str, resource: dict[str, Any]) -> dict[str, Any]:
        return self._shapes.sound(type_, resource) or {}

    def _function(self, type_: str) -> Extract:
        function = self._functions.get(type_)
        if function is None:
            function = self._functions[type_] = self._make(type_)
        return function

    def _make(self, type_: str, codes: frozenset[str] | None = None) -> Extract:
        parameters = self.registry.indexed(type_)
        if codes is not None:
            parameters = {code: parameter for code, parameter in parameters.items() if code in codes}
        plan = self._planner.plan(type_, parameters)
        extract = function_of(plan, self._facts, self._readers)
        general = [General(parameter, self._facts, self._readers) for parameter in plan.general]
        return _with_general(extract, general) if general else extract


def _with_general(extract: Extract, general: list[General]) -> Extract:
    def extract_all(resource: dict[str, Any], scope: Scope) -> IndexEntries:
        entries = extract(resource, scope)
        for parameter in general:
            parameter.add(resource, scope, entries)
        return entries

    return extract_all
