"""Value sets and hierarchies as lists of codes, for search (`:in`, `:not-in`, `:above`, `:below`).

Spec: https://hl7.org/fhir/R4/search.html#modifiers
"""

from collections.abc import Iterable, Iterator

from fhir_server.errors import BadValue, NotFound
from fhir_server.search.query import TokenValue
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.expansion import Expansion
from fhir_server.terminology.scope import Scope


def codes_in(scope: Scope, value_set: str) -> Iterator[TokenValue]:
    """Yield the codes of a value set, each once; a system that nobody can list is one value without code.

    Raises:
        BadValue: there is no such value set, or it needs what is not known here.
        TooCostly: it needs too much work.
    """
    composition = scope.value_set(value_set)
    if composition is None:
        raise BadValue(f"there is no value set {value_set[:200]!r} here")
    try:
        items = Expansion(scope, open_systems=True).codes(composition)
    except NotFound as error:
        raise BadValue(str(error)) from None
    return iter(dict.fromkeys(TokenValue(item.url, item.code) for item in items.values()))


def known(scope: Scope, system: str, code: str) -> tuple[CodeSystem, str]:
    """Return a code system, and the code as it writes it.

    Raises:
        BadValue: one of them is not known.
    """
    held = scope.exact(system, "")
    if held is None:
        raise BadValue(f"the codes of the system {system[:200]!r} are not known here")
    concept = held.concept(code)
    if concept is None:
        raise BadValue(f"the system {system[:200]!r} has no code {code[:200]!r}")
    return held, concept.code


def related(system: str, code: str, others: Iterable[str]) -> Iterator[TokenValue]:
    """Yield the code itself, then the others."""
    yield TokenValue(system, code)
    for each in others:
        yield TokenValue(system, each)
