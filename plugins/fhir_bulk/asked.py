"""What a client asks of an export: the kick-off parameters, read and checked.

Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib.util import find_spec
from typing import Any, Literal

from fhir_server.plugin_api import BadRequest, BadValue, Call, Forbidden, Snapshot, Wanted

Level = Literal["system", "patient", "group"]
NDJSON, PARQUET = "application/fhir+ndjson", "application/vnd.apache.parquet"
FORMATS: Mapping[str, str] = {
    "application/fhir+ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "ndjson": NDJSON,
    "application/vnd.apache.parquet": PARQUET,
    "parquet": PARQUET,
}
ASSOCIATED = ("LatestProvenanceResources", "RelevantProvenanceResources")
_FILTERS = re.compile(r",(?=[A-Z][A-Za-z]*\?)")
_OF_PATIENT = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """One export as it was asked for; times are milliseconds since 1970.

    types: empty for all. filters: searches by type. elements: by type, "" for all types. patients: ids, None for all.
    """

    level: Level
    group: str = ""
    format: str = NDJSON
    since: int | None = None
    until: int | None = None
    types: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patients: tuple[str, ...] | None = None
    associated: str = ""
    by_patient: bool = False
    partial: bool = False

    def wanted(self, type_: str) -> Wanted:
        """Return what is wanted of a type, whoever it belongs to."""
        return Wanted(filters=self.filters.get(type_, ()), since=self.since, until=self.until)

    def kept_of(self, type_: str) -> tuple[str, ...]:
        """Return the elements that are kept of a type; none: all."""
        return (*self.elements.get(type_, ()), *self.elements.get("", ()))

    def as_json(self) -> dict[str, Any]:
        """Return it as a record holds it."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> "Asked":
        """Read it back."""
        lists = {name: {k: tuple(v) for k, v in value[name].items()} for name in ("filters", "elements")}
        patients = value["patients"] if value["patients"] is None else tuple(value["patients"])
        return cls(**{**value, **lists, "types": tuple(value["types"]), "patients": patients})


