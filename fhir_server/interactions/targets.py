"""What a write is about, once its conditions and preconditions are settled but before its body is looked at."""

import msgspec

from fhir_server.interactions.prepare import Prepared
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.storage.base import Change, Condition, Method


class Target(msgspec.Struct, frozen=True):  # a Struct is made five times as fast as a dataclass
    """The resource that a write is about.

    expected: as in `Change`.
    found: the current version where it had to be read.
    guessed: as in `Planned`.
    force: as in `Change`.
    answers: `found` is the answer, and nothing is written (a conditional create with a match).
    """

    key: ResourceKey
    expected: int | None = None
    conditions: tuple[Condition, ...] = ()
    found: Version | None = None
    guessed: bool = False
    answers: bool = False
    force: bool = False

    def change(self, method: Method, prepared: Prepared) -> Change:
        """Return the write of a prepared resource."""
        return Change(
            self.key, method, prepared.body, prepared.entries,
            expected=self.expected, conditions=self.conditions, requires=prepared.requires, force=self.force,
        )  # fmt: skip
