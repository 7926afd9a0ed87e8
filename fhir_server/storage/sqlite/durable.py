"""Files and folders that are durable once they are made, and their owner's alone."""

import os
import shutil
from hashlib import file_digest
from pathlib import Path


def sync(path: Path) -> None:
    """Make the bytes of a file, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty where there is none."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing: nobody else may look into any of them.

    `Path.mkdir(parents=True, mode=...)` gives the mode to the last one alone.
    """
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(exist_ok=True, mode=0o700)


def copy(source: Path, target: Path) -> None:
    """Copy a file; the copy is its owner's alone, whatever the source is. Raises FileNotFoundError, OSError."""
    make_folder(target.parent)
    shutil.copyfile(source, target)
    target.chmod(0o600)
    sync(target)


def write(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write a file over what was there. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if lasting:
            file.flush()
            os.fsync(descriptor)


def replace(path: Path, data: bytes) -> None:
    """Write a file so that it is whole or as it was before, whenever the power fails. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    write(draft, data)
    draft.rename(path)
    sync(path.parent)


def renew(path: Path, data: bytes, by: str) -> None:
    """Write a file that is soon written anew, so that readers see it whole; nothing is synced. `by` tells apart who may
    do so at once. Raises OSError."""
    draft = path.with_name(f".{path.name}.{by}")
    write(draft, data, lasting=False)
    draft.replace(path)
