"""Under whose key a resource is: the written rule of docs/encryption.md.

- A Patient is under its own key; a Group, which is about a set of people, under the shared one.
- What is linked to one patient alone (the table of patient links, in whatever part) is under that patient's key.
- Of several patients, the one whom R4's parameters `patient` and `subject` name alone.
- What is linked to no patient itself, but belongs to something by the table of links (a Provenance to its targets), is
  under the key of that, where that is one.
- All else is under the shared key: what several patients have is not one's to destroy.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import apsw

from fhir_server.encryption.envelopes import PREFIX, SEALED, number_of
from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters_links import LINK, VIA
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.connection import fetch

NOBODY: Final = ""
_COLLECTIVE: Final = frozenset(("Group",))
_SUBJECT: Final = frozenset(("patient", "subject"))
_TARGETS: Final = (
    "CROSS JOIN type t ON t.name=k.column1 CROSS JOIN resource r ON r.type=t.type AND r.id=k.column2 "
    "CROSS JOIN body b ON b.pid=r.pid"
)

Written = tuple[ResourceKey, IndexEntries]


def owner(key: ResourceKey, entries: IndexEntries) -> str:
    """Return the logical id of the patient whose the resource is, as far as it says so itself; else NOBODY."""
    if key.type == "Patient":
        return key.id
    if key.type in _COLLECTIVE:
        return NOBODY
    linked = {entry[2] for entry in entries.references if entry[0] == LINK and entry[1] == "Patient"}
    if len(linked) > 1:
        linked = {entry[2] for entry in entries.references if entry[0] in _SUBJECT and entry[1] == "Patient"}
    return (linked.pop() or NOBODY) if len(linked) == 1 else NOBODY


def owners(connection: apsw.Connection, written: Sequence[Written]) -> list[str]:
    """Return the owner of each, by way of what it belongs to where it does not say so itself."""
    found = [owner(key, entries) for key, entries in written]
    if NOBODY not in found:
        return found
    known = dict(zip((key for key, _ in written), found, strict=True))
    for at, (key, entries) in enumerate(written):
        if found[at] == NOBODY and key.type not in _COLLECTIVE:
            through = list(_through(entries))
            found[at] = known[key] = _only(_owners_of(connection, through, known)) if through else NOBODY
    return found


def _through(entries: IndexEntries) -> Iterator[ResourceKey]:
    if any(entry[0] == LINK and entry[1] == "Patient" for entry in entries.references):
        return  # of several patients
    for entry in entries.references:
        if entry[0] == VIA and entry[1] and entry[1] != "#" and entry[2]:
            yield ResourceKey(entry[1], entry[2])


def _owners_of(
    connection: apsw.Connection, targets: Iterable[ResourceKey], known: Mapping[ResourceKey, str]
) -> set[str]:
    found, flat = set[str](), list[str]()
    for key in dict.fromkeys(targets):
        if key.type == "Patient":
            found.add(key.id)
        elif key in known:
            found.add(known[key])
        else:
            flat += key
    columns = f"substr(b.data,1,{PREFIX})"
    heads = {head for (head,) in bulk.select(connection, columns, _TARGETS, flat, 2) if head and head[0] == SEALED}
    for head in heads:
        rows = fetch(connection, "SELECT patient FROM patient_key WHERE key=?", (number_of(head),))
        found.update(patient for (patient,) in rows)
    return found - {NOBODY}


def _only(found: set[str]) -> str:
    return found.pop() if len(found) == 1 else NOBODY
