"""What the validator has found so far, up to a limit."""

from dataclasses import replace
from typing import Literal

from fhir_server.errors import Issue

# Errors of one resource, and as many other findings; a last one says that there are more.
MAX_ISSUES = 200

Origin = Literal["base", "profile", "implied", "prose", "unchecked"]
"""Where a finding comes from: R4 itself, a profile that is claimed, one that a code implies, what R4 says of a type of
resource in words, or that something could not be checked."""


class Enough(Exception):
    """The limit is reached: there is no use in looking further."""


class Findings:
    """A growing list of issues.

    Attributes:
        origins: where each issue comes from, in the same order.
        origin: where the next ones come from.
        errors_only: nobody will read anything but errors, so nothing else is kept.
        errors: how many of the issues are errors.
    """

    def __init__(self, limit: int = MAX_ISSUES, *, errors_only: bool = False) -> None:
        self.issues: list[Issue] = []
        self.origins: list[Origin] = []
        self.origin: Origin = "base"
        self.errors_only = errors_only
        self.errors = 0
        self._limit = limit

    def add(  # each is a part of one issue
        self, code: str, path: str, text: str, *, severity: str = "error", key: str = "", absent: str = ""
    ) -> None:
        """Note a fault of the element at a FHIRPath.

        `key` is that of the invariant that is broken. `absent` is the name below the element that is missing, or that
        must not be there; the reference validator blames the element, people look for the name, so both are told.

        Raises:
            Enough: there are as many errors as anybody wants to read.
        """
        if severity != "error":
            self._other(code, path, text, severity, key)
            return
        if self.errors >= self._limit:
            self._append(Issue(f"there are more than {self._limit} faults; the rest is not listed", "too-costly"))
            raise Enough
        self.errors += 1
        issue = _issue(code, path, text, severity, key)
        self._append(replace(issue, expression=(path, f"{path}.{absent}")) if absent else issue)

    def soften(self, start: int) -> None:
        """Make warnings of the errors from one place in the list on."""
        for index in range(start, len(self.issues)):
            if self.issues[index].severity == "error":
                self.issues[index] = replace(self.issues[index], severity="warning")
                self.errors -= 1

    def limit(self, text: str) -> None:
        """Note that the looking ended early."""
        self._append(Issue(text, "too-costly"))

    def _other(self, code: str, path: str, text: str, severity: str, key: str) -> None:
        """Note what is no error. Those over the limit are passed over: errors may still come."""
        others = len(self.issues) - self.errors
        if self.errors_only or others > self._limit:
            return
        if others == self._limit:
            text = f"there are more than {self._limit} warnings and hints; the rest is not listed"
            code, path, severity, key = "too-costly", "", "information", ""
        self._append(_issue(code, path, text, severity, key))

    def _append(self, issue: Issue) -> None:
        self.issues.append(issue)
        self.origins.append(self.origin)


def _issue(code: str, path: str, text: str, severity: str, key: str) -> Issue:
    details = {"coding": [{"code": key}]} if key else None
    return Issue(text, code, severity, (path,) if path else (), details)
