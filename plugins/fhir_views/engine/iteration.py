"""`forEach`, `forEachOrNull` and `repeat`: the elements that a selection structure is evaluated on.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#unnesting-semantics
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from fhir_views.engine.definition import SelectSpec, Text
from fhir_views.engine.faults import Fault, TooManyRows
from fhir_views.engine.limits import ViewLimits
from fhir_views.engine.scopes import Compiler, NeedsNodes, Resource, Scope, together

# (resource, focus, row index) to the elements.
Foci: TypeAlias = Callable[[Resource, Any, int], list[Any]]


def foci_of(
    spec: SelectSpec, scope: Scope, compiler: Compiler, limits: ViewLimits, *, nodes: bool
) -> tuple[Foci, Scope]:
    """What finds the elements of a structure, and the scope that they are.

    Raises:
        NeedsNodes: it cannot be done on bare JSON, or the scope is that and nodes are asked for.
    """
    types = _types_below(spec, scope, compiler)
    inner = Scope("node" if nodes else "json", types)
    if not nodes and inner.type is None:
        raise NeedsNodes
    find = _one_by_one(spec.paths, inner, compiler)
    if spec.iteration != "repeat":
        return find(scope), inner
    return _repeated(find(scope), find(inner), spec.place, limits), inner


def _types_below(spec: SelectSpec, scope: Scope, compiler: Compiler) -> frozenset[str] | None:
    """What the elements may be: for `repeat` also what is found below those."""
    if spec.iteration != "repeat":
        return together(compiler.types(path, scope) for path in spec.paths)
    found: frozenset[str] = frozenset()
    wrong: dict[Text, Fault] = {}
    level, useful = scope, set[Text]()
    while True:
        judged = {path: compiler.judged(path, level) for path in spec.paths}
        useful |= {path for path, (_, fault) in judged.items() if fault is None}
        wrong |= {path: fault for path, (_, fault) in judged.items() if fault is not None and path not in wrong}
        more = together(types for types, fault in judged.values() if fault is None)
        if more is None or more <= found:
            break
        found |= more
        level = Scope(scope.kind, found)
    # A path may well lead nowhere on one level; it is suspicious if it does on all.
    compiler.warnings |= {path.place: fault for path, fault in wrong.items() if path not in useful}
    return found if more is not None and found else None


def _one_by_one(paths: tuple[Text, ...], inner: Scope, compiler: Compiler) -> Callable[[Scope], Foci]:
    """What a scope gives by all paths, in their order: JSON or nodes, as the inner scope wants them."""

    def find(scope: Scope) -> Foci:
        if inner.kind == "node":
            finders: list[Foci] = [compiler.nodes(path, scope) for path in paths]
        else:
            finders = [_plainly(path, scope, compiler) for path in paths]
        if len(finders) == 1:
            return finders[0]
        return lambda resource, focus, index: [each for one in finders for each in one(resource, focus, index)]

    return find


def _plainly(path: Text, scope: Scope, compiler: Compiler) -> Foci:
    expression = compiler.expression(path)
    if expression is None or scope.type is None or not expression.is_plain(scope.type):
        raise NeedsNodes
    return compiler.evaluator(path, scope)


def _repeated(first: Foci, further: Foci, place: str, limits: ViewLimits) -> Foci:
    """Elements and all below them, each before those below it."""

    def find(resource: Resource, focus: Any, index: int) -> list[Any]:
        found: list[Any] = []
        # Pairs of an element and its level; the next one to look at is the last.
        waiting = [(each, 1) for each in reversed(first(resource, focus, index))]
        while waiting:
            element, level = waiting.pop()
            if level > limits.repeat_depth or len(found) >= limits.rows:
                raise TooManyRows(Fault(f"{place}.repeat", "goes on for ever, or deeper than the limits allow"))
            found.append(element)
            waiting += [(each, level + 1) for each in reversed(further(resource, element, 0))]
        return found

    return find
