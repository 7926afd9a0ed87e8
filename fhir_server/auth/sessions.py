"""Sessions: browsers in which a user is signed in, by a cookie of which the store has the digest."""

from dataclasses import dataclass

from fhir_server.auth.desk import Desk
from fhir_server.auth.records import SESSIONS
from fhir_server.auth.secrets import digest, new_handle
from fhir_server.auth.users import User, find_user
from fhir_server.storage.base import RecordChange, Where

_LONGEST, _MOST = 200, 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `since`: when the user signed in, seconds since 1970. `form`: what its forms must carry."""

    user: User
    since: int
    form: str


async def open_session(desk: Desk, user: User, browser: str = "") -> str:
    """Sign a browser in, which calls itself something; return the value of its cookie."""
    cookie = new_handle()
    value = {
        "user": user.id,
        "browser": browser[:_LONGEST],
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


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as its user sees it in a list. `id` names it and opens nothing."""

    id: str
    since: int
    browser: str


async def sessions_of(desk: Desk, user_id: str) -> list[Listed]:
    """Return where a user is signed in, the latest first."""
    found = [
        Listed(
            record.key,
            since if isinstance(since := record.value["since"], int) else 0,
            str(record.value.get("browser", "")),
        )
        for record in await desk.store.records.find(SESSIONS.name, (Where("user", "=", user_id),), limit=_MOST)
        if isinstance(expires := record.value["expires"], int) and expires > desk.now()
    ]
    return sorted(found, key=lambda session: -session.since)


async def close_all(desk: Desk, user_id: str, *, but: str | None = None) -> int:
    """Sign a user out everywhere, but not the browser of one cookie; return how many sessions ended."""
    kept = digest(but) if but else ""
    ended = [session.id for session in await sessions_of(desk, user_id) if session.id != kept]
    if ended:
        await desk.put(*(RecordChange(SESSIONS.name, key, None) for key in ended))
    return len(ended)


async def close_session(desk: Desk, cookie: str | None) -> None:
    """Sign a browser out."""
    if cookie:
        await desk.put(RecordChange(SESSIONS.name, digest(cookie), None))
