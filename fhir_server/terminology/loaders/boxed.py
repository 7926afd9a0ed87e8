"""ICD-10-CM, which comes with the server as facts and is made into a held code system once for each installation.

Run as `python -m fhir_server.terminology.loaders.boxed FOLDER`, FOLDER being where it goes if the installation cannot
be written to.
"""

import fcntl
import lzma
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from fhir_server.terminology.code_system import Header
from fhir_server.terminology.systems.building import build, file_name
from fhir_server.terminology.systems.installed import built, facts, manifest
from fhir_server.terminology.systems.source import Plain, SourceConcept

URL = "http://hl7.org/fhir/sid/icd-10-cm"
_NICE = 10


class IcdTenCm(Plain):
    """ICD-10-CM: chapters and blocks, which are not to be chosen, categories and codes."""

    def __init__(self) -> None:
        about = manifest()
        self._lines = lzma.decompress((facts() / about["file"]).read_bytes()).decode().splitlines()
        self.header = Header(
            URL,
            version=about["version"],
            id="icd-10-cm",
            name="ICD10CM",
            title="International Classification of Diseases, 10th Revision, Clinical Modification",
            case_sensitive=False,
            hierarchy=True,
            value_set=f"{URL}/vs",
            copyright=about["licence"],
        )

    def _rows(self) -> Iterator[tuple[int, str, str]]:
        for line in self._lines:
            head, _, title = line.partition("\t")
            # Codes that are digits alone are chapters, which are never more than one level deep.
            yield int(head[0]), head[1:], title

    def codes(self) -> Iterator[str]:
        """Yield every code."""
        return (code for _, code, _ in self._rows())

    def parents(self) -> Iterator[tuple[str, str]]:
        """Yield each code with the one that it is indented under."""
        above: list[str] = []
        for depth, code, _ in self._rows():
            del above[depth:]
            if above:
                yield code, above[-1]
            above.append(code)

    def concepts(self) -> Iterator[SourceConcept]:
        """Yield every concept."""
        for _, code, title in self._rows():
            yield SourceConcept(code, title, abstract="-" in code or code.isdigit())


def ready(fallback: Path) -> bool:
    """Tell whether the held code system is there."""
    name = file_name(URL, manifest()["version"])
    return (built() / name).exists() or (fallback / name).exists()


def ensure(fallback: Path) -> Path:
    """Make the held code system unless it is there; return its file.

    Only one process of an installation makes it; others wait for that one.
    """
    name = file_name(URL, manifest()["version"])
    folder = built()
    try:
        folder.mkdir(exist_ok=True)
        if not os.access(folder, os.W_OK):
            folder = fallback
    except OSError:
        folder = fallback
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".making").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = folder / name
        return found if found.exists() else build(IcdTenCm(), folder)


def main() -> None:
    """Run in a process of its own, so that no server waits for it."""
    os.nice(_NICE)
    ensure(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
