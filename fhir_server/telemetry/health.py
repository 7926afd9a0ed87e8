"""Checks of a node's health: whoever has something that can be unwell adds one, and `/health/ready` asks them all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, runtime_checkable

State = Literal["ok", "degraded", "failing"]
_WITHIN: Final = 3.0
"""Seconds in which a check must have answered."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    state: `degraded` where requests are answered but an operator must look. said: why, in words, empty for `ok`.
    details: numbers and short words for people and programs. Neither holds anything of a patient or a tenant.
    """

    state: State = "ok"
    said: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    gates: while it is failing the node gets no requests (503 from `/health/ready`); else its failure is shown alone.
    fresh_for: seconds for which an answer is good, for what costs something to find out.
    """

    name: str
    probe: Callable[[], Awaitable[Finding]]
    gates: bool = False
    fresh_for: float = 0.0


@runtime_checkable
class HasHealth(Protocol):
    """What has checks of its own: a provider of stores may be one."""

    def health_checks(self) -> Sequence[Check]:
        """Return them; asked once, when the server opens."""


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found; `gated`: one of them says that no requests must come."""

    findings: Mapping[str, Finding]
    gated: bool

    @property
    def status(self) -> Literal["ready", "degraded", "not ready"]:
        """The whole in one word."""
        if self.gated:
            return "not ready"
        return "ready" if all(each.state == "ok" for each in self.findings.values()) else "degraded"

    def shown(self, *, near: bool) -> dict[str, Any]:
        """Return it as JSON: states for everybody, reasons and details for who is `near`."""
        return {name: _shown(each, near=near) for name, each in self.findings.items()}


def _shown(finding: Finding, *, near: bool) -> dict[str, Any]:
    if not near:
        return {"state": finding.state}
    said = {"said": finding.said} if finding.said else {}
    return {"state": finding.state, **said, **finding.details}


class Checks:
    """The checks of one application."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._kept: dict[str, tuple[float, Finding]] = {}

    def add(self, check: Check) -> None:
        """Ask this one too from now on; it takes the place of one of the same name."""
        self._checks[check.name] = check
        self._kept.pop(check.name, None)

    def remove(self, name: str) -> None:
        """Ask it no more."""
        self._checks.pop(name, None)
        self._kept.pop(name, None)

    @contextmanager
    def having(self, *checks: Check) -> Iterator[None]:
        """Have these for as long as the context lasts."""
        for check in checks:
            self.add(check)
        try:
            yield
        finally:
            for check in checks:
                self.remove(check.name)

    async def report(self) -> Report:
        """Ask all at the same time."""
        checks = sorted(self._checks.values(), key=lambda each: each.name)
        found = await asyncio.gather(*(self._ask(check) for check in checks))
        gated = any(check.gates and one.state == "failing" for check, one in zip(checks, found, strict=True))
        return Report({check.name: one for check, one in zip(checks, found, strict=True)}, gated)

    async def _ask(self, check: Check) -> Finding:
        kept = self._kept.get(check.name)
        if kept is not None and time.monotonic() - kept[0] < check.fresh_for:
            return kept[1]
        try:
            found = await asyncio.wait_for(check.probe(), _WITHIN)
        except TimeoutError:
            found = Finding("failing", f"no answer within {_WITHIN:.0f} s")
        except Exception as error:  # whatever it is, it is what health is asked about
            found = Finding("failing", type(error).__name__)
        if check.fresh_for:
            self._kept[check.name] = time.monotonic(), found
        return found
