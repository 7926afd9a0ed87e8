"""Which search parameters name resources by canonical URLs, and of which types.

Spec: https://hl7.org/fhir/R4/references.html#canonical
"""

from functools import lru_cache

from fhir_server.definitions import Definitions
from fhir_server.search.parameter import Parameter, names_resources, routes
from fhir_server.search.parameters import ParameterRegistry

_URLS = frozenset({"canonical", "uri", "url"})


def canonical_targets(parameter: Parameter, base: str, registry: ParameterRegistry) -> tuple[str, ...]:
    """Return the types that a parameter of the type `base` may name by URL; none where it holds no URLs."""
    if parameter.type != "reference" or not _holds_urls(parameter, base, registry.facts):
        return ()
    types = parameter.targets or registry.types
    return tuple(type_ for type_ in types if (url := registry.get(type_, "url")) is not None and url.type == "uri")


def included_types(parameter: Parameter, base: str, registry: ParameterRegistry) -> tuple[str, ...]:
    """Return the types that an include by a parameter of the type `base` may bring."""
    if names_resources(parameter, base, registry.facts):
        return parameter.targets or registry.types
    return canonical_targets(parameter, base, registry)


def holds_urls_alone(parameter: Parameter, base: str, registry: ParameterRegistry) -> bool:
    """Tell whether a reference parameter of the type `base` leads to canonicals and to no References."""
    return _holds_urls(parameter, base, registry.facts) and not names_resources(parameter, base, registry.facts)


@lru_cache(maxsize=4_096)
def _holds_urls(parameter: Parameter, base: str, facts: Definitions) -> bool:
    return any(route.type in _URLS for route in routes(parameter.expression, base, facts))
