"""What the listener has done, for /metrics and /health."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dicomweb.dimse.wire.command import Field
from dicomweb.dimse.wire.faults import Aborted, Ended
from fhir_server.plugin_api import Metric

if TYPE_CHECKING:
    from dicomweb.dimse.admission import Peer

_NAMES = {each.value: each.name.removesuffix("_RQ").replace("_", "-") for each in Field}


@dataclass(slots=True)
class Numbers:
    """Counts of one process. `open`: associations now; `refusals`: by message and status."""

    listening: bool = False
    open: int = 0
    associations: Counter[str] = field(default_factory=Counter)
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)

    def began(self) -> None:
        """An association was accepted."""
        self.open += 1
        self.associations["accepted"] += 1

    def rejected(self) -> None:
        """One was refused, or its connection closed before it began."""
        self.associations["rejected"] += 1

    def ended(self, peer: "Peer", end: Ended) -> None:
        """One has ended."""
        self.associations["aborted" if isinstance(end, Aborted) else "released"] += 1

    def broken(self, peer: "Peer") -> None:
        """One did not keep to the protocol."""
        self.associations["broken"] += 1

    def done(self, message: int, failed: bool = False) -> None:
        """A message was answered."""
        self.messages[_NAMES.get(message, "other"), "failed" if failed else "ok"] += 1

    def refused(self, message: int, status: int) -> None:
        """A message was refused."""
        self.done(message, failed=True)


NUMBERS = Numbers()
"""Those of this process, in which one listener runs at most."""

METRICS = (
    Metric(
        "dicom_associations_total",
        "Associations that others opened to us, by how they went",
        lambda: {(how,): count for how, count in NUMBERS.associations.items()},
        "counter",
        ("how",),
    ),
    Metric("dicom_open_associations", "Associations that are open", lambda: {(): NUMBERS.open}),
    Metric(
        "dicom_messages_total",
        "DIMSE messages that were answered",
        lambda: {names: float(count) for names, count in NUMBERS.messages.items()},
        "counter",
        ("message", "outcome"),
    ),
)
