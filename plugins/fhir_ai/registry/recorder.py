"""Recorder: keeps what models said for the monitor, beside the answers and never in their way."""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from fhir_server.plugin_api import Collection, FhirError, Host, PluginContext, RecordChange, RecordField

Role = Literal["champion", "canary", "shadow"]
PREDICTIONS: Final = Collection(
    "fhir_ai.predictions",
    (
        RecordField("model"), RecordField("version"), RecordField("at", "integer"), RecordField("patient"),
        RecordField("due", "integer"), RecordField("outcome", "integer"),
    ),
    patient="patient",
)  # fmt: skip
UNKNOWN: Final = -1
_LOG = logging.getLogger(__name__)
_DAY: Final = 86_400_000
_WAIT: Final = 0.2
_MOST_WAITING: Final = 10_000
_MOST_SHADOWS: Final = 200
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Said:
    """What one version said of one patient, on one day: the last counts.

    role: it was shown as the champion or as a canary, or it was a shadow that nobody saw. values: by feature, None for
    a missing one. groups: sex and age, to look for gaps. probability: None where it could not answer, `kind` says why.
    due: when its outcome can be known, in milliseconds; outcome: 0, 1, or -1 while it is not known.
    """

    model: str
    version: str
    at: int
    patient: str
    role: Role
    probability: float | None
    flagged: bool
    kind: str
    values: Mapping[str, Any]
    groups: Mapping[str, str]
    due: int
    outcome: int = UNKNOWN

    @property
    def key(self) -> str:
        """The same for one version, patient and day; what it could not answer never takes the place of an answer."""
        told = f"{self.model}@{self.version}|{self.patient}|{self.at // _DAY}|{self.role == 'shadow'}|{self.kind}"
        return hashlib.sha256(told.encode()).hexdigest()[:32]

    def put(self) -> RecordChange:
        """Return the change that keeps it."""
        return RecordChange(PREDICTIONS.name, self.key, asdict(self))


class Recorder:
    """Writes in groups a moment after the answer; when too many wait, the oldest are dropped and counted."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: dict[str, dict[str, Said]] = defaultdict(dict)
        self._shadows: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def note(self, tenant: str, said: Said) -> None:
        """Keep what was said, soon."""
        waiting = self._waiting[tenant]
        if len(waiting) >= _MOST_WAITING:
            waiting.pop(next(iter(waiting)))
            self.dropped += 1
        waiting[said.key] = said
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._later())

    def shadow(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do work that nobody waits for, unless too much of it is under way."""
        if len(self._shadows) >= _MOST_SHADOWS:
            self.dropped += 1
            return
        task = asyncio.create_task(_quietly(work))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def flush(self) -> None:
        """Write all that waits now, the shadows that are under way too."""
        if self._shadows:
            await asyncio.wait(set(self._shadows))
        for tenant in list(self._waiting):
            waiting = list(self._waiting.pop(tenant).values())
            try:
                ctx = await self._host.context(tenant)
                for start in range(0, len(waiting), _AT_ONCE):
                    await ctx.store.put(*(said.put() for said in waiting[start : start + _AT_ONCE]))
            except FhirError:  # the tenant is gone
                _LOG.warning("what models said in the tenant %s could not be kept", tenant)

    async def _later(self) -> None:
        await asyncio.sleep(_WAIT)
        try:
            await self.flush()
        except Exception:  # the record is busy or full: what models said is worth less than that
            _LOG.exception("what models said could not be kept")


def recorder_of(ctx: PluginContext) -> Recorder:
    """Return the recorder of this process."""
    found: Recorder | None = ctx.shared.get("recorder")
    if found is None:
        found = ctx.shared["recorder"] = Recorder(ctx.host)
    return found


async def _quietly(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:
        _LOG.exception("a shadow could not be computed")
