"""Values of search parameters, as they stand in a URL, read into the leaves of the neutral tree.

Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Iterator

from fhir_server.errors import TooCostly
from fhir_server.model.keys import is_id
from fhir_server.search import query as q
from fhir_server.search.asked import Asked, Read, ValueReader, bad, short, split, unescape, unknown
from fhir_server.search.fulltext import parse_text
from fhir_server.search.hierarchies import above, below
from fhir_server.search.parse_ordered import read_date, read_last_updated, read_near, read_number, read_quantity
from fhir_server.search.parse_references import read_reference, read_reference_identifier, read_typed_reference, related
from fhir_server.search.parse_tokens import (
    code_hierarchy,
    read_in,
    read_not_in,
    read_not_token,
    read_of_type,
    read_token,
    read_token_text,
)
from fhir_server.search.values import fold


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
    limit = _most_values(asked, reader)
    if len(values) > limit:
        text = f"{short(asked.name)} has {len(values)} values; the limit is {limit}"
        raise TooCostly(text, expression=f"http.{short(asked.name)}")
    return read_values(asked, tuple(values), reader)


def _most_values(asked: Asked, reader: ValueReader) -> int:
    """Return how many values may be asked for: fewer where engines look up each by itself."""
    most = reader.settings.max_or_values
    each = asked.type in _EACH or (asked.type == "uri" and asked.modifier)
    return min(most, reader.settings.max_ranges) if each else most


def read_values(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Read alternatives that are split already. Raises as `read`."""
    if not all(value.strip() for value in values):
        raise bad(asked, "", "the value is empty")
    try:
        return _reader_of(asked)(asked, values, reader)
    except ValueError as fault:
        raise bad(asked, ",".join(values), str(fault)) from None


def _reader_of(asked: Asked) -> Read:
    by_modifier = _READERS.get(asked.type, {})
    found = by_modifier.get(asked.modifier)
    if found is None and asked.type == "reference" and asked.modifier[:1].isupper():
        found = read_typed_reference
    if found is None:
        known = ", ".join(f":{name}" for name in (*by_modifier, "missing") if name)
        raise unknown(asked, f"unknown modifier :{short(asked.modifier)}; a {asked.type} parameter takes {known}")
    return found


def _missing(asked: Asked, raw: str) -> q.Node:
    if asked.type in ("composite", "fulltext", "list"):
        raise unknown(asked, f":missing is not for {asked.type} parameters")
    if raw not in ("true", "false"):
        raise bad(asked, raw, ":missing takes true or false")
    if asked.type in ("id", "instant"):
        return q.NOTHING if raw == "true" else q.EVERYTHING
    return q.Missing(asked.param, raw == "true")


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


def _full_text(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    queries = [unescape(value) for value in values]
    for each in queries:
        parse_text(each)
    nodes = tuple(q.FullText(asked.param == "_content", each) for each in queries)
    return nodes[0] if len(nodes) == 1 else q.Or(nodes)


def _string(mode: q.StringMode) -> Read:
    def read_string(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        exact = mode is q.StringMode.EXACT
        texts = tuple(unescape(v) if exact else fold(unescape(v)) for v in values)
        return q.String(asked.param, mode, texts)

    return read_string


def _uri(mode: q.StringMode) -> Read:
    def read_uri(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        return q.Uri(asked.param, mode, tuple(unescape(value) for value in values))

    return read_uri


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


_EACH = frozenset({"quantity", "composite", "special", "fulltext", "number", "date", "instant"})

_READERS: dict[str, dict[str, Read]] = {
    "id": {"": _ids, "not": lambda asked, values, reader: q.Not(_ids(asked, values, reader))},
    "instant": {"": read_last_updated},
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
    "date": {"": read_date},
    "number": {"": read_number},
    "quantity": {"": read_quantity},
    "token": {
        "": read_token,
        "not": read_not_token,
        "text": read_token_text,
        "of-type": read_of_type,
        "in": read_in,
        "not-in": read_not_in,
        "below": code_hierarchy("below"),
        "above": code_hierarchy("above"),
    },
    "reference": {
        "": read_reference,
        "identifier": read_reference_identifier,
        "text": read_token_text,
        "below": related(below),
        "above": related(above),
    },
    "composite": {"": _composite},
    "special": {"": read_near},
}
