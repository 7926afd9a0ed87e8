"""SMART scopes, versions 1 and 2, parsed once and compared as values.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

Level = Literal["patient", "user", "system"]

LETTERS = "cruds"
"""create, read, update, delete, search: the order in which a scope has to name them."""

_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_RESOURCE = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]*|\*)\.(read|write|\*|c?r?u?d?s?)(\?.+)?", re.ASCII)
_LAUNCH = re.compile(r"launch(/[a-z]+)?(\?role=[A-Za-z0-9:/._\-]+)?", re.ASCII)
LAUNCH = "__launch"
"""To make launch contexts, which an EHR's own app or service may. Extensions begin so:
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#extensibility"""

INTROSPECT = "__introspect"
"""To introspect tokens of any client, which a resource server may."""

_KNOWN = frozenset(("openid", "fhirUser", "profile", "offline_access", "online_access", LAUNCH, INTROSPECT))


_offered: dict[str, str] = {}
"""Scopes of plugins with their plain words; the same in all processes, set when an application is made."""


def offer(words: Mapping[str, str]) -> None:
    """Let clients ask for further scopes: those of plugins, with what they mean in plain words."""
    _offered.clear()
    _offered.update(words)


def offered() -> Mapping[str, str]:
    """Return the scopes of plugins and their words."""
    return _offered


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope on resources.

    `type` is a resource type or `*`, `letters` a part of `cruds` in that order, `query` the search that a granular
    scope is narrowed to, without its `?`. `text` is how it was written.
    """

    level: Level
    type: str
    letters: str
    query: str = ""
    text: str = ""

    def allows(self, letter: str, type_: str) -> bool:
        """Tell whether it allows `c`, `r`, `u`, `d` or `s` on a type, on some resources of it at the least."""
        return letter in self.letters and self.type in ("*", type_)


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of one grant: those on resources, and the names of all others that mean something here."""

    resources: tuple[Scope, ...] = ()
    others: frozenset[str] = frozenset()

    def __contains__(self, name: object) -> bool:
        return name in self.others

    def levels(self) -> frozenset[Level]:
        """Return the levels that occur."""
        return frozenset(scope.level for scope in self.resources)

    def letters(self, type_: str) -> frozenset[str]:
        """Return what is allowed on a type, on some resources of it at the least."""
        return frozenset(letter for letter in LETTERS for scope in self.resources if scope.allows(letter, type_))

    def __str__(self) -> str:
        return " ".join([*sorted(self.others), *(scope.text for scope in self.resources)])


def parse_scope(text: str) -> Scope | None:
    """Return a scope on resources; None for one that is about something else, or badly written.

    `patient/*.rs`, `user/Observation.cruds?category=laboratory`, and of version 1 `patient/Observation.read`.
    """
    found = _RESOURCE.fullmatch(text)
    if found is None:
        return None
    level, type_, rights, query = found.groups()
    letters = _V1.get(rights, rights)
    if not letters or (query and rights in _V1):
        return None
    return Scope(cast(Level, level), type_, letters, (query or "?")[1:], text)


def parse_scopes(text: str) -> Scopes:
    """Return the scopes of a space-separated list; what means nothing here is left out, as SMART asks."""
    names = list(dict.fromkeys(text.split()))
    resources = tuple(scope for name in names if (scope := parse_scope(name)))
    return Scopes(resources, frozenset(name for name in names if _is_other(name)))


def _is_other(name: str) -> bool:
    return bool(_LAUNCH.fullmatch(name)) or name in _KNOWN or name in _offered


def narrowed(asked: Scopes, allowed: Scopes) -> Scopes:
    """Return what of the scopes that were asked for lies within those that are allowed.

    A scope that is allowed in part is given in part: `user/*.cruds` where `user/*.rs` is allowed becomes that, and
    where only types are allowed, one scope for each of them. A `patient` scope lies within a `user` one.
    """
    found = (part for scope in asked.resources for part in _parts(scope, allowed.resources))
    return Scopes(tuple(dict.fromkeys(found)), asked.others & allowed.others)


def contain(mine: str, theirs: str) -> bool:
    """Tell whether a token with the scopes `mine` may do with resources all that one with `theirs` may.

    Who asks for what a job made with `theirs` gets no more than they might have made themselves.
    """
    asked = parse_scopes(theirs)
    return set(asked.resources) <= set(narrowed(asked, parse_scopes(mine)).resources)


def _parts(asked: Scope, allowed: Iterable[Scope]) -> Iterable[Scope]:
    for limit in allowed:
        if limit.level != asked.level and (asked.level, limit.level) != ("patient", "user"):
            continue
        letters = "".join(letter for letter in asked.letters if letter in limit.letters)
        type_ = _common_type(asked.type, limit.type)
        query = _common_query(asked.query, limit.query)
        if not letters or type_ is None or query is None:
            continue
        unchanged = (letters, type_, query) == (asked.letters, asked.type, asked.query)
        yield asked if unchanged else _written(asked.level, type_, letters, query)


def _common_type(one: str, other: str) -> str | None:
    if "*" in (one, other):
        return other if one == "*" else one
    return one if one == other else None


def _common_query(one: str, other: str) -> str | None:
    """Two searches of which both must hold are joined: the parameters of a search all have to hold."""
    return one if one == other else "&".join(filter(None, (one, other)))


def _written(level: Level, type_: str, letters: str, query: str) -> Scope:
    return Scope(level, type_, letters, query, f"{level}/{type_}.{letters}" + (f"?{query}" if query else ""))
