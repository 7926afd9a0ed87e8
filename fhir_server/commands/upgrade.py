"""`fhir-server upgrade`: how far a new release has brought the stores, the end of an upgrade, and the way back."""

import argparse

from fhir_server.commands.administration import out, say
from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.serving.maintenance import owner_of
from fhir_server.settings import Settings

HELP = "Show what waits after a new release; finish the upgrade, or bring records of plugins back for the one before."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action."""
    parser.add_argument("action", choices=("status", "finish", "back"), nargs="?", default="status")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Ask the process that owns the data folder; `back` needs that none does."""
    need_record(settings)
    owner = owner_of(settings.data_dir)
    if flags.action == "back" and owner is not None:
        raise CommandFailed(f"stop the server at {owner.address} first, and those of all other nodes")
    with open_door(settings) as folder, client(folder / CONTROL_SOCKET) as door:
        answer = door.post("/upgrade", json={"action": flags.action})
    told = answer.json()
    if answer.is_error:
        raise CommandFailed(told["error"])
    for tenant, found in told.items():
        waits = [f"format {found['known']}"] if found["format"] < found["known"] else []
        waits += found["waiting"]
        for line in found["undone"]:
            out(f"{tenant}: {line}")
        out(f"{tenant}: format {found['format']}{', waits: ' + ', '.join(waits) if waits else ', up to date'}")
    if flags.action == "back":
        say("do not start this release again before the one before it has run: it would bring them forward")
    return 0
