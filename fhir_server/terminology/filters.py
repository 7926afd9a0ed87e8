"""The filters of ValueSet.compose over any code system: by listing, and for one code by look-up.

Spec: https://hl7.org/fhir/R4/valueset-filter-operator.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from fhir_server.errors import BadValue
from fhir_server.terminology.code_system import CodeSystem, Concept, Filter
from fhir_server.terminology.patterns import Pattern

_CODE = frozenset(("concept", "code"))
_LINKS = frozenset(("parent", "child"))
_BUILT_IN = frozenset(("display", "definition", "designation"))

_FEW = 2_000
"""Codes that are tested one by one, rather than listing all that the filters select."""

Listing = Callable[[CodeSystem, str], Iterable[str]]
Looking = Callable[[CodeSystem, str, str], bool]


def selected(system: CodeSystem, filters: Sequence[Filter]) -> Iterator[str]:
    """Yield the codes that all filters hold for, in the order of definition.

    Raises:
        BadValue: an operator that is not supported, or one of the hierarchy on another property.
        TooCostly: an expression that takes too long.
    """
    for filter_ in filters:
        verify(system, filter_)
    listed = [filter_ for filter_ in filters if lists(filter_)]
    if listed:
        first = listed[0]
        codes = iter(_LISTED[first.op](system, first.value))
        rest = [filter_ for filter_ in filters if filter_ is not first]
    else:
        codes, rest = system.codes(), list(filters)
    tests = [_test(system, filter_) for filter_ in rest]
    return (code for code in codes if all(test(code) for test in tests))


def matches(system: CodeSystem, code: str, filter_: Filter) -> bool:
    """Tell whether a filter holds for one code. Raises as `selected`."""
    return _test(system, filter_)(code)


def holding(system: CodeSystem, codes: Sequence[str], filters: Sequence[Filter]) -> Sequence[str]:
    """Return those of some codes that all filters hold for, in their order. Raises as `selected`."""
    if not filters:
        return codes
    if len(codes) > _FEW:
        others = frozenset(selected(system, filters))
        return [code for code in codes if code in others]
    for filter_ in filters:
        verify(system, filter_)
    tests = [_test(system, filter_) for filter_ in filters]
    return [code for code in codes if all(test(code) for test in tests)]


def verify(system: CodeSystem, filter_: Filter) -> None:
    """Raise BadValue for an operator that is not supported, or without its value."""
    if filter_.op in _LISTED or filter_.op == "is-not-a":
        if filter_.property not in _CODE:
            raise _unsupported(filter_)
    elif filter_.op == "regex":
        Pattern.of(filter_.value)
    elif filter_.op not in ("=", "in", "not-in", "exists"):
        raise _unsupported(filter_)


def _unsupported(filter_: Filter) -> BadValue:
    return BadValue(f"the filter {filter_.property[:100]!r} {filter_.op[:100]!r} of a value set is not supported")


def lists(filter_: Filter) -> bool:
    """Tell whether a filter is answered by going along the hierarchy, not by looking at every code."""
    return filter_.op in _LISTED


def _test(system: CodeSystem, filter_: Filter) -> Callable[[str], bool]:
    property_, op, value = filter_.property, filter_.op, filter_.value
    if op in _LOOKED and property_ in _CODE:
        looking = _LOOKED[op]
        return lambda code: looking(system, code, value)
    if op == "=":
        return _having(system, property_, {value})
    if op == "in":
        return _having(system, property_, _listed(value))
    if op == "not-in":
        having = _having(system, property_, _listed(value))
        return lambda code: not having(code)
    if op == "exists":
        wanted = value.lower() == "true"
        return lambda code: bool(_values(system, code, property_)) == wanted
    if op == "regex":
        test = Pattern.of(value).test()
        return lambda code: any(map(test, _values(system, code, property_)))
    raise _unsupported(filter_)


def _listed(value: str) -> set[str]:
    return {item.strip() for item in value.split(",")}


def _having(system: CodeSystem, property_: str, values: set[str]) -> Callable[[str], bool]:
    if property_ in _CODE:
        found = {concept.code for value in values if (concept := system.concept(value))}
        return found.__contains__
    return lambda code: not values.isdisjoint(_values(system, code, property_))


def _values(system: CodeSystem, code: str, property_: str) -> Sequence[str]:
    """Return the values of a property of one code; those of the built-in ones too."""
    if property_ in _CODE:
        return (code,)
    if property_ in _LINKS:
        return system.parents(code) if property_ == "parent" else system.children(code)
    concept = system.concept(code)
    if concept is None:
        return ()
    own = [each.text for each in concept.properties if each.code == property_]
    return own or _implied(concept, property_)


def _implied(concept: Concept, property_: str) -> Sequence[str]:
    if property_ == "display":
        return (concept.display,) if concept.display else ()
    if property_ == "definition":
        return (concept.definition,) if concept.definition else ()
    if property_ == "designation":
        return [each.value for each in concept.designations]
    return ()


def _leaves(system: CodeSystem, code: str) -> Iterator[str]:
    return (each for each in system.descendants(code) if not system.children(each))


def _with(system: CodeSystem, code: str, others: Iterable[str]) -> Iterator[str]:
    concept = system.concept(code)
    if concept is not None:
        yield concept.code
        yield from others


_LISTED: Mapping[str, Listing] = {
    "is-a": lambda system, code: _with(system, code, system.descendants(code)),
    "descendent-of": lambda system, code: system.descendants(code),
    "descendent-leaf": _leaves,
    "child-of": lambda system, code: system.children(code),
    "generalizes": lambda system, code: _with(system, code, system.ancestors(code)),
}

_LOOKED: Mapping[str, Looking] = {
    "is-a": lambda system, code, value: system.subsumes(value, code),
    "descendent-of": lambda system, code, value: system.subsumes(value, code) and not _same(system, code, value),
    "descendent-leaf": lambda system, code, value: (
        system.subsumes(value, code) and not _same(system, code, value) and not system.children(code)
    ),
    "child-of": lambda system, code, value: code in system.children(value),
    "generalizes": lambda system, code, value: system.subsumes(code, value),
    "is-not-a": lambda system, code, value: not system.subsumes(value, code),
}


def _same(system: CodeSystem, code: str, other: str) -> bool:
    concept = system.concept(other)
    return concept is not None and concept.code == code
