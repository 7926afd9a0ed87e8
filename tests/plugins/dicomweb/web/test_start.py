"""The start of a server waits for nothing of imaging."""

import subprocess
import sys

HEAVY = ("pydicom", "numpy", "imagecodecs", "highdicom", "PIL", "boto3", "pynetdicom")


def test_nothing_heavy_is_imported_with_the_plugin() -> None:
    code = f"import sys, dicomweb.plugin; print([each for each in {HEAVY!r} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
