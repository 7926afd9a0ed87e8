"""What the parser asks of terminology: value sets and hierarchies as lists of codes."""

from collections.abc import Sequence
from typing import Protocol

from fhir_server.search.query import TokenValue


class CodeExpander(Protocol):
    """Turns `:in`, `:not-in`, `:above` and `:below` into codes, so that no engine knows terminology.

    The calls are synchronous: the parser is, and an expander holds its expansions in memory.

    Spec: https://hl7.org/fhir/R4/search.html#modifiers
    """

    def codes_in(self, value_set: str) -> Sequence[TokenValue]:
        """Return the codes of a value set by canonical URL, or by reference such as `ValueSet/123`.

        Raises:
            BadValue: there is no such value set.
            TooCostly: it has more codes than a search may hold.
        """

    def ancestors(self, system: str, code: str) -> Sequence[TokenValue]:
        """Return the code itself and all that subsume it. Raises as `codes_in`."""

    def descendants(self, system: str, code: str) -> Sequence[TokenValue]:
        """Return the code itself and all that it subsumes. Raises as `codes_in`."""
