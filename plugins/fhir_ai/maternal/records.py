"""What is kept of each patient whose pregnancy is followed: the episode, the open alert, the visits."""

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from fhir_server.plugin_api import Collection, PluginContext, RecordChange

PREGNANCIES: Final = Collection("fhir_ai.pregnancies")
_VISITS: Final = 60


@dataclass(frozen=True, slots=True)
class Followed:
    """One patient. revision: of the record, 0 for none. alerts: how many there were; flag, message: of the open one.

    met: its criteria by input. visits: the newest last.
    """

    patient: str
    episode: str
    revision: int = 0
    alerts: int = 0
    flag: str = ""
    message: str = ""
    met: dict[str, str] = field(default_factory=dict)
    visits: list[dict[str, Any]] = field(default_factory=list)

    def change(self) -> RecordChange:
        """Return the record of it, to be written over the revision that was read."""
        value = {name: each for name, each in asdict(self).items() if name not in ("patient", "revision")}
        value["visits"] = self.visits[-_VISITS:]
        return RecordChange(PREGNANCIES.name, self.patient, value, expected=self.revision)


async def followed(ctx: PluginContext, patient: str) -> Followed | None:
    """Return what is kept of a patient."""
    record = await ctx.store.get(PREGNANCIES.name, patient)
    if record is None:
        return None
    value: dict[str, Any] = dict(record.value)
    return Followed(patient, revision=record.revision, **value)
