"""Invariants of R4 as checks: plain ones straight on the JSON, a few by hand, the rest as FHIRPath in their place.

Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fhir_server.definitions import Definitions, Invariant
from fhir_server.fhirpath import (
    Expression,
    FhirPathError,
    Limits,
    Node,
    Options,
    Services,
    TypeModel,
    compile_expression,
)
from fhir_server.validation.place import Place
from fhir_server.validation.rules.native import LEFT_OUT, NATIVE, QUICK, Holds
from fhir_server.validation.run import Check, Json, Run

_OPTIONS = Limits(seconds=1.0, steps=200_000)
_BROKEN = (FhirPathError, AttributeError, TypeError, ValueError, KeyError, IndexError, ArithmeticError, RecursionError)


class Invariants:
    """Makes the checks of invariants by key."""

    def __init__(self, definitions: Definitions, model: TypeModel, *, errors_only: bool) -> None:
        self._known = definitions.invariants
        self._model = model
        self._errors_only = errors_only

    def checks(self, keys: Iterable[str], type_: str) -> Iterator[Check]:
        """Yield the checks of some invariants on elements of a type."""
        for key in dict.fromkeys(keys):
            found = self._known.get(key)
            if found is None or _name(found) in LEFT_OUT or (self._errors_only and found.severity != "error"):
                continue
            made = _check(found, self._holds(found, type_))
            yield _not_contained(made) if key == "dom-6" else made

    def _holds(self, invariant: Invariant, type_: str) -> Holds:
        if _name(invariant) in NATIVE:
            return NATIVE[_name(invariant)]
        severe = invariant.severity == "error"
        expression = compile_expression(invariant.expression, model=self._model)
        if expression.is_plain(type_):
            return _plain(expression.for_type(type_), severe)
        return lambda value, run: _true(evaluate(expression, value, type_, run), severe, run)


def _name(invariant: Invariant) -> str:
    return invariant.key.partition("@")[0]


def _plain(walk: Callable[[Any], list[Any]], severe: bool) -> Holds:
    def holds(value: Any, run: Run) -> bool:
        return _true(walk(value), severe, run)

    return holds


def _check(invariant: Invariant, holds: Holds) -> Check:
    key = _name(invariant)
    text = f"{invariant.human.removesuffix('.')} ({key})"
    severe, glance = invariant.severity == "error", QUICK.get(key, _unknown)

    def check(value: Any, place: Place, run: Run) -> None:
        try:
            if glance(value) or holds(value, run):
                return
        except _BROKEN as error:
            _not_evaluated(key, error, place, run)
            return
        (run.error if severe else run.warn)(place, "invariant", text, key)

    return check


def _unknown(value: Any) -> None:
    """Most rules cannot be told at a glance."""


def _not_contained(check: Check) -> Check:
    """A contained resource needs no narrative: the one around it tells."""

    def outside(value: Any, place: Place, run: Run) -> None:
        if run.container is None:
            check(value, place, run)

    return outside


def _not_evaluated(key: str, error: Exception, place: Place, run: Run) -> None:
    """An invariant's own trouble is nobody's fault; in a resource with faults it is only an echo of them."""
    if not run.findings.errors:
        run.inform(place, "incomplete", f"the invariant {key} could not be evaluated: {str(error)[:200]}", key)


def evaluate(expression: Expression, value: Any, type_: str, run: Run) -> list[Any]:
    """Evaluate on an element as part of its resource.

    Raises:
        FhirPathError: it is wrong, or cut off.
    """
    container: Json | None = run.container
    above = None if container is None else Node(container, _type(container))
    resource = Node(run.resource, _type(run.resource), above, "contained" if above else "")
    context = resource if value is run.resource else Node(value, type_, resource)
    options = Options(Services(resolve=run.resolve), _OPTIONS)  # type: ignore[arg-type]  # resources are read only
    return [node.value for node in expression.evaluate(resource, context=context, options=options)]


def _type(resource: Json) -> str | None:
    found = resource.get("resourceType")
    return found if isinstance(found, str) else None


def _true(found: list[Any], severe: bool, run: Run) -> bool:
    """Nothing at all is not true: two dates of which nobody can say which is earlier are not in order. But a warning
    needs a reason, and what is missing in a bad resource was told already."""
    if not found:
        return not severe or run.findings.errors > 0
    return found[0] is not False
