"""What the validator has found so far, up to a limit."""

from fhir_server.errors import Issue

# Issues of one resource; a last one says that there are more.
MAX_ISSUES = 200


class Enough(Exception):
    """The limit is reached: there is no use in looking further."""


class Findings:
    """A growing list of issues."""

    def __init__(self, limit: int = MAX_ISSUES) -> None:
        self.issues: list[Issue] = []
        self._limit = limit

    def add(self, code: str, path: str, text: str, *, severity: str = "error", key: str = "") -> None:
        """Note a fault of the element at a FHIRPath; `key` is that of the invariant that is broken.

        Raises:
            Enough: there are as many as anybody wants to read.
        """
        if len(self.issues) >= self._limit:
            self.issues.append(Issue(f"there are more than {self._limit} faults; the rest is not listed", "too-costly"))
            raise Enough
        details = {"coding": [{"code": key}]} if key else None
        self.issues.append(Issue(text, code, severity, (path,), details))
