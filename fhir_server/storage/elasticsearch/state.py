"""What the store itself notes of its index: which rows it must have been made of, and what is being erased."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Final, cast

from fhir_server.storage.base import Collection, RecordChange, Store

STATE: Final = Collection("search_index.state")
ERASING: Final = Collection("search_index.erasing")
_KEY: Final = "state"
_Wanted = list[tuple[str, int]]


async def declare(store: Store) -> None:
    """Make the collections known."""
    await store.declare(STATE)
    await store.declare(ERASING)


async def generation(store: Store) -> str:
    """Return the generation of the store's index rows, which an index must bear to be asked; "" before the first."""
    found = await store.records.get(STATE.name, _KEY)
    return str(found.value["generation"]) if found is not None else ""


async def renew(store: Store) -> str:
    """Begin a generation: every index that there is lacks something, and is asked no more."""
    made = token_hex(8)
    await store.commit((), [RecordChange(STATE.name, _KEY, {"generation": made})])
    return made


async def note_erasing(store: Store, wanted: Sequence[tuple[str, int]]) -> str:
    """Write down what is erased, as names of documents and the greatest version of each, before it goes."""
    key = token_hex(8)
    await store.commit((), [RecordChange(ERASING.name, key, {"of": [list(each) for each in wanted]})])
    return key


@dataclass(frozen=True, slots=True)
class Noted:
    """An erasure. wanted: what is perhaps found yet; seen: the feeder has known for a while that nothing is."""

    wanted: tuple[tuple[str, int], ...]
    seen: bool


async def noted(store: Store) -> dict[str, Noted]:
    """Return the erasures that are not done."""
    found = await store.records.find(ERASING.name)
    return {each.key: _noted(each.value) for each in found}


def _noted(value: Mapping[str, object]) -> Noted:
    wanted = tuple((str(name), int(upto)) for name, upto in cast(_Wanted, value["of"]))
    return Noted(wanted, bool(value.get("seen")))


async def note_erased(store: Store, key: str, *, seen: bool = False) -> None:
    """Note that it is found no more, and still to be taken out of the files; `seen` by the feeder."""
    await store.commit((), [RecordChange(ERASING.name, key, {"of": [], "seen": seen})])


async def forget(store: Store, key: str) -> None:
    """Note that it is gone."""
    await store.commit((), [RecordChange(ERASING.name, key, None)])
