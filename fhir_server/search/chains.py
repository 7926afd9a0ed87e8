"""Names of search parameters, chained and reversed, resolved to nodes of the tree.

Spec: https://hl7.org/fhir/R4/search.html#chaining and https://hl7.org/fhir/R4/search.html#has
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import count

from fhir_server.errors import BadRequest, BadValue, FhirError, TooCostly, UnknownParameter
from fhir_server.search import query as q
from fhir_server.search.asked import Asked, asked_for, short
from fhir_server.search.parameters import Parameter, ParameterRegistry
from fhir_server.search.parameters_canonical import holds_urls_alone

MakeLeaf = Callable[[str, Asked], q.Node]
"""Makes the node at the end of a chain, from the type that it stands under and the parameter that was asked for."""

_MOST_HINTS = 10
_MOST_STEPS = 5_000
"""Chains without types over references to any type multiply: this many names are resolved for one search."""


@dataclass(frozen=True, slots=True)
class Names:
    """Resolves names in one registry. `whole` is the name as the client wrote it, for messages; `hints` say what finds
    nothing."""

    registry: ParameterRegistry
    max_chain: int
    whole: str
    hints: dict[str, None] = field(default_factory=dict)
    steps: Iterator[int] = field(default_factory=count)

    def resolve(self, type_: str, name: str, leaf: MakeLeaf, depth: int = 0) -> q.Node:
        """Return the node of a parameter name that stands under `type_`.

        Raises:
            UnknownParameter: a name or modifier is not known; says which are near.
            BadValue: from `leaf`.
            TooCostly: the chain is longer than the limit.
        """
        if depth > self.max_chain:
            raise self.costly(f"a chain may have {self.max_chain} links")
        if next(self.steps) > _MOST_STEPS:
            raise self.costly("too many types come into question; name them, as in subject:Patient.name")
        if name.startswith("_has:"):
            return self._has(type_, name, leaf, depth)
        head, _, rest = name.partition(".")
        if rest:
            return self._chain(type_, head, rest, leaf, depth)
        code, _, modifier = name.partition(":")
        if code == "_list":
            return leaf(type_, Asked(self.whole, "_list", "list", modifier=modifier))
        return leaf(type_, asked_for(self.parameter(type_, code), self.whole, modifier))

    def parameter(self, type_: str, code: str) -> Parameter:
        """Return one parameter of a type. Raises UnknownParameter with the nearest names."""
        found = self.registry.get(type_, code)
        if found is not None:
            return found
        if code in ("_text", "_content"):
            return Parameter(code, "string", "", "Resource", None)
        near = get_close_matches(code, self.registry.of(type_), n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        whole = "" if code == self.whole else f" in {short(self.whole)}"
        raise self.unknown(f"unknown search parameter {code[:100]!r} of {type_}{whole}{hint}")

    def reference(self, type_: str, code: str) -> Parameter:
        """Return a parameter that is a reference. Raises UnknownParameter."""
        parameter = self.parameter(type_, code)
        if parameter.type != "reference":
            raise self.unknown(f"{code} of {type_} in {short(self.whole)} is a {parameter.type}, not a reference")
        return parameter

    def _followed(self, type_: str, code: str) -> Parameter:
        """Return a reference that a chain follows, and note where it holds nothing that can be followed."""
        parameter = self.reference(type_, code)
        if holds_urls_alone(parameter, type_, self.registry) and len(self.hints) < _MOST_HINTS:
            said = f"{code} of {type_} holds canonical URLs, which chains and _has do not follow: this finds nothing"
            self.hints[said] = None
        return parameter

    def unknown(self, message: str) -> UnknownParameter:
        """Return the error for a name."""
        return UnknownParameter(message, expression=f"http.{short(self.whole)}")

    def costly(self, reason: str) -> TooCostly:
        """Return the error for a chain that takes too much."""
        return TooCostly(f"{short(self.whole)}: {reason}", expression=f"http.{short(self.whole)}")

    def _has(self, type_: str, name: str, leaf: MakeLeaf, depth: int) -> q.Node:
        """`_has:Observation:patient:code` under Patient."""
        parts = name.split(":", 3)
        if len(parts) != 4 or not all(parts):
            raise self.unknown(f"{short(self.whole)}: it takes _has:Type:reference:parameter")
        _, source, code, rest = parts
        if source not in self.registry.types:
            raise self.unknown(f"{short(self.whole)}: there is no resource type {source[:100]!r}")
        targets = self._followed(source, code).targets
        if targets and type_ not in targets:
            raise self.unknown(f"{short(self.whole)}: {source}.{code} refers to {', '.join(targets)}, never to {type_}")
        return q.Has(source, code, self.resolve(source, rest, leaf, depth + 1))

    def _chain(self, type_: str, head: str, rest: str, leaf: MakeLeaf, depth: int) -> q.Node:
        """`subject:Patient.name` under Observation; without a type every one that has the rest is meant."""
        code, _, target = head.partition(":")
        targets = self.targets(type_, code, target)
        return self.over(code, targets, rest, lambda each: self.resolve(each, rest, leaf, depth + 1))

    def targets(self, type_: str, code: str, target: str) -> tuple[str, ...]:
        """Return the types that a link of a chain leads to. Raises UnknownParameter."""
        targets = self._followed(type_, code).targets or self.registry.types
        if not target:
            return targets
        if target not in targets:
            raise self.unknown(f"{short(self.whole)}: {code} of {type_} does not refer to {target[:100]!r}")
        return (target,)

    def over(self, code: str, targets: tuple[str, ...], rest: str, resolve: Callable[[str], q.Node]) -> q.Node:
        """Return the alternatives over the types for which the rest can be resolved.

        Raises:
            FhirError: it can be for none; that of the value, if there is one, says more than that of the name.
        """
        candidates = tuple(target for target in targets if self.may_follow(target, rest))
        nodes: list[q.Node] = []
        faults: list[FhirError] = []
        for target in candidates or targets[:1]:
            try:
                nodes.append(q.Chain(code, target, resolve(target)))
            except BadRequest as fault:
                faults.append(fault)
        if nodes:
            return nodes[0] if len(nodes) == 1 else q.Or(tuple(nodes))
        raise next((fault for fault in faults if isinstance(fault, BadValue)), faults[0])

    def may_follow(self, type_: str, rest: str) -> bool:
        """Tell whether a type has the parameter that the rest of a chain begins with."""
        code = rest.partition(".")[0].partition(":")[0]
        return code in ("_has", "_list", "_text", "_content") or self.registry.get(type_, code) is not None
