"""The erasure of a patient: found, vetoed or removed, and measured again until nothing is left.

Spec: GDPR Article 17, https://eur-lex.europa.eu/eli/reg/2016/679/art_17/oj
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fhir_server.context import Context
from fhir_server.errors import Busy
from fhir_server.interactions.write import pause
from fhir_server.model.json import decode, encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.privacy import belongings as things
from fhir_server.privacy.belongings import Belongings
from fhir_server.privacy.mentions import Mentions, Named, mentions
from fhir_server.privacy.person import Person, person_of
from fhir_server.privacy.reach import KEPT, reach
from fhir_server.privacy.redaction import Redaction
from fhir_server.storage.base import Change, VersionChanged

Handling = Literal["redact", "report"]
_AT_ONCE: Final = 200
_ROUNDS: Final = 4
"""Others may write for the patient meanwhile; what they wrote goes in another round."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose data, what becomes of mentions elsewhere, and whether the file may be written anew."""

    patient: ResourceKey
    handling: Handling = "redact"
    compact: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a patient.

    own: resources that go, deleted ones of the same ids included. shared: those that others have a part in, too.
    """

    own: tuple[ResourceKey, ...]
    shared: tuple[ResourceKey, ...]
    mentions: Mentions
    belongings: Belongings
    person: Person
    current: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Return the figures of a certificate."""
        return {
            "resources": self.current,
            "versions": self.mentions.versions,
            "shared": len(self.shared),
            "mentions": len(self.mentions.current),
            "superseded": len(self.mentions.past),
            "records": len(self.belongings.records),
            "blobs": len(self.belongings.blobs),
        }


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to.

    before, after: the same figures, measured before and after. versions: how many versions went. cut: resources that
    references were cut out of. left: those that still name the patient, by wish. residue: how often identifying texts
    stand in the files afterwards; live: how often in resources of others. shredded: whether a key of the patient was
    destroyed, without which no older backup gives anything of it.
    """

    before: dict[str, int]
    after: dict[str, int]
    versions: int
    cut: int
    left: tuple[ResourceKey, ...]
    residue: int
    compacted: bool
    shredded: bool = False


async def find(
    ctx: Context, patient: ResourceKey, known: Sequence[ResourceKey] = (), who: Person | None = None
) -> Found:
    """Look for everything; `known` are resources found before, which may be deleted by now, `who` the person."""
    linked = await reach(ctx, patient.id)
    person = who or await person_of(ctx.store, patient)
    own = tuple(sorted({patient, *linked.own, *known}))
    named = Named(frozenset(own), person, person.texts())
    found = await mentions(ctx.store, named, ctx.base, KEPT)
    current = await ctx.store.read_many(own)
    there = sum(not version.deleted for version in current.values())
    return Found(own, linked.shared, found, await things.belongings(ctx, patient.id), person, there)


async def erase(ctx: Context, asked: Asked, found: Found) -> Erased:
    """Remove what was found, and what others wrote meanwhile; then measure again."""
    before, after, versions, cut = found, found, 0, set[ResourceKey]()
    person, total = found.person, len(found.own) * 2
    for _ in range(_ROUNDS):
        await _delete(ctx, after.own)
        ctx.progress(total // 3, total)
        if asked.handling == "redact":
            cut |= await _cut(ctx, after)
        past = after.mentions.past if asked.handling == "redact" else ()
        keys = sorted({*after.own, *past, *(cut if asked.handling == "redact" else ())})
        versions += await ctx.store.purge_history(keys)
        await things.remove(ctx.store, after.belongings)
        ctx.progress(total * 2 // 3, total)
        after = await find(ctx, asked.patient, after.own, person)
        if _is_clean(after, asked):
            break
    shredded = _is_clean(after, asked) and await ctx.store.shred(asked.patient.id)
    residue, compacted = await _residue(ctx, asked, person)
    left = tuple(sorted({*after.shared, *after.mentions.current, *after.mentions.past}))
    ctx.progress(total, total)
    return Erased(before.counts, after.counts, versions, len(cut), left, residue, compacted, shredded)


def _is_clean(found: Found, asked: Asked) -> bool:
    own = found.current or found.mentions.versions or found.belongings.records or found.belongings.blobs
    elsewhere = found.shared or found.mentions.current or found.mentions.past
    return not own and (asked.handling == "report" or not elsewhere)


async def _delete(ctx: Context, keys: Sequence[ResourceKey]) -> None:
    """Leave a deletion of each, which tells those who keep a copy."""
    for start in range(0, len(keys), _AT_ONCE):
        await ctx.store.commit([Change(key, "DELETE") for key in keys[start : start + _AT_ONCE]])


async def _cut(ctx: Context, found: Found) -> set[ResourceKey]:
    """Take the patient out of what stays; return what was written."""
    redaction = Redaction(frozenset(found.own), found.person, ctx.base, ctx.definitions)
    keys = [key for key in dict.fromkeys((*found.shared, *found.mentions.current)) if key.type not in KEPT]
    written = set()
    for key in keys:
        if await _cut_one(ctx, key, redaction):
            written.add(key)
    return written


async def _cut_one(ctx: Context, key: ResourceKey, redaction: Redaction) -> bool:
    for attempt in range(ctx.settings.conditional_retries + 1):
        version = await ctx.store.read(key)
        if version is None or version.deleted:
            return False
        change = _without(ctx, version, redaction)
        if change is None:
            return False
        try:
            await ctx.store.commit([change])
        except VersionChanged:
            await pause(attempt)
            continue
        return True
    raise Busy("others keep changing what names the patient; try again")


def _without(ctx: Context, version: Version, redaction: Redaction) -> Change | None:
    before = decode(version.body.data)
    resource = redaction.cut(before)
    if resource == before:
        return None
    body = make_body(encode(resource), version.key)
    entries = ctx.extractor.extract(version.key.type, resource, own_base=ctx.base)
    return Change(version.key, "PUT", body, entries, expected=version.version)


async def _residue(ctx: Context, asked: Asked, person: Person) -> tuple[int, bool]:
    """Look for texts of the person in the files; where they are left in free room, write the files anew."""
    probes = person.probes(asked.patient)
    residue = sum(await ctx.store.residue(probes))
    if not residue or not asked.compact:
        return residue, False
    await ctx.store.compact()
    return sum(await ctx.store.residue(probes)), True
