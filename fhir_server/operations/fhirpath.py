"""`$fhirpath`: an expression evaluated on a resource that comes with the call.

Spec: https://hl7.org/fhir/R4/fhirpath.html
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import BadRequest, FhirError, TooCostly
from fhir_server.fhirpath import (
    DEFAULT_LIMITS,
    FhirPathError,
    LimitExceeded,
    Node,
    Options,
    Services,
    TypeModel,
    compile_expression,
)
from fhir_server.fhirpath.types import model_of
from fhir_server.model.json import decode, encode
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Typed
from fhir_server.operations.typed_parts import Forms, Part

_SYSTEM = {"System.DateTime": "dateTime", "System.Quantity": "Quantity"} | {
    f"System.{name}": name.lower() for name in ("Boolean", "String", "Integer", "Decimal", "Date", "Time")
}
_MOST_RESULTS = 10_000


async def _run(ctx: Context, call: Call) -> Outputs:
    """Evaluate in a thread, so that others are served meanwhile.

    Raises:
        BadRequest: an expression is wrong; says where.
        TooCostly: it goes beyond a limit.
    """
    return await asyncio.to_thread(_Evaluation(ctx, call).outputs)


class _Evaluation:
    """One call: the parts of its answer, within one limit of time and size for all contexts."""

    def __init__(self, ctx: Context, call: Call) -> None:
        self._ctx, self._inputs = ctx, call.inputs
        self._model: TypeModel = model_of(ctx.definitions)
        self._forms = Forms(ctx.definitions)
        self._variables = _variables(call, self._model)
        self._deadline = monotonic() + DEFAULT_LIMITS.seconds
        self._bytes = 0
        self._valid = not ctx.validator.check(self._inputs.one("resource"), level="structure")

    def outputs(self) -> Outputs:
        """Evaluate on each context and return the results in order."""
        found = []
        for context, node in self._found():
            found.append(("result", Typed("parts", self._result(context, node))))
            if len(found) > _MOST_RESULTS or self._bytes > self._ctx.settings.max_body:
                raise TooCostly("the expression gives more than an answer may hold", expression="expression")
        return Outputs(found)

    def _found(self) -> Iterator[tuple[Node | None, Node]]:
        resource = self._inputs.one("resource")
        if "context" not in self._inputs.values:
            yield from ((None, node) for node in self._evaluate("expression", resource))
            return
        for context in self._evaluate("context", resource):
            for node in self._evaluate("expression", resource, context):
                yield context, node

    def _evaluate(self, name: str, resource: Any, context: Node | None = None) -> list[Node]:
        text = self._inputs.one(name)
        left = self._deadline - monotonic()
        if left <= 0:
            raise _refused(name, LimitExceeded(f"it takes longer than {DEFAULT_LIMITS.seconds} s"))
        services = Services(now=lambda: datetime.fromtimestamp(self._ctx.now() / 1000, UTC))
        options = Options(services, replace(DEFAULT_LIMITS, seconds=left), strict=True)
        try:
            return compile_expression(text, model=self._model).evaluate(
                resource, self._variables, context=context, options=options
            )
        except FhirPathError as error:
            raise _refused(name, error) from None
        except (TypeError, AttributeError, KeyError):
            # Expressions rely on elements of the right shape; a resource as it was given may have others.
            if self._valid:
                raise
            raise BadRequest(f"{name}: the resource is not valid, and this cannot be evaluated on it") from None

    def _result(self, context: Node | None, node: Node) -> list[Part]:
        parts = [] if (value := self._value(node)) is None else [value]
        if path := self._path(node):
            parts.append({"name": "path", "valueString": path})
        if node.type is not None:
            parts.append({"name": "type", "valueString": node.type})
        if context is not None and (path := self._path(context)):
            parts.append({"name": "context", "valueString": path})
        self._bytes += len(encode(parts))
        return parts

    def _value(self, node: Node) -> Part | None:
        type_, value = _SYSTEM.get(node.type or "", node.type), node.value
        if value == "" and node.extra is None:
            return None
        if type_ is None or type_ not in self._forms.types:
            return self._forms.typed("value", "string", value if isinstance(value, str) else encode(value).decode())
        part = self._forms.parts("value", type_, value, node.extra)
        # What FHIR cannot hold is text: a time that stops at the hour, a large integer, what was wrong from the start.
        if (node.parent is None or not self._valid) and "resource" not in part and self._wrong(part):
            return self._forms.typed("value", "string", value if isinstance(value, str) else encode(value).decode())
        return None if part.get("part") == [] else part

    def _wrong(self, part: Part) -> bool:
        probe = {"resourceType": "Parameters", "parameter": [part]}
        return bool(self._ctx.validator.check(probe, "Parameters", level="structure"))

    def _path(self, node: Node) -> str:
        top = node
        while top.parent is not None:
            top = top.parent
        return node.path(self._model) if top.value is self._inputs.one("resource") else ""


def _refused(name: str, error: FhirPathError) -> FhirError:
    kind = TooCostly if isinstance(error, LimitExceeded) else BadRequest
    return kind(f"{name}: {error}", expression=f"Parameters.parameter.where(name='{name}')")


def _variables(call: Call, model: TypeModel) -> dict[str, list[Any]]:
    """Return the variables with the types that their `value[x]` names; that they are well formed is known already."""
    if not call.inputs.many("variable"):
        return {}
    found: dict[str, list[Any]] = {}
    for parameter in decode(call.request.body)["parameter"]:
        if parameter["name"] == "variable":
            parts = parameter["part"]
            name = next(value for part in parts if part["name"] == "name" for value in (_text(part),))
            found.setdefault(name, []).extend(_item(part, model) for part in parts if part["name"] == "value")
    return found


def _text(part: Part) -> str:
    return str(next(value for key, value in part.items() if key.startswith("value")))


def _item(part: Part, model: TypeModel) -> Any:
    if "resource" in part:
        return part["resource"]
    key = next(key for key in part if key.startswith("value"))
    suffix = key.removeprefix("value")
    lowered = suffix[:1].lower() + suffix[1:]
    return Node(part[key], lowered if model.is_primitive(lowered) else suffix, extra=part.get("_" + key))


fhirpath = CoreOperation(
    facts=own("fhirpath"),
    handler=_run,
    summary="Evaluate a FHIRPath expression on a resource that is given, with the type and place of each result.",
)
