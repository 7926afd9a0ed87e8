"""What administrators do with users; every input is checked here.

Where a user is switched off, removed or gets another password by an administrator, sessions and grants end at once.
"""

import re
from dataclasses import replace
from typing import Any

import msgspec

from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import grants_of, revoke_grant
from fhir_server.auth.passwords import fault
from fhir_server.auth.roles import roles_of
from fhir_server.auth.secrets import new_handle
from fhir_server.auth.sessions import close_all
from fhir_server.auth.users import (
    NameTaken,
    User,
    all_users,
    delete_user,
    find_identified,
    folded,
    new_user,
    read_named,
    read_user,
    save_user,
    with_password,
)
from fhir_server.errors import BadValue, Conflict, NotFound
from fhir_server.model.keys import is_id

_NAME = re.compile(r"[\w.@+\-]{1,100}")
_SUBJECTS = ("Practitioner", "PractitionerRole", "Patient", "RelatedPerson", "Person", "Device")
_ONE_TIME = 20
ADMIN = "admin"


class UserAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A user as an administrator describes them; what is UNSET stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    display: str | msgspec.UnsetType = msgspec.UNSET
    subject: str | msgspec.UnsetType = msgspec.UNSET
    also: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    roles: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    identities: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    active: bool | msgspec.UnsetType = msgspec.UNSET
    password: str | msgspec.UnsetType = msgspec.UNSET


def given(asked: msgspec.Struct) -> dict[str, Any]:
    """Return what an administrator said, and nothing of what they did not."""
    values = {name: getattr(asked, name) for name in asked.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def shown_user(desk: Desk, user: User) -> dict[str, Any]:
    """Return a user as administrators see them; nothing that signs in."""
    return {
        "id": user.id, "name": user.name, "display": user.display, "subject": user.subject, "also": list(user.also),
        "roles": list(user.roles), "identities": list(user.identities), "active": user.active,
        "locked": user.locked > desk.now(), "password": bool(user.password), "changePassword": user.change,
        "totp": bool(user.totp), "passkeys": len(user.passkeys),
    }  # fmt: skip


async def found_user(desk: Desk, name: str) -> User:
    """Return a user by name or id, one who is switched off too. Raises NotFound."""
    user = await read_named(desk, name) or await read_user(desk, name)
    if user is None:
        raise NotFound(f"there is no user {name[:100]!r}")
    return user


async def add_user(desk: Desk, asked: UserAsked) -> tuple[User, str]:
    """Make a user; return them with the password that they sign in with once, where none was given.

    Raises:
        BadValue: something of it cannot be.
        Conflict: the name is taken.
    """
    if not isinstance(asked.name, str) or not asked.name.strip():
        raise BadValue("a user needs a name")
    values = given(asked)
    password, name = values.pop("password", None), values.pop("name")
    user = new_user(name, **values)
    await _check(desk, user)
    user, once = await _with_password(desk, user, password)
    await _save(desk, user)
    return user, once


async def change_user(desk: Desk, user: User, asked: UserAsked) -> User:
    """Change what is given of a user. Raises BadValue and Conflict."""
    values = given(asked)
    if "password" in values:
        raise BadValue("a password is set by its own call")
    if "name" in values:
        values["name"] = folded(values["name"])
    changed = replace(user, **values)
    await _check(desk, changed)
    await _keep_an_admin(desk, user, changed)
    if changed.active and not user.active:
        changed = replace(changed, failures=0, locked=0)
    await _save(desk, changed)
    if not changed.active:
        await end_all(desk, user.id)
    return changed


async def remove_user(desk: Desk, user: User) -> None:
    """Remove a user and end all that they granted. Raises Conflict for the last administrator."""
    await _keep_an_admin(desk, user, None)
    await delete_user(desk, user)
    await end_all(desk, user.id)


async def set_password(desk: Desk, user: User, password: str | None) -> str:
    """Give a user a password and sign them out; without one, make one that is good once and return it."""
    user, once = await _with_password(desk, replace(user, failures=0, locked=0), password)
    await _save(desk, user)
    await close_all(desk, user.id)
    return once


async def unlock(desk: Desk, user: User) -> User:
    """Let a user try again who is locked or switched off."""
    user = replace(user, failures=0, locked=0, active=True)
    await _save(desk, user)
    return user


async def lock(desk: Desk, user: User) -> User:
    """Switch a user off and end all that they granted. Raises Conflict for the last administrator."""
    off = replace(user, active=False)
    await _keep_an_admin(desk, user, off)
    await _save(desk, off)
    await end_all(desk, user.id)
    return off


async def forget_factors(desk: Desk, user: User) -> User:
    """Take away authenticator, recovery codes and passkeys of a user who lost them, and sign them out."""
    user = replace(user, totp="", recovery=(), passkeys={})
    await _save(desk, user)
    await close_all(desk, user.id)
    return user


async def end_all(desk: Desk, user_id: str) -> None:
    """End the sessions and grants of a user."""
    await close_all(desk, user_id)
    for grant in await grants_of(desk, user_id):
        await revoke_grant(desk, grant.id)


async def _with_password(desk: Desk, user: User, password: str | None) -> tuple[User, str]:
    if password is None:
        once = new_handle()[:_ONE_TIME]
        return await with_password(user, once, change=True), once
    wrong = fault(desk.settings, user, password)
    if wrong:
        raise BadValue(wrong)
    return await with_password(user, password), ""


async def _check(desk: Desk, user: User) -> None:
    """Raise BadValue for what cannot be of a user."""
    if not _NAME.fullmatch(user.name):
        raise BadValue("the name of a user is made of letters, digits, '.', '_', '@', '+' and '-', 100 at most")
    for subject in filter(None, (user.subject, *user.also)):
        type_, _, id_ = subject.partition("/")
        if type_ not in _SUBJECTS or not is_id(id_):
            raise BadValue(f"{subject[:80]!r} is no {', '.join(_SUBJECTS)} with an id, as Practitioner/1")
    known = roles_of(desk.settings.roles_file)
    unknown = [role for role in user.roles if role not in known]
    if unknown:
        raise BadValue(f"there is no role {', '.join(unknown)[:200]}; there are {', '.join(known)}")
    for identity in user.identities:
        issuer, _, subject = identity.rpartition("|")
        if not issuer.startswith("http") or not subject:
            raise BadValue(f"{identity[:100]!r} is no identity: ISSUER|SUBJECT")
    for identity in user.identities:
        other = await find_identified(desk, identity)
        if other is not None and other.id != user.id:
            raise Conflict(f"the identity {identity[:200]!r} is that of {other.name!r}")


async def _keep_an_admin(desk: Desk, before: User, after: User | None) -> None:
    """Raise Conflict where nobody would be left to administer."""
    if not (before.active and ADMIN in before.roles) or (after and after.active and ADMIN in after.roles):
        return
    others = [user for user in await all_users(desk) if user.active and ADMIN in user.roles and user.id != before.id]
    if not others:
        raise Conflict(f"{before.name} is the last administrator")


async def _save(desk: Desk, user: User) -> None:
    try:
        await save_user(desk, user)
    except NameTaken as taken:
        raise Conflict(str(taken)) from None
