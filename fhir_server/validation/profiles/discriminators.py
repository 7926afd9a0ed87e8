"""What tells the slices of an element apart: paths into an element, and what a slice says of what lies there.

Spec: https://hl7.org/fhir/R4/profiling.html#discriminator
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_server.validation.profiles.bindings import required_value_set
from fhir_server.validation.profiles.elements import Json, Tree
from fhir_server.validation.profiles.facts import CORE, TypeFacts, natural, types_of
from fhir_server.validation.profiles.invariants import member_of
from fhir_server.validation.profiles.rule import Good
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.profiles.targets import named_type, resolve
from fhir_server.validation.profiles.types import is_kind_of
from fhir_server.validation.profiles.values import fixed_value, same
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.compiler import Compiler
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


_STEP = re.compile(
    r"(?P<resolve>resolve\(\))|(?:ofType|as)\((?P<type>[\w.]+)\)|extension\(['\"](?P<extension>[^'\"]+)['\"]\)"
    r"|(?P<this>\$this)|(?P<name>\w+)(?:\[x\])?"
)
MAX_STEPS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a discriminator's path: `resolve`, `type`, `extension` or `name`, with what it names."""

    kind: str
    name: str


def read_path(path: str) -> list[Step] | None:
    """Parse the path of a discriminator; None where it is not in the subset of FHIRPath that is allowed there."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or len(steps) > MAX_STEPS:
            return None
        kind = match.lastgroup or ""
        if kind != "this":
            steps.append(Step(kind, match[kind]))
        at = match.end()
        if at < len(path):
            if path[at] != ".":
                return None
            at += 1
    return steps


# --- in the instance


def values(spot: Spot, steps: list[Step], run: Run, profiles: "Profiles") -> list[Spot]:
    """Return what a path leads to from an element."""
    found = [spot]
    for step in steps:
        found = [below for each in found for below in _step(each, step, run, profiles)]
    return found


def _step(spot: Spot, step: Step, run: Run, profiles: "Profiles") -> list[Spot]:
    if step.kind == "resolve":
        return _resolved(spot, run, profiles)
    if step.kind == "type":
        return [spot] if is_kind_of(spot.type, {step.name: None}, profiles.definitions) else []
    if step.kind == "extension":
        member = profiles.member(spot.type, "extension")
        return [e for e in member.spots(spot) if e.fields.get("url") == step.name] if member else []
    member = profiles.member(spot.type, step.name)
    return member.spots(spot) if member else []


def _resolved(spot: Spot, run: Run, profiles: "Profiles") -> list[Spot]:
    """A target that is not at hand is known by the type that the reference names."""
    target = resolve(spot, run).spot
    if target is not None:
        return [target]
    name = named_type(spot.value, profiles.definitions.types)
    return [Spot(spot, "resolve()", -1, None, name)] if name else []


# --- in the definition


@dataclass(frozen=True, slots=True)
class Defined:
    """An element of a definition: of a snapshot, or (`tree` None) whatever has one of these profiles.

    `value` is what a fixed value or a pattern further up has there, and whether it is fixed.
    """

    compiler: "Compiler | None"
    tree: Tree | None
    profiles: tuple[str, ...] = ()
    value: tuple[Any, bool] | None = None


def definitions_at(start: Defined, steps: list[Step], profiles: "Profiles") -> list[Defined]:
    """Return the definitions that a path leads to from that of a slice."""
    found = [start]
    for step in steps:
        found = [below for each in found for below in _below(each, step, profiles)]
    return found


def _below(at: Defined, step: Step, profiles: "Profiles") -> Iterator[Defined]:
    for each in _roots(at, profiles):
        value = each.value or (fixed_value(each.tree.definition) if each.tree else None)
        if value is not None and step.kind == "name":
            yield from _within(value, step.name)
        if each.tree is None or each.compiler is None:
            continue
        if step.kind == "resolve":
            of = each.compiler.types(each.tree).values()
            targets = (_url(target) for facts in of for target in facts.targets)
            yield Defined(None, None, tuple(map(each.compiler.pin, targets)))
        elif step.kind == "type":
            yield from _typed(each, step.name, profiles)
        else:
            name = "extension" if step.kind == "extension" else step.name
            yield from _children(each, name, step.name if step.kind == "extension" else "", profiles)


def _within(value: tuple[Any, bool], name: str) -> Iterator[Defined]:
    """What a fixed value or a pattern of a whole has for a part."""
    whole, exact = value
    found = whole.get(name) if isinstance(whole, dict) else None
    for item in found if isinstance(found, list) else [found]:
        if item is not None:
            yield Defined(None, None, value=(item, exact))


def _url(target: str) -> str:
    return target if ":" in target else CORE + target


def _roots(at: Defined, profiles: "Profiles") -> Iterator[Defined]:
    """The definition itself, or the roots of the profiles that it stands for."""
    if at.tree is not None or at.value is not None:
        yield at
    for url in at.profiles:
        profile = profiles.find(url)
        if profile is not None:
            yield Defined(profile.compiler, profile.tree)


def _typed(at: Defined, name: str, profiles: "Profiles") -> Iterator[Defined]:
    assert at.tree is not None
    for part in at.tree.slices:
        if name in types_of(part.definition, profiles.definitions):
            yield Defined(at.compiler, part)
    if not at.tree.choice or name in types_of(at.tree.definition, profiles.definitions):
        yield at


def _children(at: Defined, name: str, url: str, profiles: "Profiles") -> Iterator[Defined]:
    tree, compiler = at.tree, at.compiler
    assert tree is not None and compiler is not None
    child = tree.children.get(name) or compiler.content(tree).children.get(name)
    if child is not None:
        if not url:
            yield Defined(compiler, child)
        yield from (Defined(compiler, part) for part in child.slices if not url or extension_url(part, compiler) == url)
    for facts in compiler.types(tree).values():
        for target in facts.profiles:
            profile = compiler.find(target)
            if profile is not None and profile.tree is not tree:
                yield from _children(Defined(profile.compiler, profile.tree), name, url, profiles)


def extension_url(tree: Tree, compiler: "Compiler") -> str:
    """Return the URL of the extensions that a slice is for; empty where it says none."""
    if "url" in tree.children:
        found = fixed_value(tree.children["url"].definition)
        if found and isinstance(found[0], str):
            return found[0]
    for url in compiler.types(tree).get("Extension", TypeFacts()).profiles:
        profile = compiler.find(url)
        return profile.extension_url if profile is not None else url.partition("|")[0]
    return ""


# --- tests


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
