"""Sessions: browsers in which a user is signed in, by a cookie of which the store has the digest."""

from dataclasses import dataclass

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import SESSIONS
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.auth.users import User, find_user
from fhir_server.storage.base import RecordChange


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `since`: when the user signed in, seconds since 1970. `form`: what its forms must carry."""

    user: User
    since: int
    form: str


async def open_session(desk: Desk, user: User) -> str:
    """Sign a browser in; return the value of its cookie."""
    cookie = new_handle()
    value = {
        "user": user.id,
        "since": desk.now() // 1000,
        "form": new_handle(),
        "expires": desk.after(desk.settings.session_life),
    }
    await desk.put(RecordChange(SESSIONS.name, digest(cookie), value))
    return cookie


async def find_session(desk: Desk, cookie: str | None) -> Session | None:
    """Return the session of a cookie."""
    record = await desk.get(SESSIONS.name, digest(cookie)) if cookie else None
    user = await find_user(desk, str(record.value["user"])) if record else None
    if record is None or user is None:
        return None
    since = record.value["since"]
    return Session(user, since if isinstance(since, int) else 0, str(record.value["form"]))


async def close_session(desk: Desk, cookie: str | None) -> None:
    """Sign a browser out."""
    if cookie:
        await desk.put(RecordChange(SESSIONS.name, digest(cookie), None))
