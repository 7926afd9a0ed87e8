"""`fhir-server migrate`: an installation from one engine to another; stopped, it goes on."""

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fhir_server.commands.progress import progress
from fhir_server.serving.door import CommandFailed
from fhir_server.serving.moving.ends import BadEnd, End, end_of
from fhir_server.serving.moving.erasures import OtherRegister, bring_register
from fhir_server.serving.moving.move import Move, MoveRefused, Wishes
from fhir_server.serving.moving.report import Report
from fhir_server.serving.moving.systems import bring_systems
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError
from fhir_server.storage.moving import Installation
from fhir_server.storage.sqlite.durable import copy, make_folder
from fhir_server.storage.sqlite.store import milliseconds
from fhir_server.tenancy.erasures import place_of
from fhir_server.terminology.systems.installed import FOLDER

HELP = "Move all that is stored to another engine or place; stopped, it goes on when run again."
_FILES = ("erasures.ndjson", "terminology")
"""What lies in a data folder beside the stores, and belongs to the installation."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name the two ends."""
    ends = "sqlite:///path/to/data, mongodb://host/prefix?replicaSet=..., or `settings`: what the settings name"
    parser.add_argument("--from", dest="source", required=True, metavar="URL", help=f"what is left: {ends}")
    parser.add_argument("--to", dest="target", required=True, metavar="URL", help="what is filled; new, or half done")
    parser.add_argument("--tenant", action="append", default=[], help="this tenant alone (repeatable)")
    parser.add_argument(
        "--while-serving", action="store_true", help="copy while the source is served; run it once more after its stop"
    )
    parser.add_argument(
        "--quick", action="store_true", help="believe what earlier runs have compared, and the digests of large objects"
    )
    parser.add_argument("--to-plain", action="store_true", help="the target may keep in plain what is encrypted")
    parser.add_argument("--afresh", action="store_true", help="remove what an unfinished move left at the target first")
    parser.add_argument("--dry-run", action="store_true", help="say what there is to move, and stop")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Move; 0 when everything arrived and was found the same (or, with --while-serving, copied so far)."""
    try:
        source, target = end_of(flags.source, settings), end_of(flags.target, settings)
        wishes = Wishes(tuple(flags.tenant), flags.while_serving, not flags.quick, flags.to_plain, flags.afresh)
        report = asyncio.run(_move(source, target, wishes, dry=flags.dry_run))
    except (BadEnd, MoveRefused, StoreError, OSError) as error:
        raise CommandFailed(str(error)) from None
    if report is None:
        return 0
    _show(report, as_json=flags.json)
    return 0 if report.same else 1


async def _move(source: End, target: End, wishes: Wishes, *, dry: bool) -> Report | None:
    began = time.monotonic()
    with progress(" rows") as bar:
        stage, copied = "", 0

        def say(name: str, part: str, done: int) -> None:
            nonlocal stage, copied
            copied += done if (name, part) == ("copying", "versions") else 0
            if f"{name} {part}" != stage:
                stage = f"{name} {part}"
                bar.set_description(stage, refresh=False)
            bar.update(done)

        async with Move.opened(source, target, wishes, say) as move:
            sizes = await move.sizes()
            for tenant, size in sizes.items():
                _say(f"{tenant}: {size['versions']} versions, {size['audit']} audit rows, {size['rest']} others")
            for note in _notes(source, target, wishes):
                _say(note)
            if dry:
                return None
            total = sum(sum(size.values()) for size in sizes.values())
            bar.total = total if wishes.ahead else 2 * total
            report = await move.run(partial(_beside, source, target, move.tenants))
    seconds = max(time.monotonic() - began, 0.001)
    _say(f"{copied} versions copied in {seconds:.1f} s, {copied / seconds:.0f}/s, the comparison included")
    return report


def _notes(source: End, target: End, wishes: Wishes) -> list[str]:
    """Return what does not go along, or goes otherwise."""
    notes = ["page links and exports that are under way begin anew; tokens, sessions and jobs go on"]
    if source.encrypted and not target.encrypted:
        notes.append("the target keeps in plain what is encrypted here, unless its own encryption is on")
    if not target.settings.base_url:
        notes.append("without base_url, absolute references to this server's own URL are taken for those of others")
    if wishes.ahead:
        notes.append("the source may be served; stop it and run the same without --while-serving to finish")
    return notes


async def _beside(source: End, target: End, tenants: Sequence[str], left: Installation) -> None:
    """Bring what lies beside the stores. Raises MoveRefused."""
    if source.settings.shared and not target.settings.shared:
        try:
            found = await bring_register(left, tenants, place_of(target.settings), milliseconds())
        except OtherRegister as error:
            raise MoveRefused(str(error)) from None
        if found is not None:
            _say(f"{found} erasures noted in {place_of(target.settings)}")
        systems = await bring_systems(left, target.settings.data_dir / FOLDER)
        _say(f"{len(systems)} files of code systems brought to {target.settings.data_dir}")
    elif not source.settings.shared:
        await asyncio.to_thread(_files, source, target)


def _files(source: End, target: End) -> None:
    """Copy what lies beside the stores to the data folder of the target; what is there already stays."""
    here, there = source.settings.data_dir, target.settings.data_dir
    if here.resolve() == there.resolve():
        return
    for name in _FILES:
        if (here / name).exists() and not (there / name).exists():
            make_folder(there)
            _copy(here / name, there / name)
            _say(f"{name} copied to {there}; on other nodes copy it to their data folders")


def _copy(source: Path, target: Path) -> None:
    draft = target.with_name(f".{target.name}.moving")  # so that half of it never looks like all of it
    if source.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source, draft)
    else:
        copy(source, draft)
    draft.rename(target)


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.as_json(), indent=1))  # noqa: T201
    for part in report.parts:
        ends = (
            f"{part.source.count:>12} {part.source.sha256[:16]:<16} | {part.target.count:>12} {part.target.sha256[:16]}"
        )
        _say(f"{part.tenant:<20} {part.part:<9} {ends} {'same' if part.same else 'DIFFERS'}")
    for audit in report.audits:
        _say(f"{audit.tenant:<20} audit: {audit.heads} signed heads vouch for {audit.covered} rows")
        for problem in audit.problems:
            _say(f"  {problem}{' (so it was at the source)' if audit.as_before else ''}")
    if not report.same:
        _say(f"{report.target} is not what {report.source} is: it stays closed to servers (--afresh begins anew)")
    elif report.finished:
        _say(f"{report.target} holds all that {report.source} does, and may be served")
    else:
        _say("copied and compared so far; stop the source and run the same without --while-serving to finish")


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
