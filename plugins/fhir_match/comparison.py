"""How two patients agree, field by field; a field that one of them lacks says nothing."""

from collections.abc import Iterable, Iterator
from itertools import product

from fhir_match.features import Address, Features
from fhir_match.text import distance, similarity, sound

_ALIKE = 0.92
_NOT_UNLIKE = 0.6
_SHORTEST = 3
_LONG_ENOUGH = 6


def levels(one: Features, other: Features, unique_systems: Iterable[str] = ()) -> Iterator[str]:
    """Yield the level of agreement of each field that both have: `family.exact`, `birthDate.swapped`."""
    if one.families and other.families:
        yield f"family.{_family(one, other)}"
    if one.givens and other.givens:
        yield f"given.{_given(one, other)}"
    if one.birth_date and other.birth_date:
        yield f"birthDate.{_birth_date(one.birth_date, other.birth_date)}"
    if one.gender and other.gender:
        yield "gender.same" if one.gender == other.gender else "gender.different"
    if identifier := _identifier(one, other, frozenset(unique_systems)):
        yield f"identifier.{identifier}"
    if one.telecom and other.telecom:
        yield f"telecom.{_telecom(one.telecom, other.telecom)}"
    if one.addresses and other.addresses:
        yield f"address.{_best_address(one.addresses, other.addresses)}"


def _family(one: Features, other: Features) -> str:
    if not set(one.families).isdisjoint(other.families):
        return "exact"
    pairs = list(product(one.families, other.families))
    if any(_similar(*pair) for pair in pairs):
        return "similar"
    if any(_sounds(*pair) for pair in pairs):
        return "sounds"
    return "swapped" if _swapped(one, other) else "different"


def _given(one: Features, other: Features) -> str:
    pairs = [(a[0], b[0]) for a, b in product(one.givens, other.givens)]
    if any(a == b for a, b in pairs):
        return "exact"
    if any(_similar(*pair) for pair in pairs):
        return "similar"
    if any(_is_short_for(a, b) or _is_short_for(b, a) for a, b in pairs) or _by_another(one, other):
        return "short"
    if any(_sounds(*pair) for pair in pairs):
        return "sounds"
    return "swapped" if _swapped(one, other) else "different"


def _swapped(one: Features, other: Features) -> bool:
    """Tell whether a family name of one is the first given name of the other, and the other way round."""
    givens, others = {each[0] for each in one.givens}, {each[0] for each in other.givens}
    return not givens.isdisjoint(other.families) and not others.isdisjoint(one.families)


def _by_another(one: Features, other: Features) -> bool:
    """Tell whether one is called by a further given name of the other."""
    firsts = {each[0] for each in one.givens}, {each[0] for each in other.givens}
    rest = {name for each in one.givens for name in each[1:]}, {name for each in other.givens for name in each[1:]}
    return any(len(name) >= _SHORTEST for name in (firsts[0] & rest[1]) | (firsts[1] & rest[0]))


def _is_short_for(short: str, long: str) -> bool:
    """Tell whether one is an initial or the beginning of the other."""
    return long.startswith(short) and (len(short) == 1 or len(short) >= _SHORTEST)


def _similar(one: str, other: str) -> bool:
    if min(len(one), len(other)) < _SHORTEST:
        return False
    near = distance(one, other, 1) <= 1 and max(len(one), len(other)) > _SHORTEST
    return near or (similarity(one, other) >= _ALIKE and distance(one, other, 2) <= 2)


def _sounds(one: str, other: str) -> bool:
    key = sound(one)
    return len(key) > 1 and key == sound(other) and similarity(one, other) >= _NOT_UNLIKE


def _birth_date(one: str, other: str) -> str:
    if one == other:
        return {4: "year", 7: "month"}.get(len(one), "exact")
    parts, others = one.split("-"), other.split("-")
    known = min(len(parts), len(others))
    if known < _SHORTEST:
        same = parts[:known] == others[:known]
        return ("year" if known == 1 else "month") if same else "different"
    if parts[0] == others[0] and parts[1:] == others[:0:-1]:
        return "swapped"
    if sorted(one) == sorted(other) and distance(one.replace("-", ""), other.replace("-", ""), 1) == 1:
        return "swapped"
    differing = [(a, b) for a, b in zip(parts, others, strict=True) if a != b]
    if len(differing) == 1 and (distance(*differing[0], 1) <= 1 or parts[0] == others[0]):
        return "close"
    return "different"


def _identifier(one: Features, other: Features, unique: frozenset[str]) -> str:
    """Return how identifiers agree; empty where they have no system in common."""
    if one.identifiers & other.identifiers:
        return "same"
    mine, theirs = _by_system(one), _by_system(other)
    common = [system for system in mine if system in theirs]
    for system in common:
        for a, b in product(mine[system], theirs[system]):
            if min(len(a), len(b)) >= _LONG_ENOUGH and distance(a, b, 1) <= 1:
                return "close"
    if any(system in unique for system in common):
        return "contradicts"
    return "different" if any(common) else ""


def _by_system(one: Features) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for system, value in one.identifiers:
        found.setdefault(system, []).append(value)
    return found


def _telecom(one: frozenset[str], other: frozenset[str]) -> str:
    if one & other:
        return "same"
    return "close" if any(distance(a, b, 1) <= 1 for a, b in product(one, other)) else "different"


def _best_address(one: Iterable[Address], other: Iterable[Address]) -> str:
    found = {_address(a, b) for a, b in product(one, other)}
    return next(level for level in ("same", "postal", "city", "different") if level in found)


def _address(one: Address, other: Address) -> str:
    shared = len(one.lines & other.lines) / max(1, len(one.lines | other.lines))
    same_place = (one.postal and one.postal == other.postal) or (one.city and one.city == other.city)
    if shared >= 0.6 and (same_place or not (one.postal and other.postal)):
        return "same"
    if one.postal and one.postal == other.postal:
        return "postal"
    return "city" if one.city and one.city == other.city else "different"
