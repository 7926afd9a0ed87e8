"""Paths of discriminators: where they lead in a resource, and where in the definition of a slice.

Spec: https://hl7.org/fhir/R4/profiling.html#discriminator
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_server.validation.profiles.elements import Tree
from fhir_server.validation.profiles.facts import CORE, TypeFacts, types_of
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.profiles.targets import named_type, resolve
from fhir_server.validation.profiles.types import is_kind_of
from fhir_server.validation.profiles.values import fixed_value
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.compiler import Compiler
    from fhir_server.validation.profiles.registry import Profiles

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
