"""Cases: findings of one user, rule and window are one alert; later ones add to it without telling anybody again."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from fhir_audit.breaches import report
from fhir_audit.breaches.report import Case
from fhir_audit.breaches.seen import Finding
from fhir_audit.settings import AuditSettings
from fhir_server.plugin_api import Collection, PluginStore, RecordChange, RecordField

ALERTS: Final = Collection("fhir_audit.alerts", (RecordField("sent", "integer"), RecordField("time", "integer")))


@dataclass(slots=True)
class _Open:
    """A case under way: what is kept of it, at which revision, and whether this look has changed it."""

    case: Case
    revision: int
    sent: int
    told: list[str]
    changed: bool


class Ration:
    """Bounds the alerts of each rule in one window: who guesses passwords of many names must not fill the record."""

    def __init__(self, settings: AuditSettings) -> None:
        self._most, self._quiet = settings.most_alerts, settings.quiet * 1_000
        self._keys: dict[str, set[str]] = {}
        self._window = -1

    def of(self, finding: Finding) -> Finding:
        """Return a finding, or what stands for all those beyond the bound."""
        window = finding.time // self._quiet
        if window != self._window:
            self._window = window
            self._keys.clear()
        keys = self._keys.setdefault(finding.rule, set())
        key = report.key_of(finding, self._quiet)
        if key in keys or len(keys) < self._most:
            keys.add(key)
            return finding
        said = f"more than {self._most} alerts of this rule within {self._quiet // 1_000} seconds: there are others"
        return replace(finding, who="others", subject="", about="others", said=said, patients=(), severity="high")


@dataclass(slots=True)
class Cases:
    """What one look has found.

    life: of an emergency access, seconds.
    """

    settings: AuditSettings
    life: int
    _open: dict[str, _Open] = field(default_factory=dict)

    async def take(self, store: PluginStore, finding: Finding) -> None:
        """Open a case for a finding, or add it to the one that is open."""
        key = report.key_of(finding, self.settings.quiet * 1_000)
        known = self._open.get(key) or await _read(store, key, finding)
        if known is None:
            case = Case(key, finding, finding.time).joined(finding)
            self._open[key] = _Open(case, 0, 0, [], changed=True)
            return
        joined = known.case.joined(finding)
        if joined.patients != known.case.patients:
            known.case, known.changed = joined, True
        self._open[key] = known

    def resources(self) -> list[dict[str, Any]]:
        """Return what is to be written into the record."""
        found: list[dict[str, Any]] = []
        for one in self._open.values():
            if one.changed:
                found.append(report.issue(one.case))
            if one.changed and not one.revision:
                found.append(report.communication(one.case, self.settings.recipient))
                if one.case.finding.rule == "break-glass":
                    found += report.flags(one.case, self.life)
        return found

    def records(self) -> list[RecordChange]:
        """Return what is to be remembered, so that nobody is told twice."""
        return [
            RecordChange(ALERTS.name, key, _value(one), expected=one.revision)
            for key, one in self._open.items()
            if one.changed
        ]


def _value(one: _Open) -> dict[str, Any]:
    case = one.case
    return {
        "sent": one.sent, "time": case.start, "told": one.told, "patients": list(case.patients),
        "seqs": list(case.seqs), "payload": report.told(case),
    }  # fmt: skip


async def _read(store: PluginStore, key: str, finding: Finding) -> _Open | None:
    record = await store.get(ALERTS.name, key)
    if record is None:
        return None
    value: Any = record.value
    case = Case(key, finding, value["time"], tuple(value["patients"]), tuple(value["seqs"]))
    return _Open(case, record.revision, value["sent"], list(value["told"]), changed=False)
