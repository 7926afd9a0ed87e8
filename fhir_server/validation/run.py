"""One validation of one resource: what is known, what it is about, what was found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_server.definitions import Definitions
from fhir_server.packages import Library
from fhir_server.terminology import Terminology
from fhir_server.validation.findings import Findings
from fhir_server.validation.place import Place

Json = Mapping[str, Any]
Resolve = Callable[[str], Json | None]
"""Gives the resource of a reference outside of the one that is checked; None where it is not at hand."""


def nothing(_reference: str) -> None:
    """Know of no resource outside of the one that is checked."""
    return


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What checks are made of: the types of R4, the profiles of a library, its terminology.

    `kept` is where makers of checks keep what they have made of this knowledge, each under its own name.
    """

    definitions: Definitions
    library: Library
    terms: Terminology
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """The state of one validation.

    Attributes:
        root: the outermost resource.
        transaction: it is an entry of a transaction whose conditional references are not resolved yet.
        done: profiles that were checked already, by (id of the JSON object, URL), so that circles of references end.
        memo: what a check wants to know again in this validation; names of keys start with that of the check.
        unknown_extensions: severity of an extension that no definition is known for.
        implied: whether profiles count that R4 asks for because of a code, such as that of vital signs.
        prose: whether rules count that R4 gives in words for some types of resources, such as those of Bundles.
        security: severity of what looks like HTML in a text.
        resource: the innermost resource that is being looked at.
        container: the resource that contains it, where it is a contained one.
        codes: what was judged of codes before; see `rules.codes`.
    """

    knowledge: Knowledge
    root: Json
    findings: Findings
    resolve: Resolve = nothing
    transaction: bool = False
    done: set[tuple[int, str]] = field(default_factory=set)
    memo: dict[Any, Any] = field(default_factory=dict)
    unknown_extensions: Literal["information", "warning", "error"] = "information"
    implied: bool = True
    prose: bool = True
    security: Literal["off", "warning", "error"] = "off"
    resource: Json = field(default_factory=dict)
    container: Json | None = None
    codes: Any = None

    def error(self, place: Place, code: str, text: str, key: str = "") -> None:
        """Note what makes the resource invalid."""
        self.findings.add(code, place.path(), text, key=key)

    def warn(self, place: Place, code: str, text: str, key: str = "") -> None:
        """Note what should be looked at; the resource is valid all the same."""
        if self.findings.errors_only:
            return
        self.findings.add(code, place.path(), text, severity="warning", key=key)

    def inform(self, place: Place, code: str, text: str, key: str = "") -> None:
        """Note what is good to know."""
        if self.findings.errors_only:
            return
        self.findings.add(code, place.path(), text, severity="information", key=key)

    def in_words(self, place: Place, code: str, text: str) -> None:
        """Note what breaks a rule that R4 gives in words alone; a write is not refused for it."""
        if self.prose:
            before, self.findings.origin = self.findings.origin, "prose"
            self.error(place, code, text)
            self.findings.origin = before

    def unchecked(self, place: Place, code: str, text: str) -> None:
        """Warn of what could not be checked here; who asks for `handling=strict` takes it for an error."""
        before, self.findings.origin = self.findings.origin, "unchecked"
        self.warn(place, code, text)
        self.findings.origin = before


Check = Callable[[Any, Place, Run], None]
"""Looks at one JSON value and notes what is wrong with it. It never raises on misshapen JSON: structure is told
elsewhere, and what cannot be looked at is passed over."""
