"""Put OHIF's prebuilt files where the server can serve them below any prefix: `python -m dicomweb.viewer.install`."""

import argparse
import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path, PurePosixPath

VERSION = "3.12.10"
PACKAGE = "@ohif/app"
INTEGRITY = "sha512-0kuF66Mq9c9dMD++bUsTjMrJpXJwaZhz9B4uS244DawAjSkTwIYFU93pxPuRUQixaRi7QAHlF3Fe1qudBlZrmA=="
"""Of the package as the registry of npm gives it; MIT licence."""
LISTED = "viewer.json"

_BEFORE = "package/dist/"
_LEFT_OUT = (".map", "app-config.js", "sw.js", "init-service-worker.js", "google.js", "_headers", "_redirects")
_PACKED = (".js", ".css", ".html", ".svg", ".json", ".wasm")
# Bundles look for each other at the root of the server. Workers know where they came from, the page what it was told.
_ROOT = b'__webpack_require__.p = "/"'
_BELOW = (
    b'__webpack_require__.p = (typeof window === "undefined" ? new URL(".", self.location.href).pathname '
    b": window.PUBLIC_URL)"
)
_WORKER = re.compile(rb"<script[^>]*init-service-worker\.js[^>]*></script>")
_MOST = 400_000_000


class WrongPackage(Exception):
    """The file is not the package that is known to work."""


def installed(archive: bytes, folder: Path, integrity: str = INTEGRITY) -> int:
    """Unpack the package into a folder; return how many files it has.

    Raises:
        WrongPackage: its digest is another one, or it is no such package.
    """
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != integrity:
        raise WrongPackage(f"the package has the digest {found[:24]}..., that of {PACKAGE} {VERSION} is another one")
    folder.mkdir(parents=True, exist_ok=True)
    names, size = [], 0
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
        for member in packed:
            name = member.name.removeprefix(_BEFORE)
            if not member.isfile() or name == member.name or not _wanted(name):
                continue
            stream = packed.extractfile(member)
            content = stream.read() if stream is not None else b""
            size += len(content)
            if size > _MOST:
                raise WrongPackage("the package is larger than it should be")
            _put(folder, name, content)
            names.append(name)
    if "index.html" not in names:
        raise WrongPackage("the package has no viewer in it")
    listed = {"package": PACKAGE, "version": VERSION, "licence": "MIT", "integrity": integrity, "files": sorted(names)}
    (folder / LISTED).write_text(json.dumps(listed, indent=1), encoding="utf-8")
    return len(names)


def _wanted(name: str) -> bool:
    """Leave out maps, service workers and `ort/`: models that run in the browser, 136 MB that nothing asks for."""
    return not name.startswith("ort/") and not name.endswith(_LEFT_OUT) and ".." not in PurePosixPath(name).parts


def _put(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".js"):
        content = content.replace(_ROOT, _BELOW)
    if name.endswith(".css"):
        content = content.replace(b"url(/", b"url(")
    if name == "index.html":
        content = _WORKER.sub(b"", content)
    path.write_bytes(content)
    if name.endswith(_PACKED) and len(content) > 1_000 and name != "index.html":
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 6, mtime=0))


def main() -> None:
    """Install a package that `npm pack` fetched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="file that npm pack made")
    parser.add_argument("folder", type=Path, help="where the server looks for it (setting viewer_folder)")
    flags = parser.parse_args()
    count = installed(flags.package.read_bytes(), flags.folder)
    print(f"{PACKAGE} {VERSION}: {count} files in {flags.folder}")  # noqa: T201 - a command tells


if __name__ == "__main__":
    main()
