"""Callers who see a part of the record, in place of everybody that a server without authorization lets in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from fhir_server.context import Caller
from fhir_server.dispatch import entrance
from fhir_server.search.query import EVERYTHING, Node, Token, TokenValue, Visibility


@dataclass(frozen=True)
class Sees:
    """The restriction of somebody who sees some resources of some types and all of others; `may` says what they do."""

    by_type: dict[str, Node]
    may: Callable[[str, str | None], bool] = lambda interaction, type_: True
    unasked: dict[str, frozenset[str]] = field(default_factory=dict)
    mask = None

    @property
    def visibility(self) -> Visibility:
        return Visibility(EVERYTHING, self.by_type, unasked=self.unasked)

    @property
    def nameable(self) -> Visibility:
        return self.visibility

    def writable(self, letter: str, type_: str) -> Node:
        return self.visibility.of(type_)

    def permitted(self, type_: str) -> Node:
        return EVERYTHING


def having(param: str, code: str, system: str | None = None) -> Node:
    """Return what only resources with a code match."""
    return Token(param, (TokenValue(system, code),))


def all_but(*interactions: str, types: Iterable[str] = ()) -> Callable[[str, str | None], bool]:
    """Return the leave to do all but some interactions, and nothing with some types."""
    refused = frozenset(types)
    return lambda interaction, type_: interaction not in interactions and type_ not in refused


def let_in(monkeypatch: pytest.MonkeyPatch, restriction: Sees) -> None:
    """Let everybody in as somebody under a restriction."""
    monkeypatch.setattr(entrance, "authorize", lambda server, request: (Caller("nurse"), restriction))
