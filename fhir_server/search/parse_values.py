"""Values of search parameters, as they stand in a URL, read into the leaves of the neutral tree.

Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import tzinfo

from fhir_server.errors import BadValue, TooCostly, UnknownParameter
from fhir_server.model.keys import is_id
from fhir_server.search import query as q
from fhir_server.search.expander import CodeExpander
from fhir_server.search.fulltext import parse_text
from fhir_server.search.hierarchies import above, below, hierarchical
from fhir_server.search.parameters import Component, Parameter, ParameterRegistry
from fhir_server.search.parse_references import reference_values
from fhir_server.search.values import UCUM, canonical_quantity, date_bounds, fold, number_range

_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\([,$|\\])")
_DEFAULT_DISTANCE = "50"
_UNITS = {"": "km", "mi": "[mi_i]", "ft": "[ft_i]"}
_METER = "m"


@dataclass(frozen=True, slots=True)
class ValueReader:
    """What reading a value depends on besides its text. `now` is milliseconds since 1970 UTC."""

    registry: ParameterRegistry
    zone: tzinfo
    own_base: str
    expander: CodeExpander | None
    now: int
    max_values: int
    max_chain: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One parameter as asked: `name` is what the client wrote, for messages; `param` the code in the tree."""

    name: str
    param: str
    type: str
    targets: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    modifier: str = ""


def split(text: str, separator: str) -> list[str]:
    r"""Split at a separator that no backslash escapes; the parts keep their escapes.

    Spec: https://hl7.org/fhir/R4/search.html#escaping
    """
    if "\\" not in text:
        return text.split(separator)
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    r"""Replace `\,` `\$` `\|` and `\\` by the character; another backslash stands for itself."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def read(asked: Asked, raw: str, reader: ValueReader) -> q.Node:
    """Read a value, an OR list where it has commas, into a node.

    Raises:
        BadValue: the value cannot be read; names the parameter.
        UnknownParameter: the parameter's type has no such modifier.
        TooCostly: more values than the limit.
    """
    if asked.modifier == "missing":
        return _missing(asked, raw)
    values = split(raw, ",")
    if len(values) > reader.max_values:
        raise TooCostly(
            f"{asked.name} has {len(values)} values; the limit is {reader.max_values}",
            expression=f"http.{short(asked.name)}",
        )
    return read_values(asked, tuple(values), reader)


def read_values(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Read alternatives that are split already. Raises as `read`."""
    if not all(value.strip() for value in values):
        raise bad(asked, "", "the value is empty")
    try:
        return _reader_of(asked)(asked, values, reader)
    except ValueError as fault:
        raise bad(asked, ",".join(values), str(fault)) from None


def bad(asked: Asked, value: str, reason: str) -> BadValue:
    """Return the error for a value; what is long is cut."""
    named = asked.name.partition(":")[0] == asked.param
    label = asked.name if named else f"{asked.param} in {asked.name}"
    text = f"bad value {short(value)!r} for {short(label)}: {short(reason)}"
    return BadValue(text, expression=f"http.{short(asked.name)}")


def short(text: str) -> str:
    """Cut a text that goes into a message."""
    return text if len(text) <= 200 else text[:200] + "..."


_Read = Callable[[Asked, tuple[str, ...], ValueReader], q.Node]


def _reader_of(asked: Asked) -> _Read:
    by_modifier = _READERS.get(asked.type, {})
    found = by_modifier.get(asked.modifier)
    if found is None and asked.type == "reference" and asked.modifier[:1].isupper():
        found = _typed_reference
    if found is None:
        known = ", ".join(f":{name}" for name in (*by_modifier, "missing") if name)
        raise UnknownParameter(
            f"unknown modifier :{short(asked.modifier)} in {short(asked.name)}: a {asked.type} parameter takes {known}",
            expression=f"http.{short(asked.name)}",
        )
    return found


def _missing(asked: Asked, raw: str) -> q.Node:
    if asked.type in ("composite", "fulltext", "list"):
        raise UnknownParameter(
            f"{asked.name}: :missing is not for such parameters", expression=f"http.{short(asked.name)}"
        )
    if raw not in ("true", "false"):
        raise bad(asked, raw, ":missing takes true or false")
    if asked.type in ("id", "instant"):
        return q.NOTHING if raw == "true" else q.EVERYTHING
    return q.Missing(asked.param, raw == "true")


# --- ids, instants, text


