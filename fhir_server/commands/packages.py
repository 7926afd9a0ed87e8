"""`fhir-server packages`: install, list and remove implementation guides' packages."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from fhir_server.commands.progress import progress
from fhir_server.serving.door import FHIR_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings

HELP = "Install, list or remove implementation guides' packages (.tgz)."
Parts = list[Mapping[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what is to be done, and to which packages."""
    parser.add_argument("action", choices=("install", "list", "remove"))
    parser.add_argument(
        "packages", nargs="*", metavar="PATH|NAME#VERSION", help="files or folders to install, packages to remove"
    )
    parser.add_argument("--replace", action="store_true", help="replace one of the same version with other content")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it, by the process that owns the data folder; 1 where one of several packages failed."""
    if flags.action == "list":
        paths: list[Path] = []
    elif not flags.packages:
        raise CommandFailed(f"{flags.action} what?")
    else:
        paths = _files(flags.packages) if flags.action == "install" else []
    if flags.action != "install":
        need_record(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with open_door(settings) as folder, client(folder / FHIR_SOCKET) as door:
        if flags.action == "install":
            failed = _install(door, paths, replace=flags.replace)
        elif flags.action == "remove":
            failed = _remove(door, flags.packages)
        else:
            failed = 0
            _list(door)
    return 1 if failed else 0


def _files(given: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    for path in map(Path, given):
        inside = sorted(path.glob("*.tgz")) if path.is_dir() else [path] if path.is_file() else []
        if not inside:
            raise CommandFailed(f"{path} is no package and no folder with packages (.tgz)")
        found += inside
    return found


def _install(door: httpx.Client, paths: list[Path], *, replace: bool) -> int:
    failed = 0
    installed: set[str] = set()
    headers = {"content-type": "application/gzip"}
    with progress(" packages") as bar:
        bar.total = len(paths)
        for path in paths:
            bar.set_description(path.name)
            query = {"replace": "true"} if replace else {}
            answer = door.post("/fhir/$install-package", content=path.read_bytes(), headers=headers, params=query)
            if answer.is_error:
                failed += 1
                _say(f"{path}: {_reason(answer)}")
            else:
                found = answer.json()["parameter"]
                installed.add(_id(found))
                _say(f"{_id(found)} {_text(found, 'outcome')}: {_counts(found)}")
            bar.update()
    for package in _packages(door):
        absent = _texts(package, "missing")
        if absent and _id(package) in installed:
            _say(f"{_id(package)} depends on what is not installed: {', '.join(absent)}")
    return failed


def _remove(door: httpx.Client, names: Iterable[str]) -> int:
    failed = 0
    for text in names:
        name, _, version = text.partition("#")
        parameters = [{"name": "name", "valueString": name}, {"name": "version", "valueString": version or "-"}]
        answer = door.post("/fhir/$uninstall-package", json={"resourceType": "Parameters", "parameter": parameters})
        if answer.is_error:
            failed += 1
            _say(f"{text}: {_reason(answer)}")
            continue
        _say(f"{text} removed")
        for needing in _texts(answer.json().get("parameter", []), "neededBy"):
            _say(f"{needing} depends on it")
    return failed


def _list(door: httpx.Client) -> None:
    found = _packages(door)
    if not found:
        _say("no packages are installed beside R4's own")
    for package in found:
        place = "" if _text(package, "removable") == "True" else "  (of the installation)"
        print(f"{_id(package)}  {_text(package, 'count')} resources{place}")  # noqa: T201
        for absent in _texts(package, "missing"):
            print(f"  misses {absent}")  # noqa: T201


def _packages(door: httpx.Client) -> list[Parts]:
    answer = door.get("/fhir/$list-packages")
    if answer.is_error:
        raise CommandFailed(_reason(answer))
    return [each["part"] for each in answer.json().get("parameter", [])]


def _id(found: Parts) -> str:
    return f"{_text(found, 'name')}#{_text(found, 'version')}"


def _counts(found: Parts) -> str:
    counts = [each["part"] for each in found if each["name"] == "resources"]
    return ", ".join(f"{_text(part, 'count')} {_text(part, 'type')}" for part in counts) or "no resources"


def _texts(parts: Parts, name: str) -> list[str]:
    return [str(value) for part in parts if part["name"] == name for key, value in part.items() if key != "name"]


def _text(parts: Parts, name: str) -> str:
    return next(iter(_texts(parts, name)), "")


def _reason(answer: httpx.Response) -> str:
    try:
        return "; ".join(issue.get("diagnostics") or issue["details"]["text"] for issue in answer.json()["issue"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {answer.status_code}: {answer.text[:300]}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
