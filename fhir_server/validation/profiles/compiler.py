"""From a snapshot to checks: closures for what a profile says beyond the type that it is made from, and no others."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fhir_server.definitions import Definitions, Element
from fhir_server.validation.profiles.bindings import binding_checks
from fhir_server.validation.profiles.discriminator_paths import Defined, extension_url
from fhir_server.validation.profiles.discriminators import Test, all_of, test_of
from fhir_server.validation.profiles.elements import Json, Tree, objects
from fhir_server.validation.profiles.facts import (
    NOTHING,
    UNBOUNDED,
    Facts,
    TypeFacts,
    facts_of_element,
    facts_of_tree,
    facts_of_type,
    types_of,
)  # fmt: skip
from fhir_server.validation.profiles.invariants import invariant_checks
from fhir_server.validation.profiles.members import element_check, unknown_member
from fhir_server.validation.profiles.narratives import narrative_checks
from fhir_server.validation.profiles.rule import SpotCheck
from fhir_server.validation.profiles.slicing import DEFAULT, Slice, Slicing
from fhir_server.validation.profiles.spot import Member, Spot, member_of
from fhir_server.validation.profiles.types import type_checks
from fhir_server.validation.profiles.values import value_checks
from fhir_server.validation.run import Run

if TYPE_CHECKING:
    from fhir_server.validation.profiles.profile import Profile
    from fhir_server.validation.profiles.registry import Profiles

_NESTED = frozenset(("BackboneElement", "Element", ""))


@dataclass(frozen=True, slots=True)
class Base:
    """What an element is compared with.

    Attributes:
        facts: those of the element in the base type, or of the element that a slice is a slice of.
        type: key of the type that its children are of; empty where that is not known.
        element: how it is read.
        over: the element in the same snapshot that it is a slice of, or lies in a slice of.
    """

    facts: Facts
    type: str
    element: Element | None = None
    over: Tree | None = None


class Compiler:
    """Compiles one profile."""

    def __init__(self, tree: Tree, profile: str, type_: str, profiles: "Profiles", source: str = "") -> None:
        self.tree = tree
        self._source = source
        self._profile = profile
        self._profiles = profiles
        self._definitions: Definitions = profiles.definitions
        self._by_path: dict[str, Tree] = {}
        for each in tree.all():
            self._by_path.setdefault(each.label, each)
        self._bases: dict[Tree, Base] = {}
        self._nested: dict[Tree, tuple[SpotCheck, ...]] = {}
        self._contents: dict[Tree, tuple[SpotCheck, ...]] = {}
        self._root = Base(facts_of_type(type_, self._definitions), type_)
        self.notes: list[str] = []

    def root(self) -> tuple[SpotCheck, ...]:
        """Return the checks of the whole profile."""
        return self._element(self.tree, self._root)

    def nested(self, tree: Tree) -> tuple[SpotCheck, ...]:
        """Return the checks of one element of the snapshot and all below it; none where they are asked for while they
        are made, since an element may refer to one above it for its content.
        """
        if tree not in self._nested:
            self._nested[tree] = ()
            self._nested[tree] = self._element(tree, self._base(tree))
        return self._nested[tree]

    def pin(self, url: str, type_: str = "StructureDefinition") -> str:
        """Return a canonical with the version of the package that this profile is of, where it has that resource.

        Two versions of a guide may be installed, and a profile means the resources beside it.
        """
        return self._profiles.pin(type_, url, self._source) if self._source else url

    def find(self, url: str) -> "Profile | None":
        """Return a profile that this one names."""
        return self._profiles.find(self.pin(url))

    def types(self, tree: Tree) -> dict[str, TypeFacts]:
        """Return the types that an element may have."""
        return types_of(tree.definition, self._definitions)

    def element(self, label: str) -> Tree | None:
        """Return an element of the snapshot by its id, `Composition.section:codeA`."""
        return self._by_path.get(label)

    def content(self, tree: Tree) -> Tree:
        """Return the element that another refers to for its content; itself where it does not."""
        reference = tree.definition.get("contentReference")
        if not isinstance(reference, str):
            return tree
        return self._by_path.get(reference.partition("#")[2], tree)

    # --- bases

    def _base(self, tree: Tree) -> Base:
        """The base of an element that the compiler has not met yet: found by its path."""
        if tree not in self._bases:
            above = self._by_path.get(tree.path.rpartition(".")[0], self.tree)
            return (
                self._child_base(tree, self._base(above)) if above is not tree and tree is not self.tree else self._root
            )
        return self._bases[tree]

    def _child_base(self, child: Tree, base: Base) -> Base:
        element = self._read_as(child, base.type)
        facts = facts_of_element(element, self._definitions) if element else NOTHING
        over = base.over.children.get(child.name) if base.over else None
        if over is not None:
            said = facts_of_tree(over, self._definitions)
            facts = replace(said, constraints=said.constraints | facts.constraints)
        found = Base(facts, self._type_below(child, element), element, over)
        self._bases[child] = found
        return found

    def _read_as(self, child: Tree, type_: str) -> Element | None:
        definition = self._definitions.types.get(type_)
        if definition is None:
            return None
        found = definition.by_name.get(child.name)
        return found or next((e for e in definition.elements if e.choice and e.name == child.name), None)

    def _type_below(self, tree: Tree, element: Element | None) -> str:
        types = types_of(tree.definition, self._definitions)
        code = next(iter(types)) if len(types) == 1 else ""
        if code not in _NESTED:
            return code
        if element is not None and element.type_key:
            return element.type_key
        return "Element" if len(types) > 1 or code else ""

    # --- elements

    def _element(self, tree: Tree, base: Base) -> tuple[SpotCheck, ...]:
        """What holds for one occurrence of an element."""
        self._bases[tree] = base
        own = facts_of_tree(tree, self._definitions)
        checks: list[SpotCheck] = [
            *type_checks(own, base.facts, self._profile, self._profiles, self.pin),
            *value_checks(tree.definition, base.facts, f"{self._profile}#{tree.path}"),
            *binding_checks(tree.definition, base.facts, self._profile, self.pin),
            *invariant_checks(tree.definition, base.facts, self._profile, self._profiles),
            *narrative_checks(tree.definition, self._profile),
            *self._members(tree, base),
            *self._content_checks(tree, base),
        ]
        return tuple(checks)

    def _members(self, tree: Tree, base: Base) -> list[SpotCheck]:
        found = (self._member(child, self._child_base(child, base)) for child in tree.children.values())
        return [check for check in found if check is not None]

    def _content_checks(self, tree: Tree, base: Base) -> tuple[SpotCheck, ...]:
        """The checks of the element that this one refers to; they may hold this one again."""
        target = self.content(tree)
        if target is tree:
            return ()
        if target not in self._contents:
            self._contents[target] = ()
            self._contents[target] = tuple(self._members(target, replace(base, over=None)))
        if not self._contents[target]:
            return ()
        contents = self._contents

        def check(spot: Spot, run: Run) -> None:
            for each in contents[target]:
                each(spot, run)

        return (check,)

    def _member(self, tree: Tree, base: Base) -> SpotCheck | None:
        member = self._how_read(tree, base)
        own = facts_of_tree(tree, self._definitions)
        least = own.min if own.min > base.facts.min else 0
        most = own.max if own.max < base.facts.max else UNBOUNDED
        items = self._element(tree, base)
        slicing = self._slicing(tree, base)
        return element_check(member, (least, most), items, slicing, (tree.label, self._profile))

    def _how_read(self, tree: Tree, base: Base) -> Member:
        if base.element is None:
            types = types_of(tree.definition, self._definitions)
            return unknown_member(tree, list(types), self._definitions)
        member = member_of(base.element, self._definitions)
        if tree.name != base.element.name:
            return replace(member, keys=tuple(key for key in member.keys if key.json == tree.name))
        return member

    # --- slices

    def _slicing(self, tree: Tree, base: Base) -> Slicing | None:
        if not tree.slices:
            return None
        slicing: Json = tree.slicing or {}
        extensions = tree.name in ("extension", "modifierExtension")
        parts = {part.slice: self._slice(part, slicing, tree, base, extensions) for part in tree.slices}
        return Slicing(
            tree.label,
            self._profile,
            str(slicing.get("rules") or "open"),
            slicing.get("ordered") is True,
            [part for name, part in parts.items() if name != DEFAULT],
            extensions,
            parts.get(DEFAULT),
        )

    def _slice(self, part: Tree, slicing: Json, tree: Tree, base: Base, extensions: bool) -> Slice:
        said = facts_of_tree(tree, self._definitions)
        facts = replace(said, min=0, max=UNBOUNDED, constraints=said.constraints | base.facts.constraints)
        inner = Base(facts, self._type_below(part, base.element), base.element, tree)
        self._bases[part] = inner
        own = facts_of_tree(part, self._definitions)
        url = extension_url(part, self) if extensions and _by_url(slicing) else ""
        test = self._test(part, slicing, inner)
        checks = self._element(part, inner)
        return Slice(part.label, part.slice, test, url, own.min, own.max, checks, self._slicing(part, inner))

    def _test(self, part: Tree, slicing: Json, base: Base) -> Test | None:
        discriminators = objects(slicing.get("discriminator"))
        defined = Defined(self, part)
        tests = [test_of(each, defined, self._profiles) for each in discriminators]
        if not discriminators:
            return self._by_content(part, base)
        for each, test in zip(discriminators, tests, strict=True):
            if test is None and part.slice != DEFAULT:
                what = f"{each.get('type')}:{each.get('path')}"
                self.notes.append(f"the discriminator {what} of {part.label} cannot be evaluated")
        if None in tests:
            return None
        known: list[Test] = [test for test in tests if test is not None]
        return all_of(known)

    def _by_content(self, part: Tree, base: Base) -> Test | None:
        """Without discriminators an occurrence is of a slice when all that the slice says holds for it."""
        checks = self._element(part, base)
        profiles = self._profiles
        return (lambda spot, run: profiles.passes(checks, spot, run)) if checks else None


def _by_url(slicing: Json) -> bool:
    return [discriminator.get("path") for discriminator in objects(slicing.get("discriminator"))] == ["url"]
