"""Rules about single rows: emergency access, bulk exports, and alarms of the server itself."""

from fhir_audit.breaches.seen import Finding, Seen, found

_OWN = "server"


def emergency(seen: Seen) -> list[Finding]:
    """Tell of a record that was opened in an emergency: once for each user and patient."""
    if seen.facts.code != "break-glass" or seen.facts.status >= 400:
        return []
    patients = seen.facts.patients
    said = f"{seen.name} opened a record in an emergency"
    return [found("break-glass", seen, said, severity="high", patients=patients, about=",".join(patients))]


def export(seen: Seen) -> list[Finding]:
    """Tell of a bulk export: its row names no patient, though it may be about all."""
    if seen.facts.note != "export" or seen.facts.code != "operation" or seen.facts.status >= 400 or not seen.who:
        return []
    return [found("bulk-export", seen, f"{seen.name} asked for a bulk export", severity="high")]


def alarm(seen: Seen) -> list[Finding]:
    """Tell of what the server noticed of itself: a consent that cannot be read, a store that is damaged."""
    if seen.facts.code != "alarm":
        return []
    kind, _, said = seen.facts.note.partition(": ")
    entity = seen.facts.entity
    return [
        Finding(
            kind or "alarm", _OWN, seen.seq, seen.time, said or kind, "high", about=entity,
            patients=seen.facts.patients, seqs=(seen.seq,),
        )
    ]  # fmt: skip
