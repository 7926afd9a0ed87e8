"""Seconds from the command to the first answer of /metadata, on an empty and on an existing store."""

import argparse
import statistics
from pathlib import Path

from scripts.benchmarks.servers import ours, resident


def run(options: argparse.Namespace, folder: Path) -> None:
    """Start several times with one and with more workers."""
    for workers in sorted({1, options.workers}):
        times = []
        for _ in range(4):
            with ours(options.keep or folder / str(workers), workers=workers) as (_, process, seconds):
                times.append(seconds)
                memory = resident(process)
        later = statistics.median(times[1:])
        print(f"  {workers} worker(s): first {times[0]:.2f} s, then median {later:.2f} s; resident MB {memory}")
