"""What tells the slices of an element apart: what a slice says of what lies at the paths of its discriminators.

Spec: https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_server.validation.profiles.bindings import required_value_set
from fhir_server.validation.profiles.discriminator_paths import (
    Defined,
    Step,
    definitions_at,
    extension_url,
    read_path,
    values,
)
from fhir_server.validation.profiles.elements import Json
from fhir_server.validation.profiles.facts import natural, types_of
from fhir_server.validation.profiles.invariants import member_of
from fhir_server.validation.profiles.rule import Good
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.profiles.types import is_kind_of
from fhir_server.validation.profiles.values import fixed_value, same
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.registry import Profiles

Test = Callable[[Spot, Run], bool]


class PlainTest:
    """A test that needs nothing but the JSON of an element and its type."""

    __slots__ = ("plain",)

    def __init__(self, plain: Good) -> None:
        self.plain = plain

    def __call__(self, spot: Spot, run: Run) -> bool:
        """Whether an element passes."""
        return self.plain(spot.value, spot.type, run)


def test_of(discriminator: Json, part: Defined, profiles: "Profiles") -> Test | None:
    """Return whether an element is of a slice, as far as one discriminator tells; None where it cannot tell."""
    kind, path = str(discriminator.get("type")), str(discriminator.get("path") or "$this")
    steps = read_path(path)
    if steps is None or (kind != "exists" and kind not in _TESTS):
        return None
    by_url = part.tree is not None and [(step.kind, step.name) for step in steps] == [("name", "url")]
    if part.tree is not None and by_url and part.compiler and (url := extension_url(part.tree, part.compiler)):
        return PlainTest(lambda value, _type, _run: type(value) is dict and value.get("url") == url)
    found = definitions_at(part, steps, profiles)
    wanted = _required(found)
    names = _plain_names(part, steps, profiles)
    if kind == "exists" or (wanted is False and steps):
        return None if wanted is None else _existing(wanted, steps, names, profiles)
    test = _TESTS[kind](found, profiles)
    if test is None or not steps:
        return test
    if names and isinstance(test, PlainTest) and kind != "type":
        return _plain_walking(names, test.plain)
    return _walking(path, steps, test, profiles)


def _plain_names(part: Defined, steps: list[Step], profiles: "Profiles") -> tuple[str, ...]:
    """The JSON names of a path of mere names; empty where JSON has other names, as for choices."""
    for count, step in enumerate(steps, 1):
        found = definitions_at(part, steps[:count], profiles)
        if step.kind != "name" or any(at.tree is None or at.tree.choice for at in found) or not found:
            return ()
    return tuple(step.name for step in steps)


def _plain_values(value: Any, names: tuple[str, ...]) -> list[Any]:
    found = [value]
    for name in names:
        below = [item.get(name) for item in found if type(item) is dict]
        found = [part for item in below for part in (item if type(item) is list else (item,)) if part is not None]
    return found


def _plain_walking(names: tuple[str, ...], plain: Good) -> Test:
    def walking(value: Any, _type: str, run: Run) -> bool:
        return any(plain(each, "", run) for each in _plain_values(value, names))

    return PlainTest(walking)


def _existing(wanted: bool, steps: list[Step], names: tuple[str, ...], profiles: "Profiles") -> Test:
    if len(names) == 1:
        name, companion = names[0], "_" + names[0]

        def there(value: Any, _type: str, _run: Run) -> bool:
            return (type(value) is dict and (name in value or companion in value)) is wanted

        return PlainTest(there)
    return lambda spot, run: bool(values(spot, steps, run, profiles)) is wanted


def _walking(path: str, steps: list[Step], test: Test, profiles: "Profiles") -> Test:
    def walking(spot: Spot, run: Run) -> bool:
        walked = spot.walked
        if walked is None:
            walked = spot.walked = {}
        found = walked.get(path)
        if found is None:
            found = walked[path] = values(spot, steps, run, profiles)
        return any(test(each, run) for each in found) if len(found) != 1 else test(found[0], run)

    return walking


def all_of(tests: list[Test]) -> Test:
    """Return whether an element passes all of these tests."""
    if len(tests) == 1:
        return tests[0]
    plain = [test.plain for test in tests if isinstance(test, PlainTest)]
    if len(plain) == len(tests):
        return PlainTest(lambda value, type_, run: all(test(value, type_, run) for test in plain))
    return lambda spot, run: all(test(spot, run) for test in tests)


def _required(found: list[Defined]) -> bool | None:
    """Whether an element must be there, or must not; None where it may."""
    for at in found:
        if at.tree is not None:
            if natural(at.tree.definition.get("max"), 1) == 0:
                return False
            if natural(at.tree.definition.get("min"), 0) > 0:
                return True
    return None


def _value(found: list[Defined], profiles: "Profiles") -> Test | None:
    """What is said most clearly counts: a value, else a value set, else all that holds for the element."""
    for make in (_by_value, _by_value_set, _by_content):
        tests = [test for at in found if (test := make(at, profiles)) is not None]
        if tests:
            return tests[0] if len(tests) == 1 else _any(tests)
    return None


def _any(tests: list[Test]) -> Test:
    plain = [test.plain for test in tests if isinstance(test, PlainTest)]
    if len(plain) == len(tests):
        return PlainTest(lambda value, type_, run: any(test(value, type_, run) for test in plain))
    return lambda spot, run: any(test(spot, run) for test in tests)


def _by_value(at: Defined, _: "Profiles") -> Test | None:
    fixed = at.value or (fixed_value(at.tree.definition) if at.tree else None)
    if fixed is None:
        return None
    value, exact = fixed
    if type(value) is not dict and type(value) is not list:
        kind = type(value)
        return PlainTest(lambda found, _type, _run: type(found) is kind and found == value)
    return PlainTest(lambda found, _type, _run: same(found, value, exact=exact))


def _by_value_set(at: Defined, _: "Profiles") -> Test | None:
    value_set = required_value_set(at.tree.definition) if at.tree else ""
    return PlainTest(lambda value, _type, run: member_of(value, value_set, run) is True) if value_set else None


def _by_content(at: Defined, profiles: "Profiles") -> Test | None:
    checks = at.compiler.nested(at.tree) if at.tree and at.compiler else ()
    return (lambda spot, run: profiles.passes(checks, spot, run)) if checks else None


def _type(found: list[Defined], profiles: "Profiles") -> Test | None:
    codes: set[str] = set()
    for at in found:
        if at.tree is not None:
            codes |= types_of(at.tree.definition, profiles.definitions).keys()
            if not at.tree.definition.get("type") and "." not in at.tree.path:
                codes.add(at.tree.path)
        codes |= {profiles.type_of(url) for url in at.profiles}
    allowed = frozenset(codes - {""})
    if not allowed:
        return None
    return PlainTest(lambda _value, type_, _run: type_ in allowed or is_kind_of(type_, allowed, profiles.definitions))


def _profile(found: list[Defined], profiles: "Profiles") -> Test | None:
    urls: list[str] = []
    for at in found:
        urls += at.profiles
        if at.tree is not None:
            for facts in at.compiler.types(at.tree).values() if at.compiler else ():
                urls += map(at.compiler.pin, facts.profiles) if at.compiler else ()
    known = [url for url in urls if profiles.find(url)]
    if not known:
        return None
    return lambda spot, run: spot.value is not None and any(profiles.conforms(spot, url, run) for url in known)


_TESTS: dict[str, Callable[[list[Defined], "Profiles"], Test | None]] = {
    "value": _value,
    "pattern": _value,
    "type": _type,
    "profile": _profile,
}
