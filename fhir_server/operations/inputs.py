"""Parameters in: from a query, a Parameters resource or a bare resource, checked from the OperationDefinition.

Spec: https://hl7.org/fhir/R4/operations.html#executing
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from fhir_server.context import Context
from fhir_server.definitions import OperationFacts
from fhir_server.definitions.model import OperationParameter
from fhir_server.errors import BadRequest, BadValue, UnknownParameter
from fhir_server.interactions.prepare import minified, parse
from fhir_server.model.exchange import FhirRequest, Query

_ALWAYS = frozenset(("_format", "_pretty"))
_TEXTS = frozenset(("string", "code", "id", "uri", "url", "canonical", "markdown", "oid", "uuid"))
_NUMBERS = frozenset(("integer", "positiveInt", "unsignedInt"))
_TIMES = frozenset(("date", "dateTime", "instant"))
_FAMILIES = (_TEXTS, _NUMBERS, _NUMBERS | {"decimal"}, _TIMES)
_ANYTHING = frozenset(("Any", "Element", "Type", "*"))


@dataclass(frozen=True, slots=True)
class Inputs:
    """The values of each parameter by name: JSON of a data type or resource, or Inputs for one with parts.

    `parts` are the parameters as they came, as those of a Parameters resource.
    """

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    parts: Sequence[Mapping[str, Any]] = ()

    def one(self, name: str, default: Any = None) -> Any:
        """Return the value of a parameter that may stand once."""
        return next(iter(self.values.get(name, ())), default)

    def many(self, name: str) -> Sequence[Any]:
        """Return all values of a parameter."""
        return self.values.get(name, ())


class _Given(NamedTuple):
    """One parameter as it came: its JSON, and its place for messages."""

    name: str
    part: Mapping[str, Any]
    place: str


class Reader:
    """Reads the calls of one operation.

    Args:
        facts: what the operation takes.
        searches: parameters that the definition does not have are those of a search, and handed on.
        links: names in the query that only the links of an answer have.
        lenient: parameters in a body that the definition does not have are ignored.
    """

    def __init__(
        self,
        facts: OperationFacts,
        *,
        searches: bool = False,
        links: frozenset[str] = frozenset(),
        lenient: bool = False,
    ) -> None:
        self._facts, self._searches, self._links, self._lenient = facts, searches, links, lenient
        self._in = {p.name: p for p in facts.parameters if p.use == "in"}

    def read(self, ctx: Context, request: FhirRequest) -> tuple[Inputs, Query]:
        """Return the parameters and, where the operation is a search, those of the search.

        Raises:
            UnknownParameter: one that the operation does not have.
            BadRequest: one is missing, stands too often, or is of another type or no value of it.
        """
        given: list[_Given] = []
        search: list[tuple[str, str]] = []
        for name, text in request.query:
            if (found := self._from_query(name, text)) is not None:
                given.append(found)
            elif name not in _ALWAYS and name not in self._links:
                search.append((name, text))
        for part in self._from_body(ctx, request):
            if part.name in self._in or not self._searches:
                given.append(part)
            else:
                search.append((part.name, _text(part)))
        return self._checked(ctx, given), tuple(search)

    def _from_query(self, name: str, text: str) -> _Given | None:
        parameter = self._in.get(name)
        if parameter is None:
            if self._searches or name in _ALWAYS or name in self._links:
                return None
            raise self._unknown(name, f"http.{name[:100]}")
        return _Given(name, {"name": name, **_of_text(parameter, text)}, f"http.{name}")

    def _from_body(self, ctx: Context, request: FhirRequest) -> Iterator[_Given]:
        if not request.body:
            return
        body = parse(minified(request.body), ctx.settings.max_depth)
        if body.get("resourceType") != "Parameters":
            yield self._bare(body)
            return
        parts = body.get("parameter", [])
        if not isinstance(parts, list):
            raise BadRequest("Parameters.parameter is not an array", expression="Parameters.parameter")
        for index, part in enumerate(parts):
            place = f"Parameters.parameter[{index}]"
            name = part.get("name") if isinstance(part, dict) else None
            if not isinstance(name, str):
                raise BadRequest(f"{place} has no name", expression=place)
            yield _Given(name, part, place)

    def _bare(self, body: Mapping[str, Any]) -> _Given:
        """Take a resource as the one input that is a resource."""
        type_ = str(body.get("resourceType"))
        own = [p for p in self._in.values() if p.type == type_]
        fits = own or [p for p in self._in.values() if p.type == "Resource"]
        if len(fits) != 1:
            kinds = {p.type for p in self._in.values() if p.type and p.type[0].isupper()}
            takes = " or ".join(sorted({"Parameters", *kinds}))
            raise BadRequest(f"${self._facts.code} takes {takes}, not {type_[:80]}", expression="http.body")
        return _Given(fits[0].name, {"name": fits[0].name, "resource": body}, type_)

    def _checked(self, ctx: Context, given: Sequence[_Given]) -> Inputs:
        return _collect(ctx, self._facts.code, self._in, given, lenient=self._lenient)

    def _unknown(self, name: str, place: str) -> UnknownParameter:
        return _unknown(self._facts.code, name, self._in, place)


def _collect(
    ctx: Context, code: str, wanted: Mapping[str, OperationParameter], given: Sequence[_Given], *, lenient: bool = False
) -> Inputs:
    """Hold what came to names, cardinalities and types."""
    values: dict[str, list[Any]] = {}
    for one in given:
        parameter = wanted.get(one.name)
        if parameter is None and lenient:
            continue
        if parameter is None:
            raise _unknown(code, one.name, wanted, one.place)
        values.setdefault(one.name, []).append(_value(ctx, code, parameter, one))
        if parameter.max is not None and len(values[one.name]) > parameter.max:
            raise BadRequest(f"${code}: {one.name} may stand at most {parameter.max} times", expression=one.place)
    for parameter in wanted.values():
        if len(values.get(parameter.name, ())) < parameter.min:
            raise BadRequest(f"${code} needs the parameter {parameter.name}", expression=f"http.{parameter.name}")
    return Inputs(values, [one.part for one in given])


def _unknown(code: str, name: str, wanted: Iterable[str], place: str) -> UnknownParameter:
    known = ", ".join(wanted) or "none"
    return UnknownParameter(f"${code} has no parameter {name[:100]!r}; it has {known}", expression=place)


def _value(ctx: Context, code: str, parameter: OperationParameter, one: _Given) -> Any:
    if parameter.parts:
        parts = one.part.get("part", [])
        if not isinstance(parts, list):
            raise _wrong(code, one, "parts")
        below = [_below(part, index, one.place) for index, part in enumerate(parts)]
        return _collect(ctx, code, {p.name: p for p in parameter.parts}, below)
    if "resource" in one.part:
        return _resource(ctx, code, parameter, one)
    key = next((key for key in one.part if key.startswith("value")), None)
    type_ = "" if key is None else _type_of(ctx, key.removeprefix("value"))
    if key is None or not _fits(parameter.type or "", type_):
        raise _wrong(code, one, parameter.type or "value")
    declared = type_ if parameter.type in _ANYTHING else parameter.type or ""
    _check(ctx, one, declared, one.part[key])
    return one.part[key]


def _below(part: Any, index: int, place: str) -> _Given:
    here = f"{place}.part[{index}]"
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise BadRequest(f"{here} has no name", expression=here)
    return _Given(part["name"], part, here)


def _resource(ctx: Context, code: str, parameter: OperationParameter, one: _Given) -> Any:
    resource = one.part["resource"]
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    known = isinstance(type_, str) and type_ in ctx.definitions.types
    if not known or (parameter.type not in ("Resource", type_) and parameter.type not in _ANYTHING):
        raise _wrong(code, one, parameter.type or "resource")
    return resource


def _check(ctx: Context, one: _Given, type_: str, value: Any) -> None:
    """Check the form of a value as the validator checks it in a resource; what it means is for the operation."""
    key = f"value{type_[:1].upper()}{type_[1:]}"
    probe = {"resourceType": "Parameters", "parameter": [{"name": one.name, key: value}]}
    errors = [
        i for i in ctx.validator.check(probe, "Parameters", level="structure") if i.severity in ("error", "fatal")
    ]
    if errors:
        raise BadValue(f"{one.name}: {errors[0].diagnostics}", expression=one.place)


def _type_of(ctx: Context, suffix: str) -> str:
    lowered = suffix[:1].lower() + suffix[1:]
    return lowered if lowered in ctx.definitions.types else suffix


def _fits(declared: str, given: str) -> bool:
    if declared == given or declared in _ANYTHING:
        return True
    return any(declared in family and given in family for family in _FAMILIES)


def _wrong(code: str, one: _Given, wanted: str) -> BadRequest:
    resource = one.part.get("resource")
    given = f", not {str(resource.get('resourceType'))[:80]}" if isinstance(resource, dict) else ""
    return BadRequest(f"${code}: {one.name} is of type {wanted}{given}", expression=one.place)


def _of_text(parameter: OperationParameter, text: str) -> dict[str, Any]:
    """Return the value[x] that a text in a URL stands for. Raises BadValue for a type that no URL can hold."""
    type_ = parameter.type or ""
    place = f"http.{parameter.name}"
    if type_ == "Reference":
        return {"valueReference": {"reference": text}}
    if type_ == "Coding":
        system, bar, code = text.rpartition("|")
        return {"valueCoding": ({"system": system} if bar else {}) | {"code": code}}
    if parameter.parts or not (type_[:1].islower() or type_ in _ANYTHING):
        raise BadValue(f"{parameter.name} is of type {type_ or 'parts'} and needs a POST", expression=place)
    try:
        return {f"value{type_[:1].upper()}{type_[1:]}": _json_of(type_, text)}
    except (ValueError, InvalidOperation):
        raise BadValue(f"{parameter.name}={text[:100]} is no {type_}", expression=place) from None


def _json_of(type_: str, text: str) -> Any:
    if type_ == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if type_ in _NUMBERS:
        return int(text) if len(text) < 20 else text
    if type_ == "decimal":
        value = Decimal(text)
        if not value.is_finite():
            raise ValueError(text)
        return value
    # A `+` of a time zone that was not escaped arrives as a space.
    return text.replace(" ", "+") if type_ in _TIMES else text


def _text(given: _Given) -> str:
    value = next((value for key, value in given.part.items() if key.startswith("value")), None)
    if value is None or isinstance(value, dict | list):
        raise BadRequest(f"{given.name} is a search parameter and needs a string", expression=given.place)
    return str(value).lower() if isinstance(value, bool) else str(value)
