"""View: a compiled ViewDefinition, from resources to rows."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from fhir_server.plugin_api import Services, TypeModel, default_model
from fhir_views.engine.columns import Column, distinct
from fhir_views.engine.constants import literals
from fhir_views.engine.definition import ROOT, ViewSpec, read_definition
from fhir_views.engine.faults import Fault, RowError
from fhir_views.engine.limits import DEFAULT_LIMITS, ViewLimits
from fhir_views.engine.scopes import Compiler, Evaluate, Resource, Scope, refuse
from fhir_views.engine.selects import Row, compile_all

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class View:
    """A view, compiled; safe to keep and to share.

    Attributes:
        spec: the definition as it was read.
        columns: the columns of its rows, in order.
        warnings: names in its expressions that the types of FHIR do not have; they give nothing.
    """

    __slots__ = ("_limits", "_model", "_rows", "_where", "columns", "spec", "warnings")

    def __init__(self, spec: ViewSpec, model: TypeModel, limits: ViewLimits, services: Services) -> None:
        self.spec = spec
        self._model, self._limits = model, limits
        if spec.resource and not model.is_resource(spec.resource):
            refuse([Fault(f"{ROOT}.resource", f"there is no resource type {spec.resource}")])
        compiler = Compiler(model, literals(spec.constants), services)
        scope = Scope("resource", frozenset({spec.resource}))
        part = compile_all(spec.selects, scope, compiler, limits, f"{ROOT}.select")
        self._where = [(path.place, _condition(path, scope, compiler)) for path in spec.where]
        self._rows = part.rows
        self.columns: tuple[Column, ...] = part.columns
        _check_columns(part.columns, compiler, limits)
        refuse(compiler.faults)
        self.warnings = tuple(compiler.warnings.values())

    @property
    def name(self) -> str:
        """Its name; the resource type where it has none."""
        return self.spec.name or self.spec.resource.lower()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def rows(self, resource: Mapping[str, Any]) -> list[Row]:
        """The rows of one resource, values in the order of the columns; none for one of another type.

        Decimals should have been read as `Decimal`, so that they keep their digits.

        Raises:
            RowError: with the place in the definition and the resource.
        """
        if resource.get("resourceType") != self.spec.resource:
            return []
        state = Resource(resource, self._model, self._limits.rows)
        try:
            for place, condition in self._where:
                if not _holds(condition(state, resource, 0), place):
                    return []
            return self._rows(state, resource, 0)
        except RowError as error:
            raise error.of(f"{resource.get('resourceType')}/{resource.get('id', '?')}") from None

    def rows_of(self, bodies: Iterable[bytes]) -> Iterator[Row]:
        """The rows of resources given as JSON text."""
        for body in bodies:
            yield from self.rows(_decoder.decode(body))

    def objects(self, resource: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of one resource as objects."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.rows(resource)]


def compile_view(
    definition: Any,
    *,
    model: TypeModel | None = None,
    limits: ViewLimits = DEFAULT_LIMITS,
    services: Services | None = None,
) -> View:
    """Compile the JSON of a ViewDefinition.

    Raises:
        ViewError: it is wrong; has every fault with its place in the definition.
    """
    spec = read_definition(definition, limits)
    return View(spec, model or default_model(), limits, services or Services())


def _condition(path: Any, scope: Scope, compiler: Compiler) -> Evaluate:
    compiler.types(path, scope)
    return compiler.evaluator(path, scope)


def _holds(found: list[Any], place: str) -> bool:
    """A condition as it came out: nothing is false; what is no boolean is an error."""
    if not found:
        return False
    if len(found) > 1 or not isinstance(found[0], bool):
        what = f"{len(found)} values" if len(found) > 1 else "a value that is no boolean"
        raise RowError(Fault(place, f"a condition gives true or false, this gives {what}"))
    return found[0]


def _check_columns(columns: tuple[Column, ...], compiler: Compiler, limits: ViewLimits) -> None:
    if not columns and not compiler.faults:
        compiler.faults.append(Fault(f"{ROOT}.select", "the view has no columns"))
    if len(columns) > limits.columns:
        compiler.faults.append(Fault(f"{ROOT}.select", f"the view has more than {limits.columns} columns"))
    distinct(columns, compiler)
