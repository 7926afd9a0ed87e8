"""Rules about who is looked at: persons to be watched, one's own record, one's own household."""

from collections.abc import Sequence

from fhir_audit.breaches.people import Kin, People, Record
from fhir_audit.breaches.seen import Finding, Seen, found
from fhir_audit.settings import AuditSettings


class Personal:
    """The rules of one tenant; staff alone can break the last two: patients read their own, and represent others."""

    def __init__(self, settings: AuditSettings, people: People) -> None:
        self._settings, self._people = settings, people

    async def look(self, record: Record, seen: Sequence[Seen]) -> list[Finding]:
        """Look at rows."""
        touching = [one for one in seen if one.touches]
        if not touching:
            return []
        vips = await self._people.vips(record)
        findings = [finding for one in touching for finding in _watched(one, vips)]
        for one in touching:
            if _is_staff(one) and (self._settings.own_record or self._settings.household != "off"):
                findings += self._near(one, await self._people.kin(record, one.agent.subject))
        return findings

    def _near(self, seen: Seen, kin: Kin) -> list[Finding]:
        own = _among(seen, kin.own) if self._settings.own_record else ()
        household = _among(seen, kin.household)
        findings = []
        if own:
            findings.append(found("own-record", seen, f"{seen.name} opened their own record", patients=own))
        if household:
            said = f"{seen.name} opened the record of somebody of the same household"
            findings.append(found("same-household", seen, said, patients=household))
        return findings


def _watched(seen: Seen, vips: frozenset[str]) -> list[Finding]:
    patients = _among(seen, vips)
    said = f"{seen.name} opened the record of a person to be watched"
    return [found("vip", seen, said, severity="high", patients=patients)] if patients else []


def _among(seen: Seen, ids: frozenset[str]) -> tuple[str, ...]:
    if not ids or ids.isdisjoint(seen.facts.patients):
        return ()
    return tuple(patient for patient in seen.facts.patients if patient in ids)


def _is_staff(seen: Seen) -> bool:
    roles = set(seen.agent.roles) - {"patient"}
    type_ = seen.agent.subject.partition("/")[0]
    return bool(type_) and (type_ not in ("Patient", "RelatedPerson") or bool(roles))
