"""What a new server needs so that somebody can sign in: an administrator, and for a demo an app and a token."""

from dataclasses import dataclass

from fhir_server.auth.clients import Client, find_client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.records import USERS
from fhir_server.auth.secrets import new_handle
from fhir_server.auth.tokens import new_tokens
from fhir_server.auth.users import NameTaken, new_user, save_user, with_password

ADMIN = "admin"
DEMO_CLIENT = "demo-app"
_DEMO_REDIRECT = "http://localhost:3000/callback"
_DEMO_SCOPES = (
    "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds user/*.cruds"
)
_PASSWORD_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Greeting:
    """What is printed at start: lines about signing in, and the header of curl lines."""

    text: str = ""
    header: str = ""


async def first_steps(desk: Desk, *, demo: bool) -> Greeting:
    """Make the first administrator where there is no user; for a demo, an app and a token for an hour."""
    lines = []
    if not await desk.store.records.find(USERS.name, limit=1):
        password = new_handle()[:_PASSWORD_LENGTH]
        user = await with_password(new_user(ADMIN, roles=("admin",)), password, change=True)
        try:
            await save_user(desk, user)
            lines.append(f"Sign in as {ADMIN!r} with the password {password} (good once: you choose your own then)")
        except NameTaken:
            pass  # another process was faster, and has said it
    if not demo:
        return Greeting("".join(f"{line}\n" for line in lines))
    if await find_client(desk, DEMO_CLIENT) is None:
        await save_client(desk, Client(DEMO_CLIENT, "Demo app", redirect_uris=(_DEMO_REDIRECT,), scopes=_DEMO_SCOPES))
    token = await _demo_token(desk)
    lines.append(f"A token for this hour:  TOKEN={token}")
    return Greeting("".join(f"{line}\n" for line in lines), '-H "Authorization: Bearer $TOKEN" ')


async def _demo_token(desk: Desk) -> str:
    grant = new_grant(desk, DEMO_CLIENT, "user/*.cruds", roles=("admin",), expires=desk.after(desk.settings.token_life))
    pair = new_tokens(desk, grant, refreshing=False)
    await desk.put(stored(grant), *pair.changes)
    return pair.access
