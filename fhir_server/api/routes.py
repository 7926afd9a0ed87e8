"""The URL forms of FHIR's REST interface: path segments and method to an interaction.

Spec: https://hl7.org/fhir/R4/http.html#summary
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from fhir_server.definitions import Definitions
from fhir_server.errors import BadValue, MethodNotAllowed, NotFound, UnknownPath
from fhir_server.model.keys import ResourceKey, is_id

Methods = Mapping[str, str]


def _methods(**interactions: str) -> Methods:
    return MappingProxyType(interactions)


_SYSTEM = _methods(GET="search-system", POST="batch")
_METADATA = _methods(GET="capabilities")
_OPERATION = _methods(GET="operation", POST="operation")
# GET of `_search` is older than R4; HAPI's client still offers it.
_SYSTEM_SEARCH = _methods(GET="search-system", POST="search-system")
_SYSTEM_HISTORY = _methods(GET="history-system")
_TYPE = _methods(GET="search-type", POST="create", PUT="update", PATCH="patch", DELETE="delete")
_TYPE_SEARCH = _methods(GET="search-type", POST="search-type")
_TYPE_HISTORY = _methods(GET="history-type")
_INSTANCE = _methods(GET="read", PUT="update", PATCH="patch", DELETE="delete")
_INSTANCE_HISTORY = _methods(GET="history-instance")
_VERSION = _methods(GET="vread")
_COMPARTMENT = _methods(GET="search-compartment")
_COMPARTMENT_SEARCH = _methods(GET="search-compartment", POST="search-compartment")
_JOB = _methods(GET="job-status", DELETE="job-cancel")
_JOBS = "$job"
_OPERATION_CODE = re.compile(r"\$[A-Za-z0-9][A-Za-z0-9\-_.]{0,100}", re.ASCII)


class Route(NamedTuple):
    """What a path names, and the interaction that each method means there.

    In a compartment `type` is the type searched for, None for `*`.
    """

    methods: Methods
    type: str | None = None
    id: str | None = None
    vid: str | None = None
    operation: str | None = None
    compartment: ResourceKey | None = None

    @property
    def allow(self) -> str:
        """The value of the Allow header."""
        head = ("HEAD",) if "GET" in self.methods else ()
        return ", ".join((*self.methods, *head, "OPTIONS"))

    def interaction(self, method: str) -> str:
        """Return the interaction that a method means here.

        Raises:
            MethodNotAllowed: the path does not have this method; `headers` has Allow.
        """
        found = self.methods.get("GET" if method == "HEAD" else method)
        if found is None:
            raise _not_allowed(method, self)
        return found


class Router:
    """Knows the resource types and compartments that have URLs."""

    def __init__(self, definitions: Definitions) -> None:
        self._types = frozenset(definitions.resource_types)
        self.known: dict[bytes, Route] = {}
        """Room for what paths were found to name."""
        self._compartments = definitions.compartments
        self._system = {
            "metadata": Route(_METADATA),
            "_search": Route(_SYSTEM_SEARCH),
            "_history": Route(_SYSTEM_HISTORY),
        }
        self._by_length = (self._base, self._one, self._two, self._three, self._four, self._five)

    def route(self, segments: Sequence[str]) -> Route:
        """Return what the decoded segments below the base name.

        Raises:
            UnknownPath: no such path, resource type or compartment.
        """
        if len(segments) >= len(self._by_length):
            raise _unknown(segments)
        return self._by_length[len(segments)](*segments)

    def _base(self) -> Route:
        return Route(_SYSTEM)

    def _one(self, name: str) -> Route:
        if name in self._types:
            return Route(_TYPE, name)
        if name.startswith("$"):
            return Route(_OPERATION, operation=_operation(name))
        return self._system.get(name) or self._unknown_type(name)

    def _two(self, type_: str, name: str) -> Route:
        if type_ == _JOBS:
            return Route(_JOB, id=name)
        if type_ not in self._types:
            return self._unknown_type(type_)
        if name == "_search":
            return Route(_TYPE_SEARCH, type_)
        if name == "_history":
            return Route(_TYPE_HISTORY, type_)
        if name.startswith("$"):
            return Route(_OPERATION, type_, operation=_operation(name))
        return Route(_INSTANCE, type_, name)

    def _three(self, type_: str, id_: str, name: str) -> Route:
        if type_ not in self._types:
            return self._unknown_type(type_)
        if name == "_history":
            return Route(_INSTANCE_HISTORY, type_, id_)
        if name.startswith("$"):
            return Route(_OPERATION, type_, id_, operation=_operation(name))
        return self._in_compartment(_COMPARTMENT, type_, id_, name)

    def _four(self, type_: str, id_: str, name: str, last: str) -> Route:
        if type_ not in self._types:
            return self._unknown_type(type_)
        if name == "_history":
            return Route(_VERSION, type_, id_, last)
        if last == "_search":
            return self._in_compartment(_COMPARTMENT_SEARCH, type_, id_, name)
        raise _unknown((type_, id_, name, last))

    def _five(self, type_: str, id_: str, name: str, vid: str, operation: str) -> Route:
        """Operations on one version (`$meta`). Spec: https://hl7.org/fhir/R4/resource-operation-meta.html"""
        if type_ in self._types and name == "_history" and operation.startswith("$"):
            return Route(_OPERATION, type_, id_, vid, _operation(operation))
        raise _unknown((type_, id_, name, vid, operation))

    def _in_compartment(self, methods: Methods, type_: str, id_: str, name: str) -> Route:
        if type_ not in self._compartments:
            raise UnknownPath(f"there is no {type_} compartment, so nothing to find at {name!r}", expression="http.url")
        if name != "*" and name not in self._types:
            return self._unknown_type(name)
        return Route(methods, None if name == "*" else name, compartment=ResourceKey(type_, id_))

    def _unknown_type(self, name: str) -> Route:
        near = get_close_matches(name[:40].capitalize(), self._types, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownPath(f"{name[:80]!r} is not a resource type{hint}", expression="http.url")


def check_ids(method: str, route: Route) -> None:
    """Refuse ids that no resource can have.

    Spec: https://hl7.org/fhir/R4/datatypes.html#id

    Raises:
        NotFound: nothing can exist under such an id.
        BadValue: a write to such an id.
    """
    id_ = route.id or (route.compartment.id if route.compartment else None)
    if id_ is None or is_id(id_):
        return
    text = f"{id_[:80]!r} is not an id: 1 to 64 letters, digits, hyphens and dots"
    if method in ("PUT", "PATCH"):
        raise BadValue(text, expression="http.url")
    raise NotFound(text, expression="http.url")


def _operation(segment: str) -> str:
    if not _OPERATION_CODE.fullmatch(segment):
        raise UnknownPath(f"{segment[:80]!r} is not the name of an operation", expression="http.url")
    return segment[1:]


def _unknown(segments: Sequence[str]) -> UnknownPath:
    return UnknownPath(f"there is nothing at {'/'.join(segments)[:200]!r}", expression="http.url")


def _not_allowed(method: str, route: Route) -> MethodNotAllowed:
    error = MethodNotAllowed(f"{method[:20]} is not allowed here, only {route.allow}", expression="http.method")
    error.headers["Allow"] = route.allow
    return error
