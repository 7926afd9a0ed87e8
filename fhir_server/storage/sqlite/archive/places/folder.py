"""An archive in a folder: of a disk, a share, or whatever is mounted there."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import get_native_id
from typing import Final

from fhir_server.storage.sqlite import durable
from fhir_server.storage.sqlite.archive.places.place import Found, Taken

_DRAFT: Final = ".new"
_TABLE: Final = Path("/etc/fstab")


class Folder:
    """Files whose owner alone may read them; what is being written has a name that begins with a dot."""

    at_once = 1

    def __init__(self, root: Path) -> None:
        self._root = root
        self._me = secrets.token_hex(4)  # others may write the same file at the same moment

    def __eq__(self, other: object) -> bool:
        """Hold two of one folder for the same."""
        return isinstance(other, Folder) and other._root == self._root

    def __hash__(self) -> int:
        """Return that of the folder."""
        return hash(self._root)

    def where(self, name: str) -> str:
        """Return the path."""
        return str(self._path(name))

    def doubt(self) -> str:
        """See whether something that should be mounted here is not."""
        root = self._root.absolute()
        for point in _mount_points():
            if root.is_relative_to(point) and not os.path.ismount(point):
                return f"{point} is not mounted, though {_TABLE} names it"
        return ""

    def begin(self) -> None:
        """Make the folder."""
        durable.make_folder(self._root)

    def get(self, name: str, most: int | None = None) -> bytes:
        """Read a file."""
        try:
            with self._path(name).open("rb") as file:
                return file.read(-1 if most is None else most)
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(*error.args[:2], str(self._path(name))) from None

    def marked(self, name: str) -> tuple[bytes, str]:
        """Read a file; the mark is its sum."""
        data = self.get(name)
        return data, _mark(data)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file."""
        durable.make_folder(target.parent)
        shutil.copyfile(self._path(name), target)
        target.chmod(0o600)

    def digest(self, name: str) -> str:
        """Return the sum of a file."""
        return durable.digest(self._path(name))

    @contextmanager
    def at_hand(self, folder: str, names: Sequence[str]) -> Iterator[Path]:
        """Give the folder itself."""
        yield self._path(folder)

    def put(self, name: str, data: bytes) -> None:
        """Write a file beside its place and rename it."""
        durable.replace(self._made(name), data)

    def put_file(self, name: str, source: Path) -> None:
        """Copy a file beside its place and rename it."""
        target = self._made(name)
        draft = target.with_name(f".{target.name}.{get_native_id()}{_DRAFT}")  # a round and a base may both have it
        try:
            durable.copy(source, draft)
            draft.rename(target)
        finally:
            draft.unlink(missing_ok=True)
        durable.sync(target.parent)

    def put_if(self, name: str, data: bytes, mark: str, *, lasting: bool = True) -> str:
        """Write a file under a lock that others look at, if the file system has locks."""
        target = self._made(name)
        with self._locked(target):
            try:
                known = _mark(target.read_bytes())
            except FileNotFoundError:
                known = ""
            if known != mark:
                raise Taken(f"{target} was written by another meanwhile")
            if lasting:
                durable.replace(target, data)
            else:
                durable.renew(target, data, self._me)
        return _mark(data)

    @contextmanager
    def draft(self, beside: str, scratch: Path, size: int) -> Iterator[Path]:
        """Give a folder within the archive, so that bringing it to its place is a rename."""
        draft = self._path(beside) / _DRAFT
        shutil.rmtree(draft, ignore_errors=True)  # of one that was stopped
        if not self._root.is_dir():
            raise FileNotFoundError(f"{self._root} is not there")
        yield draft

    def put_folder(self, draft: Path, name: str, last: str) -> None:
        """Rename the draft."""
        target = self._made(name)
        durable.sync(draft)
        draft.rename(target)
        durable.sync(target.parent)

    def holds(self, name: str, start: bytes, size: int) -> bool:
        """Look at the file."""
        try:
            path = self._path(name)
            return path.stat().st_size == size and self.get(name, len(start)) == start
        except FileNotFoundError:
            return False

    def found(self, folder: str) -> Iterator[Found]:
        """Walk through the folder."""
        for path in self._walk(self._path(folder)):
            with suppress(FileNotFoundError):  # removed meanwhile
                state = path.stat()
                yield Found(path.relative_to(self._root).as_posix(), state.st_size, state.st_mtime)

    def folders(self, folder: str) -> list[str]:
        """Look into the folder."""
        try:
            with os.scandir(self._path(folder)) as entries:
                return sorted(each.name for each in entries if each.is_dir() and not each.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def remove(self, names: Sequence[str]) -> int:
        """Remove files, and folders that are empty then."""
        folders = set[Path]()
        for name in names:
            path = self._path(name)
            path.unlink(missing_ok=True)
            folders.update(each for each in path.parents if each.is_relative_to(self._root) and each != self._root)
        for each in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # not empty
                each.rmdir()
        return 0

    def move(self, folder: str, to: str) -> None:
        """Rename the folder."""
        self._path(folder).rename(self._made(to))

    def afterlife(self) -> str:
        """Return nothing: what is removed is gone."""
        return ""

    def _path(self, name: str) -> Path:
        path = self._root / name if name else self._root
        if not path.is_relative_to(self._root) or ".." in Path(name).parts:  # what a damaged archive may name
            raise OSError(f"{name} is not within {self._root}")
        return path

    def _made(self, name: str) -> Path:
        """Return the path of a file that is about to be written, in a folder that is there."""
        path = self._path(name)
        if not path.parent.is_dir():
            if not self._root.is_dir():
                raise FileNotFoundError(f"{self._root} is not there")
            durable.make_folder(path.parent)
        return path

    def _walk(self, folder: Path) -> Iterator[Path]:
        try:
            with os.scandir(folder) as entries:
                inner = sorted((each.name, each.is_dir()) for each in entries if not each.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, is_folder in inner:
            if is_folder:
                yield from self._walk(folder / name)
            else:
                yield folder / name

    @contextmanager
    def _locked(self, target: Path) -> Iterator[None]:
        """Keep others from a file, where the file system can: without, who looks again a moment later sees who won."""
        path = target.with_name(f".{target.name}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with closing(os.fdopen(descriptor, "rb+", buffering=0)) as file:
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _mount_points() -> Iterator[Path]:
    try:
        lines = _TABLE.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) > 1 and not line.lstrip().startswith("#") and fields[1].startswith("/") and fields[1] != "/":
            yield Path(fields[1].replace("\\040", " "))


def _mark(data: bytes) -> str:
    return sha256(data).hexdigest()
