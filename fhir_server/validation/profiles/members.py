"""Elements of an object as closures: how often they occur, what holds for each occurrence, how they are sliced."""

from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.validation.profiles.elements import Tree
from fhir_server.validation.profiles.facts import UNBOUNDED
from fhir_server.validation.profiles.rule import Good, Rule, SpotCheck, goods_of, typed_values
from fhir_server.validation.profiles.slicing import Slicing
from fhir_server.validation.profiles.spot import Key, Member, Spot, json_key
from fhir_server.validation.run import Run

ANY_COUNT = (0, UNBOUNDED)
Bounds = tuple[int, int]
Count = Callable[[int, Spot, Run], None]


def _count_check(bounds: Bounds, label: str, profile: str) -> Count:
    """How often an element occurs; faults are told at its owner, as the reference has it."""
    least, most = bounds

    def check(count: int, owner: Spot, run: Run) -> None:
        if count < least:
            text = f"{label}: minimum required = {least}, but only found {count} (from {profile})"
            run.error(owner, "structure", text)
        elif count > most:
            run.error(owner, "structure", f"{label}: max allowed = {most}, but found {count} (from {profile})")

    return check


def element_check(
    member: Member, bounds: Bounds, items: tuple[SpotCheck, ...], slicing: Slicing | None, names: tuple[str, str]
) -> SpotCheck | None:
    """Return what is to be checked of an element in its owner; None where that is nothing.

    `bounds` say how often it occurs, `names` are those of the element and of the profile.
    """
    counted = _count_check(bounds, *names) if bounds != ANY_COUNT else None
    if not items and slicing is None:
        return _only_counted(member, counted, bounds) if counted else None

    def check(owner: Spot, run: Run) -> None:
        spots = member.spots(owner)
        if counted is not None:
            counted(len(spots), owner, run)
        for spot in spots:
            for each in items:
                each(spot, run)
        if slicing is not None:
            slicing.check(spots, owner, run)

    good = _good(member, bounds, items, slicing)
    return Rule(check, good) if good else check


def _only_counted(member: Member, counted: Count, bounds: Bounds) -> SpotCheck:
    least, most = bounds

    def good(owner: Any, _type: str, _run: Run) -> bool:
        return type(owner) is dict and least <= member.count_in(owner) <= most

    return Rule(lambda owner, run: counted(member.count(owner), owner, run), good)


def _good(member: Member, bounds: Bounds, items: tuple[SpotCheck, ...], slicing: Slicing | None) -> Good | None:
    goods = goods_of(items)
    sliced = slicing.good if slicing else None
    if goods is None or (slicing is not None and sliced is None):
        return None
    if slicing is None and len(member.keys) == 1 and member.keys[0].type:
        return _good_of_one(member.keys[0], bounds, goods)
    least, most = bounds

    def good(owner: Any, _type: str, run: Run) -> bool:
        found = typed_values(member, owner) if type(owner) is dict else None
        if found is None or not least <= len(found) <= most:
            return False
        for value, type_ in found:
            for each in goods:
                if not each(value, type_, run):
                    return False
        return sliced is None or sliced(found, run)

    return good


def _good_of_one(key: Key, bounds: Bounds, goods: tuple[Good, ...]) -> Good:
    """For one JSON property, which is most of them: nothing is collected."""
    (least, most), name, type_ = bounds, key.json, key.type
    companion = "_" + name if key.primitive else ""

    def good(owner: Any, _type: str, run: Run) -> bool:
        if type(owner) is not dict or companion in owner:
            return False
        value = owner.get(name)
        if type(value) is list:
            if not least <= len(value) <= most:
                return False
            return all(item is not None and each(item, type_, run) for item in value for each in goods)
        if value is None:
            return least == 0
        for each in goods:
            if not each(value, type_, run):
                return False
        return most > 0

    return good


def unknown_member(tree: Tree, codes: Sequence[str], definitions: Definitions) -> Member:
    """Return how an element of a logical model is read: by its name, and the types that it says."""
    if not tree.choice:
        code = codes[0] if codes and codes[0] in definitions.types else ""
        primitive = bool(code) and definitions.types[code].kind == "primitive-type"
        return Member(tree.name, (Key(tree.name, code, tree.name, primitive),), True)
    names = [f"{tree.name}.ofType({code})" for code in codes]
    keys = [Key(json_key(name), code, name, True) for name, code in zip(names, codes, strict=True)]
    return Member(tree.name, tuple(keys), False)
