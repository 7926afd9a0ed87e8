"""Functions with regular expressions, each held to a time limit.

The package `regex` and not `re`: it knows `\\p{L}` and the possessive forms that FHIR's patterns use, and it can be
told to give up after a time, which `re` cannot. A pattern such as `(a+)+$` is cut off, whoever wrote it.

Spec: https://hl7.org/fhirpath/N1/#matchesregex--string--boolean
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from time import perf_counter
from typing import Any

import regex

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError, LimitExceeded
from fhir_server.fhirpath.functions.function import Function, fixed
from fhir_server.fhirpath.node import Collection
from fhir_server.fhirpath.values import string

_MAX_PATTERN = 10_000
_LEAST_SECONDS = 0.0001
# Groups are written $1 and ${name} in a substitution, \g<1> in Python.
_GROUP = re.compile(r"\$(?:(\d+)|\{(\w+)\})", re.ASCII)
_FLAGS = {"i": regex.IGNORECASE, "m": regex.MULTILINE}


@lru_cache(maxsize=512)
def compiled_pattern(pattern: str, flags: int = 0) -> "regex.Pattern[str]":
    """A pattern ready to be used; the last 512 are kept.

    Raises:
        FhirPathError: it is not a regular expression.
    """
    if len(pattern) > _MAX_PATTERN:
        raise LimitExceeded(f"a regular expression is longer than {_MAX_PATTERN} characters")
    try:
        return regex.compile(pattern, regex.DOTALL | flags)
    except (regex.error, OverflowError, RecursionError) as error:
        raise FhirPathError(f"not a regular expression: {error}") from error


def _timed(run: Run, compute: Callable[[float], Any]) -> Any:
    """Run a search on what is left of the time for all searches of this evaluation."""
    start = perf_counter()
    try:
        return compute(max(run.regex_left, _LEAST_SECONDS))
    except (TimeoutError, MemoryError) as error:
        raise LimitExceeded(f"regular expressions take longer than {run.limits.regex_seconds} s") from error
    finally:
        run.regex_left -= perf_counter() - start


def matches(run: Run, focus: Collection, pattern: Collection, flags: Collection | None = None) -> Collection:
    """`matches(regex [, flags])`: whether some part of the string matches; the dot matches line ends too."""
    text, source = string(focus, "matches()"), string(pattern, "matches()")
    if text is None or source is None:
        return []
    compiled = compiled_pattern(source, _flags(flags))
    return [_timed(run, lambda seconds: compiled.search(text, timeout=seconds)) is not None]


def matches_full(run: Run, focus: Collection, pattern: Collection, flags: Collection | None = None) -> Collection:
    """`matchesFull(regex [, flags])`: whether the whole string matches.

    Spec: https://hl7.org/fhirpath/#matchesfullregex--string--boolean
    """
    text, source = string(focus, "matchesFull()"), string(pattern, "matchesFull()")
    if text is None or source is None:
        return []
    compiled = compiled_pattern(source, _flags(flags))
    return [_timed(run, lambda seconds: compiled.fullmatch(text, timeout=seconds)) is not None]


def _flags(items: Collection | None) -> int:
    letters = string(items, "matches()") if items else None
    found = 0
    for letter in letters or "":
        found |= _FLAGS.get(letter, 0)
    return found


def replace_matches(run: Run, focus: Collection, pattern: Collection, substitution: Collection) -> Collection:
    """`replaceMatches(regex, substitution)`; the empty pattern changes nothing."""
    text, source, new = (string(items, "replaceMatches()") for items in (focus, pattern, substitution))
    if text is None or source is None or new is None:
        return []
    if not source:
        return [text]
    compiled, template = compiled_pattern(source), _template(new)
    if _timed(run, lambda seconds: compiled.search(text, timeout=seconds)) is None:
        return [text]
    try:
        return [run.text(_timed(run, lambda seconds: compiled.sub(template, text, timeout=seconds)))]
    except (regex.error, IndexError) as error:
        raise FhirPathError(f"not a substitution: {error}") from error


def _template(substitution: str) -> str:
    escaped = substitution.replace("\\", "\\\\")
    return _GROUP.sub(lambda match: f"\\g<{match[1] or match[2]}>", escaped)


FUNCTIONS: Mapping[str, Function] = {
    "matches": Function(matches, 1, 2),
    "matchesFull": Function(matches_full, 1, 2),
    "replaceMatches": fixed(replace_matches, 2),
}
