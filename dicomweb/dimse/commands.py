"""`fhir-server dicom`: its arguments; what it does is in doing.py, which is imported when it is asked for."""

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import httpx

from fhir_server.plugin_api import Command

Door = Callable[[], AbstractContextManager[httpx.Client]]
ACTIONS: Final = ("echo", "send", "find", "import")
LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE", "WORKLIST")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what is to be done, with whom, and what with."""
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("what", help="an AE of the table or TITLE@HOST:PORT; import: a folder")
    parser.add_argument("more", nargs="*", help="send: files and folders; find: Keyword=value")
    parser.add_argument("--level", choices=LEVELS, default="STUDY", help="find: what is asked for")
    parser.add_argument("--json", action="store_true", help="find: DICOM JSON, one match a line")
    parser.add_argument("--tenant", default="default", help="import: into whose record")
    parser.add_argument("--journal", type=Path, help="import: file that says what is done; by default in data_dir")
    parser.add_argument("--again", action="store_true", help="import: also what the journal says is done")
    parser.add_argument("--calling", default="", help="our AE title; by default the setting dimse_title")


def ask(door: Door, flags: argparse.Namespace) -> int:
    """Do it."""
    from dicomweb.dimse.doing import do  # pydicom takes a quarter of a second, and every command would wait for it

    return do(door, flags)


COMMAND: Final = Command(
    "dicom",
    "Ask DICOM devices, send to them, and import folders of images.",
    add_arguments=add_arguments,
    ask=ask,
    needs_record=("echo", "find", "send"),
)
