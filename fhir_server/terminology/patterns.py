"""Regular expressions of value sets: one that takes too long is given up.

Spec: https://hl7.org/fhir/R4/valueset-filter-operator.html#valueset-filter-operator-regex
"""

import time
from collections.abc import Callable
from functools import lru_cache

import regex

from fhir_server.errors import BadValue, FhirError
from fhir_server.terminology.outcomes import error

_SECONDS = 0.2
"""What one match may take; a sane one takes microseconds."""

_SECONDS_IN_ALL = 2.0
"""What all matches of one filter may take."""


class Pattern:
    """An expression that has to match the whole of a value."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        try:
            self._compiled = regex.compile(expression, regex.VERSION1)
        except (regex.error, RecursionError, OverflowError) as error:
            raise BadValue(f"the regular expression {expression[:100]!r} cannot be read: {error}") from None

    @staticmethod
    @lru_cache(maxsize=500)
    def of(expression: str) -> "Pattern":
        """Return the compiled expression.

        Raises:
            BadValue: it cannot be read.
        """
        return Pattern(expression)

    def test(self) -> Callable[[str], bool]:
        """Return what tells whether the whole of a value matches.

        It raises TooCostly where one match, or all that it made so far, took too long.
        """
        left = _SECONDS_IN_ALL

        def matches(value: str) -> bool:
            nonlocal left
            started = time.perf_counter()
            try:
                found = self._compiled.fullmatch(value, timeout=_SECONDS, concurrent=True) is not None
            except TimeoutError:
                raise self._too_slow(value) from None
            left -= time.perf_counter() - started
            if left < 0:
                raise self._too_slow(value)
            return found

        return matches

    def _too_slow(self, value: str) -> FhirError:
        text = f"The regex filter '{self._expression[:200]}' took too long to evaluate against code '{value[:200]}'"
        return error("too-costly", "too-costly", "REGEX_TOO_COSTLY", text).raised()
