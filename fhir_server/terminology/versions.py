"""Versions of code systems: which one a pattern means, and the rules of a request that pin, default or check them.

Spec: https://build.fhir.org/ig/HL7/fhir-tx-ecosystem-ig/requirements.html
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_WILD = re.compile(r"(^|\.)[xX*](\.|$)")


@dataclass(frozen=True, slots=True)
class VersionRules:
    """What a request says of versions, by URL.

    Attributes:
        default: of systems for which nothing else says a version (`system-version`).
        check: the version has to match this (`check-system-version`); the default too where there is none.
        force: whatever anything else says (`force-system-version`).
        value_sets: of value sets that are imported without a version (`default-valueset-version`).
    """

    default: Mapping[str, str] = field(default_factory=dict)
    check: Mapping[str, str] = field(default_factory=dict)
    force: Mapping[str, str] = field(default_factory=dict)
    value_sets: Mapping[str, str] = field(default_factory=dict)


NO_RULES = VersionRules()


def is_pattern(version: str) -> bool:
    """Tell whether a version has wildcards: `1.x`, `1.*.0`."""
    return _WILD.search(version) is not None or version.endswith("?")


def fits(version: str, wanted: str) -> bool:
    """Tell whether a version is the wanted one, or one that its pattern means."""
    if version == wanted or not wanted:
        return True
    if not is_pattern(wanted):
        return False
    mine, pattern = version.split("."), wanted.rstrip("?").split(".")
    if len(pattern) > len(mine) and any(each not in "xX*" for each in pattern[len(mine) :]):
        return False
    if len(mine) > len(pattern) and pattern[-1] not in "xX*" and not wanted.endswith("?"):
        return False
    return all(asked in ("x", "X", "*") or asked == own for own, asked in zip(mine, pattern, strict=False))


def latest(versions: Iterable[str], wanted: str) -> str | None:
    """Return the first of versions, the latest first, that fits."""
    return next((version for version in versions if fits(version, wanted)), None)


def version_order(version: str) -> list[tuple[int, int, str]]:
    """Return what versions sort by: numbers as numbers; no version is the latest."""
    if not version:
        return [(2, 0, "")]
    return [(1, int(each), "") if each.isdecimal() else (0, 0, each) for each in re.split(r"[.\-+]", version)]


def listed(versions: Sequence[str]) -> str:
    """Return versions for people, the oldest first: `1.0.0, 1.1.0 or 1.2.0`."""
    return choices(list(versions)[::-1])


def choices(texts: Sequence[str]) -> str:
    """Return texts as a choice: `a, b or c`."""
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + f" or {texts[-1]}"
