"""Run benchmarks: python -m scripts.benchmarks NAME... [--data FOLDER] [--size N]."""

import argparse
import os
import platform
import subprocess
import tempfile
from pathlib import Path

from scripts.benchmarks import (
    audit,
    billing,
    claims,
    clinical,
    dicomweb,
    dimse,
    growth,
    load,
    mongodb,
    read,
    reindex,
    search,
    start,
)

_ALL = {
    "start": start,
    "read": read,
    "load": load,
    "search": search,
    "growth": growth,
    "audit": audit,
    "billing": billing,
    "claims": claims,
    "clinical": clinical,
    "dicomweb": dicomweb,
    "dimse": dimse,
    "mongodb": mongodb,
    "reindex": reindex,
}


def main() -> None:
    """Print the machine, then run what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which ({', '.join(_ALL)}); default all but growth")
    parser.add_argument(
        "--data", type=Path, help="folder of transaction Bundles (.json, .bz2 ...); default: demo patients"
    )
    parser.add_argument("--size", type=int, default=100_000, help="resources in the store for load and search")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 4_000, 16_000], help="those of mongodb")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each operation of mongodb")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="data folder to use and keep (its store is reused if it is there)")
    parser.add_argument("--picture", type=Path, default=Path("docs/growth.png"), help="where growth draws its curve")
    parser.add_argument("--authority", action="store_true", help="load and search with a token, and the audit on")
    options = parser.parse_args()
    print(_machine())
    for name in options.names or ["start", "read", "load", "search"]:
        with tempfile.TemporaryDirectory(prefix="fhir-bench-") as folder:
            print(f"\n== {name}: {_ALL[name].__doc__.splitlines()[0]}", flush=True)
            _ALL[name].run(options, Path(folder))


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "?")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    python = f"Python {platform.python_version()}, commit {commit}"
    return f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}, {python}"


if __name__ == "__main__":
    main()
