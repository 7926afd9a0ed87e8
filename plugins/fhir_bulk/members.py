"""Who is in a Group: its active members now, those of groups in it, and those whom its criteria find.

Spec: https://hl7.org/fhir/R4/group.html, https://hl7.org/fhir/uv/bulkdata/STU2/export.html#group-of-patients
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from fhir_server.plugin_api import InvalidResource, Snapshot, Wanted, decode

MEMBER_FILTER = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter"
QUERY = "application/x-fhir-query"
_AT_ONCE = 500


class Members:
    """Groups at the instant of a snapshot, as its caller may see them.

    Args:
        base: the URL of the endpoint: absolute references below it are to this server.
    """

    def __init__(self, snapshot: Snapshot, base: str) -> None:
        self._snapshot, self._base = snapshot, base
        self.notes: list[str] = []

    async def exists(self, group: str) -> bool:
        """Tell whether there is such a group."""
        return await self._group(group) is not None

    async def of(self, group: str) -> list[str]:
        """Return the ids of the patients in a group, in order; each once.

        Those who are inactive, or whose period does not hold the instant, are no members.
        """
        found: dict[str, None] = {}
        waiting, seen = [group], {group}
        while waiting:
            id_ = waiting.pop(0)
            resource = await self._group(id_)
            if resource is None:
                self.notes.append(f"Group/{id_}, a part of the group, cannot be read")
                continue
            filters = filters_of(resource)
            if filters:
                found |= dict.fromkeys([id_ async for id_ in self._cohort(filters)])
            for type_, member in self._active(resource):
                if type_ == "Patient":
                    found[member] = None
                elif type_ == "Group" and member not in seen:
                    seen.add(member)
                    waiting.append(member)
        return sorted(found)

    async def known(self, patients: Iterable[str]) -> list[str]:
        """Return those of these patients that are there and may be seen."""
        ids, found = sorted(patients), []
        for start in range(0, len(ids), _AT_ONCE):
            wanted = Wanted(ids=tuple(ids[start : start + _AT_ONCE]))
            rows = await self._snapshot.page("Patient", wanted, count=_AT_ONCE)
            found += [version.key.id for version in rows.versions]
        return sorted(found)

    async def _group(self, id_: str) -> Mapping[str, Any] | None:
        rows = await self._snapshot.page("Group", Wanted(ids=(id_,)), count=1)
        resource: Mapping[str, Any] | None = decode(rows.versions[0].body.data) if rows.versions else None
        return resource

    async def _cohort(self, filters: tuple[tuple[str, str], ...]) -> AsyncIterator[str]:
        """Yield the patients for whom all filters hold."""
        after: int | None = None
        while True:
            rows = await self._snapshot.page("Patient", Wanted(cohort=filters), after)
            for version in rows.versions:
                yield version.key.id
            if rows.next is None:
                return
            after = rows.next

    def _active(self, group: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        now = self._snapshot.instant
        for member in group.get("member", ()):
            if member.get("inactive") is True or not holds(member.get("period", {}), now):
                continue
            reference = str(member.get("entity", {}).get("reference", "")).removeprefix(f"{self._base}/")
            type_, _, id_ = reference.partition("/")
            if id_:
                yield type_, id_.partition("/")[0]


def filters_of(group: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the criteria of a group as (type, search).

    Raises:
        InvalidResource: one is in another language than FHIR's search, or is none.
    """
    found = []
    for number, extension in enumerate(group.get("modifierExtension", ())):
        if extension.get("url") != MEMBER_FILTER:
            continue
        place = f"Group.modifierExtension[{number}]"
        said = extension.get("valueExpression", {})
        type_, mark, search = str(said.get("expression", "")).partition("?")
        if said.get("language") != QUERY or not mark:
            raise InvalidResource(f"{place}: a member filter is a search of one type in {QUERY}", expression=place)
        found.append((type_, search))
    return tuple(found)


def holds(period: Mapping[str, Any], now: int) -> bool:
    """Tell whether a period holds an instant (milliseconds); a bound of lesser precision holds all of its span."""
    at = datetime.fromtimestamp(now / 1_000, UTC).isoformat(timespec="seconds")[:19]
    start, end = _utc(period.get("start")), _utc(period.get("end"))
    return at[: len(start)] >= start and (not end or at[: len(end)] <= end)


def _utc(text: Any) -> str:
    """Return a FHIR dateTime in UTC, cut at its own precision."""
    if not isinstance(text, str) or "T" not in text:
        return text or ""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")[:19]
    except ValueError:
        return ""
