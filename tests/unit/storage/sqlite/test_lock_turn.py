"""Turns between processes: one at a time, and fairly."""

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from fhir_server.storage.sqlite.turn import Turn

TAKER = """
import os, sys, time
from pathlib import Path
from fhir_server.storage.sqlite.turn import Turn
folder, name = Path(sys.argv[1]), sys.argv[2]
turn = Turn(folder)
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + 1.0
while time.monotonic() < end:
    with turn.taken():
        inside = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails if another one is in here
        with open(folder / "order", "a") as order:
            order.write(name)
        time.sleep(0.002)
        os.close(inside)
        os.unlink(folder / "inside")
"""


def start(folder: Path, name: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, str(folder), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_two_processes_exclude_each_other_and_take_turns(tmp_path: Path) -> None:
    processes = [start(tmp_path, name) for name in "ab"]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
    assert [process.returncode for process in processes] == [0, 0]
    order = (tmp_path / "order").read_text()
    both = order[order.index("b") if order[0] == "a" else order.index("a") :].rstrip("ab"[order[-1] == "a"])
    repeats = sum(one == other for one, other in pairwise(both))
    assert min(order.count("a"), order.count("b")) > 50
    assert repeats < len(both) / 10


def test_a_killed_holder_leaves_the_turn_to_others(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from fhir_server.storage.sqlite.turn import Turn\n"
            "with Turn(Path(sys.argv[1])).taken(): print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        holder.kill()
        turn = Turn(tmp_path)
        began = time.monotonic()
        with turn.taken():
            assert time.monotonic() - began < 5
        turn.close()
