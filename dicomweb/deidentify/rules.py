"""Rules: what becomes of each attribute, from Table E.1-1 of PS3.15 (confidentiality.json) and the options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from dicomweb.deidentify.options import Options

Action = Literal["keep", "clean", "remove", "empty", "dummy", "uid"]
# Where an object type decides between codes, the one that is legal for all of them and leaves least is taken.
_ACTIONS: Mapping[str, Action] = {
    "D": "dummy",
    "Z": "empty",
    "X": "remove",
    "U": "uid",
    "Z/D": "dummy",
    "X/Z": "empty",
    "X/D": "dummy",
    "X/Z/D": "dummy",
    "X/Z/U*": "uid",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What the Basic Profile does, and what options do instead: K keep, C clean."""

    basic: Action
    options: Mapping[str, str]

    def action(self, options: Options) -> Action:
        """Return what to do under options. Cleaning goes before keeping: it leaves less."""
        said = {self.options[name] for name in self.options if getattr(options, name)}
        if options.shift and "dates" in self.options:
            return "clean"
        return "clean" if "C" in said else "keep" if "K" in said else self.basic


def rule_of(tag: int) -> Rule | None:
    """Return the rule for an attribute, None where the profile leaves it alone."""
    group = tag >> 16
    if 0x5000 <= group <= 0x50FF:
        return _rules()["50XXXXXX"]
    if 0x6000 <= group <= 0x60FF:
        return _rules().get(f"60XX{tag & 0xFFFF:04X}")
    return _rules().get(f"{tag:08X}")


@cache
def _rules() -> dict[str, Rule]:
    read = json.loads(files("dicomweb.deidentify").joinpath("confidentiality.json").read_bytes())
    return {tag: Rule(_ACTIONS[basic], options) for tag, _, basic, options in read["attributes"]}


def is_safe(creator: str, tag: int) -> bool:
    """Tell whether a private attribute is known to identify nobody (Table E.3.10-1)."""
    return f"{tag & 0xFF:02X}" in _safe().get(f"{tag >> 16:04X} {creator.strip()}", frozenset())


@cache
def _safe() -> dict[str, frozenset[str]]:
    read = json.loads(files("dicomweb.deidentify").joinpath("safe_private.json").read_bytes())
    return {group: frozenset(elements.split()) for group, elements in read["attributes"].items()}
