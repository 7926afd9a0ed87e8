"""Users: people who sign in, and who they are in the record."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import COUNTERS, IDENTITIES, USERS
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.errors import Busy
from fhir_server.storage.base import Record, RecordChange, RecordChanged, Where

_TRIES = 20
_COMPLETE = "~complete"
"""The record that says that the index of identities has all users in it."""

_hasher = PasswordHasher()


@cache
def nobody() -> str:
    """Return the hash that is checked for names that do not exist, so that the time of an answer says nothing.

    Made once a process, beside its start: it takes as long as a sign-in.
    """
    return _hasher.hash("nobody has this password")


class NameTaken(Exception):
    """Another user has this name."""


@dataclass(frozen=True, slots=True)
class User:
    """One user.

    Attributes:
        id: random; the `sub` of tokens. name: what they sign in with, folded.
        subject: who they are in the record: `Practitioner/1`, `Patient/2`, `RelatedPerson/3`; empty for a clerk.
        also: further records that are they: `RelatedPerson/4`, of a parent of two patients.
        roles: `admin`, `clinician`, ... (auth/roles.py).
        password: Argon2id; empty where they sign in elsewhere or by passkey alone. change: at the next sign-in.
        totp: its secret; empty without. recovery: digests of codes that stand in for it once.
        passkeys: credential id to public key and counter.
        failures: failed sign-ins in a row. locked: until then, milliseconds.
        identities: issuer and subject at other providers: `https://idp.example|123`.
    """

    id: str
    name: str
    display: str = ""
    subject: str = ""
    roles: tuple[str, ...] = ()
    password: str = ""
    change: bool = False
    totp: str = ""
    passkeys: Mapping[str, Any] = field(default_factory=dict)
    failures: int = 0
    locked: int = 0
    identities: tuple[str, ...] = ()
    active: bool = True
    also: tuple[str, ...] = ()
    recovery: tuple[str, ...] = ()


def new_user(name: str, **more: Any) -> User:
    """Return a user who is not stored yet."""
    return User(new_handle(), folded(name), **{"display": name, **more})


def folded(name: str) -> str:
    """Return a name as it is compared."""
    return name.strip().casefold()


async def find_user(desk: Desk, user_id: str) -> User | None:
    """Return an active user."""
    user = await read_user(desk, user_id)
    return user if user and user.active else None


async def read_user(desk: Desk, user_id: str) -> User | None:
    """Return a user, one who is switched off too."""
    record = await desk.get(USERS.name, user_id)
    return _read(record) if record else None


async def find_named(desk: Desk, name: str) -> User | None:
    """Return an active user by the name they sign in with."""
    user = await read_named(desk, name)
    return user if user and user.active else None


async def read_named(desk: Desk, name: str) -> User | None:
    """Return a user by name, one who is switched off too."""
    found = await desk.store.records.find(USERS.name, (Where("name", "=", folded(name)),), limit=1)
    return _read(found[0]) if found else None


async def all_users(desk: Desk) -> list[User]:
    """Return every user, those that are switched off too."""
    found: list[User] = []
    after = None
    while page := await desk.store.records.find(USERS.name, after=after, limit=500):
        found += [_read(record) for record in page]
        after = page[-1].key
    return found


async def save_user(desk: Desk, user: User) -> None:
    """Store a user. Raises NameTaken."""
    try:
        before = await read_user(desk, user.id)
        await desk.put(RecordChange(USERS.name, user.id, asdict(user)), *_identified(before, user))
    except RecordChanged:
        raise NameTaken(f"there is a user {user.name!r} already") from None


async def update_user(desk: Desk, user_id: str, change: Callable[[User], User]) -> User | None:
    """Change a user as they are at that moment, so that nothing that others change is lost; None: there is none."""
    for _ in range(_TRIES):
        record = await desk.get(USERS.name, user_id)
        if record is None:
            return None
        before = _read(record)
        user = change(before)
        with suppress(RecordChanged):
            written = RecordChange(USERS.name, user_id, asdict(user), expected=record.revision)
            await desk.put(written, *_identified(before, user))
            return user
    raise Busy("others change this user all the time; try again")


def _identified(before: User | None, after: User | None) -> list[RecordChange]:
    """Return what changes in the index of identities when a user does."""
    was, now = (set(user.identities) if user else set() for user in (before, after))
    gone = [RecordChange(IDENTITIES.name, digest(identity), None) for identity in sorted(was - now)]
    user_id = after.id if after else ""
    return gone + [RecordChange(IDENTITIES.name, digest(each), {"user": user_id}) for each in sorted(now - was)]


async def delete_user(desk: Desk, user: User) -> None:
    """Delete a user, and that their identities are theirs."""
    await desk.put(RecordChange(USERS.name, user.id, None), *_identified(user, None))


async def find_identified(desk: Desk, identity: str) -> User | None:
    """Return the user of an identity, `issuer|subject`, one who is switched off too; by the index alone."""
    if await desk.get(IDENTITIES.name, _COMPLETE) is None:
        await _index_identities(desk)
    record = await desk.get(IDENTITIES.name, digest(identity))
    user = await read_user(desk, str(record.value["user"])) if record else None
    return user if user is not None and identity in user.identities else None


async def _index_identities(desk: Desk) -> None:
    """Make the index of users that an earlier release stored, once."""
    for user in await all_users(desk):
        if user.identities:
            await desk.put(*_identified(None, user))
    await desk.put(RecordChange(IDENTITIES.name, _COMPLETE, {"user": ""}))


async def with_password(user: User, password: str, *, change: bool = False) -> User:
    """Return the user with another password."""
    return replace(user, password=await asyncio.to_thread(_hasher.hash, password), change=change)


async def sign_in(desk: Desk, name: str, password: str) -> User | None:
    """Return the user whose name and password these are; None for any reason that it is not.

    After `sign_in_failures` in a row a user is locked for `sign_in_lock` seconds. Whatever the reason, a refusal costs
    one hash and one write, so that its time says nothing. Who has an authenticator is not yet signed in.
    """
    user = await find_named(desk, name)
    good = await asyncio.to_thread(_matches, user.password if user else nobody(), password)
    if user is None or user.locked > desk.now() or not user.password:
        await desk.put(RecordChange(COUNTERS.name, digest(f"sign-in {folded(name)}"), {"expires": desk.after(60)}))
        return None
    if not good:
        await failed(desk, user)
        return None
    if _hasher.check_needs_rehash(user.password):
        hashed = (await with_password(user, password)).password
        await update_user(desk, user.id, lambda now: replace(now, password=hashed))
    return user if user.totp else await succeeded(desk, user)


async def failed(desk: Desk, user: User) -> None:
    """Count a failed sign-in, of several at the same time each one."""

    def counted(now: User) -> User:
        failures = now.failures + 1
        if failures < desk.settings.sign_in_failures:
            return replace(now, failures=failures)
        return replace(now, failures=0, locked=desk.after(desk.settings.sign_in_lock))

    await update_user(desk, user.id, counted)


async def succeeded(desk: Desk, user: User) -> User | None:
    """Forget the failures of a user who has signed in; None where they were switched off meanwhile."""
    if not (user.failures or user.locked):
        return user
    now = await update_user(desk, user.id, lambda now: replace(now, failures=0, locked=0))
    return now if now and now.active else None


def _matches(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed or nobody(), password)
    except (VerificationError, InvalidHashError):
        return False


def _read(record: Record) -> User:
    return msgspec.convert(dict(record.value), User)
