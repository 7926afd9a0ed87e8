"""Python source for the check of one shape: an object with just these properties in just this order.

What the names alone decide (unknown, missing, two values of a choice) is settled before; only values are left to look
at, each with the cheapest test that lets the usual good value through. What fails that goes to the full check.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from fhir_server.validation.plan import MAX_NESTING, Node, Property

_TEXT = "not ({v} > '!' and {v}.isprintable() and len({v}) <= MAX_STRING) and not {full}({v})"
_WORD = "not ({v} > '!' and {v}.isprintable() and ' ' not in {v}) and not {full}({v})"
_REMEMBERED = "not {known}[{v}]"
# Good values never meet {full}. A wrong JSON type raises, or fails the test.
_TESTS = {
    "boolean": "{v} is not True and {v} is not False",
    "decimal": "type({v}) is not Decimal and type({v}) is not int and not {full}({v})",
    "integer": "type({v}) is not int or not -2147483648 <= {v} <= 2147483647",
    "positiveInt": "type({v}) is not int or not 1 <= {v} <= 2147483647",
    "unsignedInt": "type({v}) is not int or not 0 <= {v} <= 2147483647",
    "id": "not match_id({v})",
    "string": _TEXT,
    "markdown": _TEXT,
    "code": _WORD,
    "uri": _WORD,
    "url": _WORD,
    "canonical": _WORD,
    "id of an element": _WORD,
    "date": _REMEMBERED,
    "dateTime": _REMEMBERED,
    "instant": _REMEMBERED,
    "time": _REMEMBERED,
}


class Names(Protocol):
    """Names by which generated code knows its constants: the shapes of a node, and so on."""

    def shapes(self, key: str) -> str: ...
    def check(self, found: Property) -> str: ...
    def pair(self, found: Property) -> str: ...
    def full(self, found: Property) -> str: ...
    def codes(self, found: Property) -> str: ...
    def known(self, found: Property) -> str: ...


def shape_source(node: Node, keys: tuple[str, ...], names: Names) -> str:
    """The source of `check(o, s, n)`: object, scope, level of nesting."""
    lines = ["def check(o, s, n):", f" {''.join(f'v{i},' for i in range(len(keys)))} = o.values()"]
    place = {key: f"v{index}" for index, key in enumerate(keys)}
    for key in keys:
        lines += [" " + line for line in _member(node, key, place, names)]
    if _has_whole(node, keys):
        lines.append(" if not whole(o, s, n): return False")
    lines.append(" return True")
    return "\n".join(lines)


def _has_whole(node: Node, keys: Iterable[str]) -> bool:
    if node.kind == "resource":
        return "contained" in keys
    if node.type == "Reference":
        return "type" in keys
    return node.codes is not None


def _member(node: Node, key: str, place: dict[str, str], names: Names) -> Iterator[str]:
    found = node.properties.get(key)
    if found is None:
        if key != "resourceType" and key[1:] not in place:
            yield f"if not {names.pair(node.properties[key[1:]])}((None, {place[key]}), s, n): return False"
        return
    if "_" + key in place:
        yield f"if not {names.pair(found)}(({place[key]}, {place['_' + key]}), s, n): return False"
        return
    yield from _property(node, found, place[key], names)


def _property(node: Node, found: Property, value: str, names: Names) -> Iterator[str]:
    if node.type == "Reference" and found.name == "reference":
        yield f"if references[{value}] not in targets and not {names.check(found)}({value}, s, n): return False"
        return
    if found.resource:
        yield f"if not {names.check(found)}({value}, s, n): return False"
        return
    if found.nests:
        yield f"if n >= {MAX_NESTING}: return False"
    if not found.many:
        yield f"if {_test(found, value, names)}: return False"
        return
    yield f"if type({value}) is not list or not {value}: return False"
    yield f"for x in {value}:"
    yield f" if {_test(found, 'x', names)}: return False"


def _test(found: Property, value: str, names: Names) -> str:
    """The condition under which one value is bad."""
    if found.node:
        return f"not {names.shapes(found.node)}[tuple({value})]({value}, s, {'n + 1' if found.nests else 'n'})"
    assert found.primitive
    if found.codes is not None:
        return f"{value} not in {names.codes(found)}"
    test = _TESTS.get(found.primitive.name)
    if test is None:
        return f"not {names.full(found)}({value})"
    full = names.full(found) if "{full}" in test else ""
    known = names.known(found) if "{known}" in test else ""
    return test.format(v=value, full=full, known=known)
