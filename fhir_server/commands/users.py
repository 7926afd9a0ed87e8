"""`fhir-server users`: add, list, change, lock and remove people who sign in."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.commands.administration import Desk, administration, out, read_password, say
from fhir_server.settings import Settings

HELP = "Add, list, change, lock and remove users."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the user that it is about."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("name", nargs="?", default="", help="what the user signs in with")
    parser.add_argument("--display", default=None, help="the name as others read it")
    parser.add_argument(
        "--subject", default=None, metavar="TYPE/ID", help="who they are: Practitioner/1, Patient/2 ..."
    )
    parser.add_argument("--also", action="append", default=None, metavar="TYPE/ID", help="a further record of theirs")
    parser.add_argument("--role", action="append", default=None, help="a role; several times for several")
    parser.add_argument("--remove-role", action="append", default=[], help="take a role away (with `role`)")
    parser.add_argument("--identity", action="append", default=None, metavar="ISSUER|SUBJECT", help="at a provider")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    parser.add_argument("--ask-password", action="store_true", help="ask for the password instead of making one")
    parser.add_argument("--tenant", default="default")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it by the process that owns the data folder."""
    if flags.action != "list" and not flags.name:
        say(f"fhir-server users {flags.action}: which user?")
        return 2
    password = read_password(from_stdin=flags.password_stdin) if flags.password_stdin or flags.ask_password else None
    with administration(settings, flags.tenant, begins=flags.action == "add") as desk:
        _ACTIONS[flags.action](desk, flags, password)
    return 0


def _add(desk: Desk, flags: argparse.Namespace, password: str | None) -> None:
    given = {
        "name": flags.name, "display": flags.display or flags.name, "subject": flags.subject, "also": flags.also,
        "roles": flags.role, "identities": flags.identity, "password": password,
    }  # fmt: skip
    user = desk.ask("POST", "/users", {name: value for name, value in given.items() if value is not None})
    say(f"{user['name']} added")
    _once(user)


def _list(desk: Desk, flags: argparse.Namespace, password: str | None) -> None:
    for user in desk.ask("GET", "/users")["users"]:
        if flags.name in ("", user["name"]):
            out(_line(user))


def _set_password(desk: Desk, flags: argparse.Namespace, password: str | None) -> None:
    answer = desk.ask("POST", f"/users/{flags.name}/password", {"password": password} if password else {})
    say(f"{flags.name} has another password and is signed out")
    _once(answer)


def _role(desk: Desk, flags: argparse.Namespace, password: str | None) -> None:
    """Add and take away roles; without flags, show those that there are."""
    user = desk.ask("GET", f"/users/{flags.name}")
    roles = [role for role in [*user["roles"], *(flags.role or ())] if role not in flags.remove_role]
    changes: dict[str, Any] = {"roles": list(dict.fromkeys(roles))}
    for name, value in (("display", flags.display), ("subject", flags.subject), ("also", flags.also),
                        ("identities", flags.identity)):  # fmt: skip
        if value is not None:
            changes[name] = value
    out(_line(desk.ask("PATCH", f"/users/{flags.name}", changes)))


def _post(what: str, done: str) -> Callable[[Desk, argparse.Namespace, str | None], None]:
    def act(desk: Desk, flags: argparse.Namespace, password: str | None) -> None:
        desk.ask("POST", f"/users/{flags.name}/{what}")
        say(f"{flags.name} {done}")

    return act


def _remove(desk: Desk, flags: argparse.Namespace, password: str | None) -> None:
    desk.ask("DELETE", f"/users/{flags.name}")
    say(f"{flags.name} removed, with all access that they granted")


def _once(answer: Mapping[str, Any]) -> None:
    if "oneTimePassword" in answer:
        out(str(answer["oneTimePassword"]))
        say("This password is good once; the user chooses their own at the first sign-in.")


def _line(user: Mapping[str, Any]) -> str:
    said = [user["name"], ",".join(user["roles"]) or "no role", user["subject"] or "no subject", *user["also"]]
    marks = {
        "switched off": not user["active"], "locked": user["locked"], "authenticator": user["totp"],
        f"{user['passkeys']} passkeys": user["passkeys"], "must change the password": user["changePassword"],
    }  # fmt: skip
    return "  ".join([*said, *(mark for mark, there in marks.items() if there)])


_ACTIONS: Mapping[str, Callable[[Desk, argparse.Namespace, str | None], None]] = {
    "add": _add,
    "list": _list,
    "set-password": _set_password,
    "role": _role,
    "lock": _post("lock", "switched off; all their access has ended"),
    "unlock": _post("unlock", "may sign in again"),
    "remove": _remove,
    "totp-reset": _post("totp-reset", "has no authenticator and no passkey any more, and is signed out"),
}
