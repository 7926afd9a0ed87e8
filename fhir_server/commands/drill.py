"""`fhir-server drill`: restore the newest state of the archive beside, check it, and measure RPO and RTO."""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from fhir_server.serving.door import CommandFailed
from fhir_server.serving.drilling import Drill, drill
from fhir_server.serving.recovery import is_archive
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.archive.places.opening import open_archive

HELP = "Restore the newest state of the archive beside, check it, serve it, measure RPO and RTO, and remove it."
FAILED = 1
OVER = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the archive and where there is room."""
    parser.add_argument("--archive", default=None, help="the archive, a folder or bucket; else that of the setting")
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()), help="folder with room for a store"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--thorough", action="store_true", help="compare every index with its table, too")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it; the exit status is 1 where something is wrong, 3 where only the goals were missed."""
    named = flags.archive or settings.backup_archive
    if named is None:
        raise CommandFailed("there is no archive: --archive DIR, or the setting backup_archive (docs/backup.md)")
    archive = open_archive(named, settings)
    try:
        there = is_archive(archive)
    except OSError as error:
        raise CommandFailed(str(error)) from None
    if not there:
        raise CommandFailed(f"{archive} is no archive")
    found = drill(archive, settings, flags.scratch, _say, thorough=flags.thorough)
    print(json.dumps(asdict(found)) if flags.json else _text(found))  # noqa: T201
    return FAILED if found.problems else OVER if found.over else 0


def _text(found: Drill) -> str:
    lines = [
        f"RPO {found.rpo:.1f} s  (what was written in so many seconds before the drill may be missing)",
        f"RTO {found.rto:.1f} s  (restored {found.restore:.1f} s, served {found.serve:.1f} s)",
        f"{found.resources} resources, {found.size / 1e6:.0f} MB, {len(found.tenants)} tenants; "
        f"{found.requests} requests answered; checks took {found.checks:.1f} s",
        *(f"WRONG: {problem}" for problem in found.problems),
        *(f"OVER THE GOAL: {text}" for text in found.over),
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
