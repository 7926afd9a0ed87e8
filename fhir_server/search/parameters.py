"""Search parameters by resource type: those of R4 and those that were posted to the server."""

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from fhir_server import definitions
from fhir_server.definitions import Definitions
from fhir_server.search.parameter import Component, Parameter, concrete
from fhir_server.search.parameters_custom import CustomReader
from fhir_server.search.parameters_links import link_parameters
from fhir_server.search.parameters_standard import standard_parameters

__all__ = ["Component", "Parameter", "ParameterRegistry"]

_FORMAT = "2"
"""Part of every registry's version: raise it when extraction itself changes what the same definitions give."""

_Table = Mapping[str, Mapping[str, Parameter]]


class ParameterRegistry:
    """Every active parameter of every resource type. Immutable: `with_custom` makes another."""

    __slots__ = ("_by_type", "_links", "_standard", "facts")

    def __init__(self, facts: Definitions, by_type: _Table, standard: _Table | None = None) -> None:
        self.facts = facts
        self._by_type = {type_: MappingProxyType(dict(table)) for type_, table in by_type.items()}
        self._standard = standard or self._by_type
        self._links = link_parameters(facts)

    @staticmethod
    def standard() -> "ParameterRegistry":
        """Return the parameters of R4, made once for each process."""
        return _made(definitions.load())

    @staticmethod
    def of_definitions(facts: Definitions) -> "ParameterRegistry":
        """Return the parameters of these definitions, which may have types that R4 has not; made once for each."""
        return _made(facts)

    @property
    def types(self) -> tuple[str, ...]:
        """The resource types that have parameters: all with a REST endpoint."""
        return tuple(self._by_type)

    def get(self, type_: str, code: str) -> Parameter | None:
        """Return the parameter, those of all resources (`_id`, `_tag`) included; None if there is none."""
        return self.of(type_).get(code)

    def of(self, type_: str) -> Mapping[str, Parameter]:
        """Return all parameters of a type by code, sorted by code; none for a type that is not known."""
        return self._by_type.get(type_, MappingProxyType({}))

    def indexed(self, type_: str) -> Mapping[str, Parameter]:
        """Return all that index rows are made of: what can be searched for, and the links to patients."""
        return {**self.of(type_), **self._links.get(type_, {})}

    def common(self, types: Iterable[str]) -> Mapping[str, Parameter]:
        """Return the parameters that all of the types share by code and type, as a search across types may use."""
        tables = [self.of(type_) for type_ in types] or [{}]
        first, *others = tables
        return {
            code: parameter
            for code, parameter in first.items()
            if all(code in table and table[code].type == parameter.type for table in others)
        }

    def with_custom(self, resources: Iterable[Mapping[str, Any]]) -> "ParameterRegistry":
        """Return the standard parameters and these SearchParameter resources (those given before are dropped).

        Only `active` ones count. A parameter of the specification stays what it is: compartments and restrictions
        stand on it, so a custom one of the same code and type has no effect there. Of two custom ones of the same
        code the one whose URL sorts last wins.

        Raises:
            ValueError: a definition cannot work; the message says which and, for an expression, where in it.
        """
        table = {type_: dict(parameters) for type_, parameters in self._standard.items()}
        reader = self._reader()
        for resource in sorted(resources, key=lambda r: str(r.get("url"))):
            if resource.get("status") == "active":
                self._add(table, reader.read(resource))
        by_type = {type_: dict(sorted(parameters.items())) for type_, parameters in table.items()}
        return ParameterRegistry(self.facts, by_type, self._standard)

    def check(self, resource: Mapping[str, Any]) -> None:
        """Check one SearchParameter resource, whatever its status.

        Raises:
            ValueError: as `with_custom`.
        """
        self._reader().read(resource)

    @property
    def version(self) -> str:
        """A hash of all that extraction depends on: index rows made under another version are stale."""
        return _hash(f"{type_} {self.version_of(type_)}" for type_ in self._by_type)

    def version_of(self, type_: str) -> str:
        """Return the same for the rows of one type, so that only types that changed are indexed again."""
        relevant = (
            (p.code, p.type, p.expression, p.targets, tuple((c.type, c.expression) for c in p.components))
            for _, p in sorted(self.indexed(type_).items())
        )
        return _hash([_FORMAT, *map(repr, relevant)])

    def _add(self, table: dict[str, dict[str, Parameter]], read: Iterable[tuple[str, Parameter]]) -> None:
        for base, parameter in read:
            for type_ in concrete(base, self.facts):
                if parameter.code not in self._standard[type_]:
                    table[type_][parameter.code] = parameter

    def _reader(self) -> CustomReader:
        return CustomReader(self.facts, {p.url: p for table in self._by_type.values() for p in table.values()})


@cache
def _made(facts: Definitions) -> ParameterRegistry:
    return ParameterRegistry(facts, standard_parameters(facts))


def _hash(parts: Iterable[str]) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=12).hexdigest()
