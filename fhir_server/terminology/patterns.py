"""Regular expressions of value sets: one that takes too long is given up.

Spec: https://hl7.org/fhir/R4/valueset-filter-operator.html#valueset-filter-operator-regex
"""

from functools import lru_cache

import regex

from fhir_server.errors import BadValue, TooCostly

_SECONDS = 0.2
"""What one match may take; a sane one takes microseconds."""


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

    def matches(self, value: str) -> bool:
        """Tell whether the whole value matches.

        Raises:
            TooCostly: it takes too long.
        """
        try:
            return self._compiled.fullmatch(value, timeout=_SECONDS) is not None
        except TimeoutError:
            raise TooCostly(f"the regular expression {self._expression[:100]!r} takes too long") from None
