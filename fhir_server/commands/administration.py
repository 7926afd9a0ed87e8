"""How the commands about users and clients ask the server that owns the data folder, as its operator."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from typing import Any

import httpx

from fhir_server.serving.door import FHIR_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings


class Desk:
    """The administration of one tenant, behind the local door."""

    def __init__(self, http: httpx.Client, tenant: str) -> None:
        self._http = http
        self._root = "/auth/admin" if tenant == "default" else f"/t/{tenant}/auth/admin"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one request; return the answer. Raises CommandFailed with what the server says."""
        answer = self._http.request(method, self._root + path, json=body)
        if answer.is_error:
            raise CommandFailed(_reason(answer))
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found


@contextmanager
def administration(settings: Settings, tenant: str, *, begins: bool) -> Iterator[Desk]:
    """Give the desk of the live owner of the folder; without one, of a server that only this command reaches.

    begins: whether what is asked for may begin a record where there is none.
    """
    if not begins:
        need_record(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_door(settings.model_copy(update={"auth": "smart"})) as folder, client(folder / FHIR_SOCKET) as http:
        yield Desk(http, tenant)


def read_password(*, from_stdin: bool) -> str:
    """Return a password from the first line of stdin, or typed twice; never from the command line.

    Raises:
        CommandFailed: the two differ, or there is none.
    """
    if from_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif not sys.stdin.isatty():
        raise CommandFailed("there is no terminal to ask for a password: give it by --password-stdin")
    else:
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise CommandFailed("the two passwords differ")
    if not password:
        raise CommandFailed("the password is empty")
    return password


def say(text: str) -> None:
    """Tell the user of the command something that is not its result."""
    print(text, file=sys.stderr)  # noqa: T201


def out(text: str) -> None:
    """Write a result."""
    print(text)  # noqa: T201


def _reason(answer: httpx.Response) -> str:
    if answer.status_code == httpx.codes.NOT_FOUND and not answer.text.startswith("{"):
        return "the server on this folder runs without authorization (--auth none), or has no such tenant"
    try:
        return "; ".join(issue["diagnostics"] for issue in answer.json()["issue"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:300]}"
