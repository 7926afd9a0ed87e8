"""What came of a move: what both ends were found to hold."""

from dataclasses import asdict, dataclass
from typing import Any

from fhir_server.serving.moving.digests import Digest


@dataclass(frozen=True, slots=True)
class Part:
    """One part of one tenant at both ends."""

    tenant: str
    part: str
    source: Digest
    target: Digest

    @property
    def same(self) -> bool:
        """Whether both ends have the same."""
        return self.source == self.target


@dataclass(frozen=True, slots=True)
class Audit:
    """What the verification of an audit log says at the target: its signed heads, how many rows they vouch for, what
    is wrong; and whether that was so at the source."""

    tenant: str
    heads: int
    covered: int
    problems: tuple[str, ...]
    as_before: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a move."""

    source: str
    target: str
    finished: bool
    parts: tuple[Part, ...] = ()
    audits: tuple[Audit, ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return all(part.same for part in self.parts) and all(audit.as_before for audit in self.audits)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        parts = [{**asdict(part), "same": part.same} for part in self.parts]
        return {**asdict(self), "same": self.same, "parts": parts}