def _ids(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    wrong = next((value for value in values if not is_id(value)), None)
    if wrong is not None:
        raise bad(asked, wrong, "an id has 1 to 64 letters, digits, '-' and '.'")
    return q.Ids(values)


def _list(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`_list=42`: what the List's entries refer to. Spec: https://hl7.org/fhir/R4/search.html#list"""
    ids = tuple(value.removeprefix("List/") for value in values)
    functional = next((id_ for id_ in ids if not is_id(id_)), None)
    if functional is not None:
        reason = "functional lists are not offered" if functional.startswith("$") else "it takes the id of a List"
        raise bad(asked, functional, reason)
    return q.Has("List", "item", q.Ids(ids))


def _last_updated(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.LastUpdated(tuple(date_value(value, reader) for value in values))


def _full_text(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    queries = [unescape(value) for value in values]
    for each in queries:
        parse_text(each)
    nodes = tuple(q.FullText(asked.param == "_content", each) for each in queries)
    return nodes[0] if len(nodes) == 1 else q.Or(nodes)


# --- strings and URIs


def _string(mode: q.StringMode) -> _Read:
    def read_string(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        exact = mode is q.StringMode.EXACT
        texts = tuple(unescape(v) if exact else fold(unescape(v)) for v in values)
        return q.String(asked.param, mode, texts)

    return read_string


def _uri(mode: q.StringMode) -> _Read:
    def read_uri(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        return q.Uri(asked.param, mode, tuple(unescape(value) for value in values))

    return read_uri


# --- dates, numbers, quantities


def _prefixed(text: str) -> tuple[q.Prefix, str]:
    found = _PREFIX.fullmatch(text)
    prefix, rest = found.groups() if found else (None, text)
    return q.Prefix(prefix or "eq"), rest


def date_value(text: str, reader: ValueReader) -> q.DateValue:
    """Read a date with its prefix; `ap` widens it by a tenth of its distance from now.

    A blank is taken for the `+` of a time zone that a client forgot to encode.

    Raises:
        ValueError: it is no date.
    """
    prefix, rest = _prefixed(unescape(text))
    low, high = date_bounds(rest.strip().replace(" ", "+"), reader.zone)
    if prefix is q.Prefix.AP:
        now = reader.now * 1000
        gap = max(low - now, now - high, 0) // 10
        low, high = low - gap, high + gap
    return q.DateValue(prefix, low, high)


def number_value(text: str) -> q.NumberValue:
    """Read a number with its prefix; `ap` widens it by a tenth of its value.

    Raises:
        ValueError: it is no number.
    """
    prefix, rest = _prefixed(unescape(text))
    value, low, high = number_range(rest.strip())
    if prefix is q.Prefix.AP:
        low, high = min(low, value - abs(value) / 10), max(high, value + abs(value) / 10)
    return q.NumberValue(prefix, value, low, high)


def _date(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.Date(asked.param, tuple(date_value(value, reader) for value in values))


def _number(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.Number(asked.param, tuple(number_value(value) for value in values))


def _quantity(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.Quantity(asked.param, tuple(_quantity_value(value) for value in values))


def _quantity_value(text: str) -> q.QuantityValue:
    parts = split(text, "|")
    if len(parts) not in (1, 3):
        raise ValueError("a quantity is [prefix]number or [prefix]number|system|code")
    number = number_value(parts[0])
    system, code = (unescape(part) for part in (parts[1:] or ("", "")))
    return q.QuantityValue(number, system, code, _canonical(number, code) if system == UCUM else None)


def _canonical(number: q.NumberValue, code: str) -> tuple[q.NumberValue, str] | None:
    bounds = canonical_quantity(number.low, number.high, code)
    exact = canonical_quantity(number.value, number.value, code)
    if bounds is None or exact is None:
        return None
    return replace(number, value=exact[0], low=bounds[0], high=bounds[1]), exact[2]


# --- tokens


def token_value(text: str) -> q.TokenValue:
    """Read `code`, `system|code`, `|code` or `system|`.

    Raises:
        ValueError: more than one bar, or nothing but a bar.
    """
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return q.TokenValue(None, parts[0])
    if len(parts) > 2 or parts == ["", ""]:
        raise ValueError("a token is code, system|code, |code or system|")
    return q.TokenValue(parts[0], parts[1] or None)


def _token(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.Token(asked.param, tuple(token_value(value) for value in values))


def _not_token(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:not` finds resources without any value too."""
    return q.Not(_token(asked, values, reader))


def _token_text(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.TokenText(asked.param, tuple(fold(unescape(value)) for value in values))


def _of_type(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.OfType(asked.param, tuple(_triple(value) for value in values))


def _triple(text: str) -> tuple[str, str, str]:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError(":of-type takes system|code|value of the identifier's type and value")
    return parts[0], parts[1], parts[2]


def _in(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    expander = _expander(asked, reader)
    codes = (code for value in values for code in expander.codes_in(unescape(value)))
    return q.Token(asked.param, tuple(dict.fromkeys(codes)))


def _not_in(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.Not(_in(asked, values, reader))


def _hierarchy(direction: str) -> _Read:
    def read_hierarchy(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        expander = _expander(asked, reader)
        related = expander.descendants if direction == "below" else expander.ancestors
        codes: dict[q.TokenValue, None] = {}
        for system, code in map(_full_code, values):
            codes |= dict.fromkeys(related(system, code))
        return q.Token(asked.param, tuple(codes))

    return read_hierarchy


def _full_code(text: str) -> tuple[str, str]:
    token = token_value(text)
    if not token.system or not token.code:
        raise ValueError("it needs system|code")
    return token.system, token.code


def _expander(asked: Asked, reader: ValueReader) -> CodeExpander:
    if reader.expander is None:
        raise UnknownParameter(
            f"{asked.name}: this server has no terminology, which :{asked.modifier} needs",
            expression=f"http.{short(asked.name)}",
        )
    return reader.expander


# --- references


def _reference(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    found = (each for value in values for each in reference_values(unescape(value), asked.targets, reader))
    return q.Reference(asked.param, tuple(found), asked.targets)


def _typed_reference(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`subject:Patient=23` is `subject=Patient/23`."""
    type_ = asked.modifier
    if type_ not in reader.registry.types:
        raise UnknownParameter(
            f"{short(asked.name)}: there is no resource type {short(type_)}", expression=f"http.{short(asked.name)}"
        )
    if asked.targets and type_ not in asked.targets:
        raise bad(asked, type_, f"it refers to {', '.join(asked.targets)}")
    prefixed = tuple(f"{type_}/{value}" if is_id(value) else value for value in values)
    narrowed = replace(asked, targets=(type_,))
    return _reference(narrowed, prefixed, reader)


def _related(direction: Callable[[q.Reference, dict[str, str], int], q.Node]) -> _Read:
    def read_related(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        node = _reference(asked, values, reader)
        parents = hierarchical(reader.registry, asked.targets)
        if not parents or not isinstance(node, q.Reference):
            raise UnknownParameter(
                f"{short(asked.name)}: {', '.join(asked.targets) or 'the target'} forms no hierarchy",
                expression=f"http.{short(asked.name)}",
            )
        return direction(node, parents, reader.max_chain)

    return read_related


def _reference_identifier(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.ReferenceIdentifier(asked.param, tuple(token_value(value) for value in values))


# --- composites and special


def _composite(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    return q.Composite(asked.param, tuple(tuple(_components(asked, value, reader)) for value in values))


def _components(asked: Asked, text: str, reader: ValueReader) -> Iterator[q.Leaf]:
    parts = split(text, "$")
    if len(parts) != len(asked.components):
        codes = "$".join(component.code for component in asked.components)
        raise ValueError(f"it takes {codes}")
    for position, (component, part) in enumerate(zip(asked.components, parts, strict=True)):
        inner = Asked(asked.name, str(position), component.type, component.targets)
        yield read_values(inner, (part,), reader)  # type: ignore[misc]  # one value without modifier is a leaf


def _near(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    nodes = tuple(_near_value(asked, value) for value in values)
    return nodes[0] if len(nodes) == 1 else q.Or(nodes)


def _near_value(asked: Asked, text: str) -> q.Near:
    """Read `latitude|longitude[|distance[|units]]`; 50 km where no distance is given.

    Spec: https://hl7.org/fhir/R4/location.html#search
    """
    parts = [unescape(part) for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise ValueError("it takes latitude|longitude|distance|units")
    latitude, longitude = number_range(parts[0])[0], number_range(parts[1])[0]
    distance = number_range((parts[2:] or [""])[0] or _DEFAULT_DISTANCE)[0]
    unit = (parts[3:] or [""])[0]
    meters = canonical_quantity(distance, distance, _UNITS.get(unit, unit))
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("there is no such place")
    if meters is None or meters[2] != _METER or distance < 0:
        raise ValueError(f"{distance:g} {unit} is not a distance")
    return q.Near(asked.param, latitude, longitude, meters[0])


_READERS: dict[str, dict[str, _Read]] = {
    "id": {"": _ids, "not": lambda asked, values, reader: q.Not(_ids(asked, values, reader))},
    "instant": {"": _last_updated},
    "list": {"": _list, "not": lambda asked, values, reader: q.Not(_list(asked, values, reader))},
    "fulltext": {"": _full_text},
    "string": {
        "": _string(q.StringMode.STARTS),
        "exact": _string(q.StringMode.EXACT),
        "contains": _string(q.StringMode.CONTAINS),
    },
    "uri": {
        "": _uri(q.StringMode.EXACT),
        "below": _uri(q.StringMode.BELOW),
        "above": _uri(q.StringMode.ABOVE),
    },
    "date": {"": _date},
    "number": {"": _number},
    "quantity": {"": _quantity},
    "token": {
        "": _token,
        "not": _not_token,
        "text": _token_text,
        "of-type": _of_type,
        "in": _in,
        "not-in": _not_in,
        "below": _hierarchy("below"),
        "above": _hierarchy("above"),
    },
    "reference": {
        "": _reference,
        "identifier": _reference_identifier,
        "text": _token_text,
        "below": _related(below),
        "above": _related(above),
    },
    "composite": {"": _composite},
    "special": {"": _near},
}

_SPECIAL = {"_id": "id", "_lastUpdated": "instant", "_text": "fulltext", "_content": "fulltext"}


def asked_for(parameter: Parameter, name: str, modifier: str) -> Asked:
    """Return how a parameter was asked for; `_id`, `_lastUpdated`, `_text` and `_content` are types of their own."""
    kind = _SPECIAL.get(parameter.code, parameter.type)
    return Asked(name, parameter.code, kind, parameter.targets, parameter.components, modifier)
