"""The chart as Helm renders it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy/helm/fhir-server"
KUBERNETES = "1.34"
_KEPT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fhir-server/tools/helm"


def helm(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Helm."""
    found = shutil.which("helm") or (str(_KEPT) if _KEPT.exists() else "")
    if not found:
        pytest.skip("Helm is not installed (scripts/fetch_helm builds it)")
    return subprocess.run([found, *map(str, words)], capture_output=True, text=True, timeout=60)


def render(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """Render the chart, as the release `eu`."""
    return helm("template", "eu", CHART, "--namespace", "fhir", "--kube-version", f"{KUBERNETES}.0", *options)


@cache
def manifests(values: str, sets: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what a file of `ci/` becomes."""
    done = render("--values", CHART / f"ci/{values}-values.yaml", *(word for each in sets for word in ("--set", each)))
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def one(made: list[dict[str, Any]], kind: str, ending: str = "") -> dict[str, Any]:
    """Return the one manifest of a kind whose name ends so."""
    (found,) = [each for each in made if each["kind"] == kind and each["metadata"]["name"].endswith(ending)]
    return found


def pods(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specs of all pods."""
    found = []
    for each in made:
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            found.append(spec["template"]["spec"])
    return found
