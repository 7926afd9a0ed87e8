"""Consumer: who reads the feed, from where, how much at once."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from fhir_server.feed.change import FeedChange

Handler = Callable[[Any, Sequence[FeedChange]], Awaitable[None]]
"""`async handler(context, changes)`: they count as done when it returns; what it raises is why they are tried again."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)
_MOST_PARTITIONS: Final = 64
_MOST_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Consumer:
    """One reader of the feed of every tenant. Each change comes at least once, those of one resource in their order.

    Attributes:
        name: of its cursor; one that was renamed starts anew.
        handler: is given batches of changes, never empty.
        types: the resource types it is for; none: all.
        partitions: how many batches it may be given at the same time; a resource always falls to the same one.
        start: where it begins in a tenant that it has not seen: after what is there, or with the first change.
        batch: most changes at once.
        timeout: seconds that one batch may take; 0: as the setting `feed_timeout` says.
        tenants: the tenants it is for; none: all.
    """

    name: str
    handler: Handler
    types: tuple[str, ...] = ()
    partitions: int = 1
    start: Literal["now", "beginning"] = "now"
    batch: int = 100
    timeout: float = 0
    tenants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ValueError."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"consumer {self.name!r}: a name is made of a-z, 0-9, '.', '_' and '-', 80 at most")
        if not 1 <= self.partitions <= _MOST_PARTITIONS:
            raise ValueError(f"consumer {self.name}: partitions is 1 to {_MOST_PARTITIONS}")
        if not 1 <= self.batch <= _MOST_BATCH:
            raise ValueError(f"consumer {self.name}: batch is 1 to {_MOST_BATCH}")
        if self.timeout < 0 or self.start not in ("now", "beginning"):
            raise ValueError(f"consumer {self.name}: timeout is 0 or more, start 'now' or 'beginning'")
