#!/usr/bin/env python3
"""Write terminology/icd-10-cm.txt.xz, the codes and titles of ICD-10-CM, from the package simple-icd-10-cm.

    scripts/generate_terminology.py

A line is the depth of a code, the code, a tab and its title, in the order of the tabular list. The package (MIT)
carries the release files of the US National Center for Health Statistics, which are in the public domain. Two runs
with the same package write the same bytes.
"""

import hashlib
import json
import lzma
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import simple_icd_10_cm as tabular

FOLDER = Path(__file__).resolve().parent.parent / "terminology"
TARGET = FOLDER / "icd-10-cm.txt.xz"


def main() -> None:
    """Write the facts and their manifest."""
    data = lzma.compress("".join(lines()).encode(), preset=9 | lzma.PRESET_EXTREME)
    TARGET.write_bytes(data)
    manifest = {
        "file": TARGET.name,
        "url": "http://hl7.org/fhir/sid/icd-10-cm",
        "version": release(),
        "source": f"PyPI simple-icd-10-cm {version('simple-icd-10-cm')}",
        "licence": "public domain (US National Center for Health Statistics); the package: MIT",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (FOLDER / "icd-10-cm.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(f"{len(data):,} bytes, version {manifest['version']}")


def lines() -> Iterator[str]:
    """Yield a line for each code. A block of one category has the code of that category and is left out."""
    depth = {"": -1}
    for code in tabular.get_all_codes(True):
        if code not in depth:
            depth[code] = depth[tabular.get_parent(code, prioritize_blocks=True)] + 1
            yield f"{depth[code]}{code}\t{tabular.get_description(code)}\n"


def release() -> str:
    """Return the year of the release that the package has read."""
    found = re.search(r"(\d{4})\.xml$", tabular.simple_icd_10_cm._classification_data_package_file_name)
    assert found is not None
    return found[1]


if __name__ == "__main__":
    main()
