"""Elements of an object as closures: how often they occur, what holds for each occurrence, how they are sliced."""

from collections.abc import Callable, Sequence

from fhir_server.definitions import Definitions
from fhir_server.validation.profiles.elements import Tree
from fhir_server.validation.profiles.slicing import Slicing
from fhir_server.validation.profiles.spot import Key, Member, Spot, json_key
from fhir_server.validation.profiles.values import SpotCheck
from fhir_server.validation.run import Run

Count = Callable[[int, Spot, Run], None]


def count_check(least: int, most: int, label: str, profile: str) -> Count:
    """Return the check of how often an element occurs; faults are told at its owner, as the reference has it."""

    def check(count: int, owner: Spot, run: Run) -> None:
        if count < least:
            text = f"{label}: minimum required = {least}, but only found {count} (from {profile})"
            run.error(owner, "structure", text)
        elif count > most:
            run.error(owner, "structure", f"{label}: max allowed = {most}, but found {count} (from {profile})")

    return check


def element_check(
    member: Member, counted: Count | None, items: tuple[SpotCheck, ...], slicing: Slicing | None
) -> SpotCheck | None:
    """Return what is to be checked of an element in its owner; None where that is nothing."""
    if not items and slicing is None:
        if counted is None:
            return None
        return lambda owner, run: counted(member.count(owner), owner, run)

    def check(owner: Spot, run: Run) -> None:
        spots = member.spots(owner)
        if counted is not None:
            counted(len(spots), owner, run)
        for spot in spots:
            for each in items:
                each(spot, run)
        if slicing is not None:
            slicing.check(spots, owner, run)

    return check


def unknown_member(tree: Tree, codes: Sequence[str], definitions: Definitions) -> Member:
    """Return how an element of a logical model is read: by its name, and the types that it says."""
    if not tree.choice:
        code = codes[0] if codes and codes[0] in definitions.types else ""
        primitive = bool(code) and definitions.types[code].kind == "primitive-type"
        return Member(tree.name, (Key(tree.name, code, tree.name, primitive),), True)
    names = [f"{tree.name}.ofType({code})" for code in codes]
    keys = [Key(json_key(name), code, name, True) for name, code in zip(names, codes, strict=True)]
    return Member(tree.name, tuple(keys), False)
