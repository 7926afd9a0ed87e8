"""What one evaluation knows: the resource, variables, limits, and the services that it may ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from fhir_server.fhirpath.errors import LimitExceeded
from fhir_server.fhirpath.limits import DEFAULT_LIMITS, Limits
from fhir_server.fhirpath.node import Collection, Node
from fhir_server.fhirpath.types import TypeModel

Resolve = Callable[[str], "dict[str, Any] | None"]


@dataclass(frozen=True, slots=True)
class Services:
    """What an expression can ask of the world around it; each may be absent.

    Attributes:
        resolve: reference to resource, None when there is none. Contained resources need no service.
        member_of: (JSON of a code, Coding or CodeableConcept, URL of a value set) to yes, no or unknown.
        subsumes: (coding, coding) to yes, no or unknown; whether the first is the wider one.
        conforms_to: (resource or element, URL of a profile) to yes or no; None when there is no such profile.
        element_definition: a node to the ElementDefinition that describes it.
        trace: called with the name and the items of each `trace()`.
        now: the clock; the system's when None.
    """

    resolve: Resolve | None = None
    member_of: Callable[[Any, str], bool | None] | None = None
    subsumes: Callable[[Any, Any], bool | None] | None = None
    conforms_to: Callable[[Any, str], bool | None] | None = None
    element_definition: Callable[[Node], "dict[str, Any] | None"] | None = None
    trace: Callable[[str, Collection], None] | None = None
    now: Callable[[], datetime] | None = None


NO_SERVICES = Services()


@dataclass(frozen=True, slots=True)
class Options:
    """How one evaluation is to be done.

    Attributes:
        strict: check names against the types first, and hold `as` to single items as the specification asks; R4's own
            search parameters do not.
    """

    services: Services = NO_SERVICES
    limits: Limits = DEFAULT_LIMITS
    strict: bool = False


DEFAULT_OPTIONS = Options()
# The clock is read once for so many items (as a power of two).
_CLOCK_SHIFT = 6


class Run:
    """The state of one evaluation; made for it and thrown away after it."""

    __slots__ = (
        "_deadline", "_now", "context", "index", "limits", "model", "regex_left", "root", "services", "steps", "strict",
        "total", "variables",
    )  # fmt: skip

    def __init__(self, root: Node, model: TypeModel, options: Options = DEFAULT_OPTIONS) -> None:
        self.root = root
        self.context = root
        self.model = model
        self.services = options.services
        self.limits = options.limits
        self.regex_left = options.limits.regex_seconds
        self.variables: Mapping[str, Collection] = {}
        self.index: int | None = None
        self.total: Collection = []
        self.strict = options.strict
        self.steps = 0
        self._now: datetime | None = None
        self._deadline: float | None = None

    def visit(self, count: int = 1) -> None:
        """Count items visited, or refuse; the clock is looked at now and then.

        Raises:
            LimitExceeded: this evaluation has visited too many, or for too long.
        """
        before = self.steps
        self.steps = before + count
        if self.steps > self.limits.steps:
            raise LimitExceeded(f"the expression visits more than {self.limits.steps} items")
        if self.steps >> _CLOCK_SHIFT != before >> _CLOCK_SHIFT:
            self._look_at_clock()

    def _look_at_clock(self) -> None:
        moment = monotonic()
        if self._deadline is None:
            self._deadline = moment + self.limits.seconds
        if moment > self._deadline:
            raise LimitExceeded(f"the expression takes longer than {self.limits.seconds} s")

    def bounded(self, items: Collection) -> Collection:
        """Return the items unless there are too many.

        Raises:
            LimitExceeded: the collection is larger than allowed.
        """
        if len(items) > self.limits.items:
            raise LimitExceeded(f"a collection has more than {self.limits.items} items")
        return items

    def text(self, built: str) -> str:
        """Return a string that was built unless it is too long.

        Raises:
            LimitExceeded: the string is longer than allowed.
        """
        if len(built) > self.limits.text:
            raise LimitExceeded(f"a string has more than {self.limits.text} characters")
        return built

    def now(self) -> datetime:
        """The time of this evaluation: the same however often it is asked."""
        if self._now is None:
            clock = self.services.now
            self._now = clock() if clock else datetime.now().astimezone()
        return self._now