class Reading:
    """Reads the parameters of one call.

    Where something is not supported it is refused, or left out and noted if the client prefers lenient handling:
    https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters
    """

    def __init__(self, call: Call, snapshot: Snapshot, types: Iterable[str]) -> None:
        self._call, self._snapshot = call, snapshot
        self._types = frozenset(types) - {"AuditEvent"}
        self._lenient = call.request.preference("handling") == "lenient"
        self.notes: list[str] = []

    def read(self, level: Level) -> Asked:
        """Return what is asked.

        Raises:
            BadRequest: a value that cannot be read, or what is not supported.
            Forbidden: a type that the client may not see.
        """
        for name, _ in self._call.search:
            self.unsupported(f"$export has no parameter {name[:100]!r}", f"http.{name[:100]}")
        asked = Asked(
            level,
            group=self._call.request.id or "",
            format=self._format(),
            since=self._instant("_since"),
            until=self._instant("_until"),
            types=tuple(self._asked_types(level)),
            patients=self._patients(level),
            associated=self._associated(),
            by_patient=self._by_patient(level),
            partial=self._call.inputs.one("allowPartialManifests", default=False),
        )
        asked = replace(asked, filters=self._filters(asked), elements=self._elements())
        if asked.format == PARQUET and asked.by_patient:
            raise BadRequest("Parquet files hold one type each: leave out organizeOutputBy", expression="http.query")
        return asked

    def unsupported(self, text: str, place: str) -> None:
        """Refuse what is not supported, or note that it is left out. Raises BadRequest."""
        if not self._lenient:
            raise BadRequest(text, expression=place)
        self.notes.append(text)

    def _format(self) -> str:
        given = self._call.inputs.one("_outputFormat", default="ndjson")
        found = FORMATS.get(given.replace(" ", "+").lower())
        if found is None:
            raise BadValue(
                f"_outputFormat {given[:100]!r} is not supported; it may be {', '.join(FORMATS)}",
                expression="http._outputFormat",
            )
        if found == PARQUET and find_spec("pyarrow") is None:
            raise BadRequest("Parquet needs: pip install 'fhir-server[bulk]'", expression="http._outputFormat")
        return found

    def _instant(self, name: str) -> int | None:
        text = self._call.inputs.one(name)
        if text is None:
            return None
        try:
            return int(datetime.fromisoformat(text).timestamp() * 1_000)
        except (ValueError, OverflowError):
            raise BadValue(f"{name}={text[:60]} is no instant", expression=f"http.{name}") from None

    def _asked_types(self, level: Level) -> Iterable[str]:
        named = [name for text in self._call.inputs.many("_type") for name in text.split(",")]
        for name in dict.fromkeys(named):
            if name not in self._types:
                self.unsupported(f"_type: {name[:80]!r} is no resource type that is exported", "http._type")
            elif not self._snapshot.may(name):
                if not self._lenient:
                    raise Forbidden(
                        f"the scopes of this client do not allow {name} to be read", expression="http._type"
                    )
                self.notes.append(f"{name} is left out: the scopes of this client do not allow it")
            else:
                yield name
        if named and not any(name in self._types and self._snapshot.may(name) for name in named):
            raise BadValue("_type names nothing that can be exported", expression="http._type")

    def _patients(self, level: Level) -> tuple[str, ...] | None:
        given: Sequence[Mapping[str, Any]] = self._call.inputs.many("patient")
        if given and level == "system":
            self.unsupported("patient: an export of the system is not narrowed to patients", "http.patient")
            return None
        found = [_OF_PATIENT.match(str(each.get("reference", ""))) for each in given]
        if any(match is None for match in found):
            raise BadValue("patient: each is a reference to a Patient", expression="http.patient")
        return tuple(dict.fromkeys(match[1] for match in found if match)) if given else None

    def _associated(self) -> str:
        given = [name for text in self._call.inputs.many("includeAssociatedData") for name in text.split(",")]
        for name in given:
            if name not in ASSOCIATED:
                self.unsupported(f"includeAssociatedData: {name[:80]!r} is not supported", "http.includeAssociatedData")
        known = [name for name in ASSOCIATED if name in given]
        return known[-1] if known else ""

    def _by_patient(self, level: Level) -> bool:
        given = self._call.inputs.one("organizeOutputBy")
        if given is None:
            return False
        if given != "Patient" or level == "system":
            self.unsupported(
                f"organizeOutputBy={given[:80]}: output is organized by Patient, in exports of patients and groups",
                "http.organizeOutputBy",
            )
            return False
        return True

    def _filters(self, asked: Asked) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for text in (each for given in self._call.inputs.many("_typeFilter") for each in _FILTERS.split(given)):
            type_, mark, query = text.partition("?")
            if not mark or type_ not in self._types:
                raise BadValue(f"_typeFilter {text[:200]!r} is no search of a type", expression="http._typeFilter")
            if asked.types and type_ not in asked.types:
                self.unsupported(f"_typeFilter is about {type_}, which _type leaves out", "http._typeFilter")
                continue
            try:
                self._snapshot.check(type_, Wanted(filters=(query,)))
            except BadRequest as error:
                self.unsupported(f"_typeFilter {text[:200]!r}: {error}", "http._typeFilter")
                continue
            found[type_] = (*found.get(type_, ()), query)
        return found

    def _elements(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for text in self._call.inputs.many("_elements"):
            for each in text.split(","):
                type_, dot, element = each.strip().rpartition(".")
                if dot and type_ not in self._types:
                    raise BadValue(f"_elements {each[:100]!r}: [type].[element] is asked", expression="http._elements")
                if not element:
                    raise BadValue("_elements names no element", expression="http._elements")
                found[type_] = (*found.get(type_, ()), element)
        return found
