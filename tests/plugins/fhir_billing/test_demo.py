"""The example of docs/billing.md plays to its end, in all three countries."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_example_plays_and_its_books_are_in_order() -> None:
    command = [sys.executable, "-m", "scripts.billing_demo"]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("every currency sums to zero: True") == 3
    for title in ("Lagos", "Kenya", "United States"):
        assert title in done.stdout
