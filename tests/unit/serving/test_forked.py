"""Workers that are forks of their owner."""

import os
import subprocess
import sys

_OWNER = """
import os, signal, subprocess, time
from fhir_server.app import create_app
from fhir_server.serving.forked import Forked
from fhir_server.settings import Settings

app = create_app(Settings(auth="none"))
read, write = os.pipe()
first = Forked(app, read, [write])
second = Forked(app, read, [write, first.channel])
assert first.poll() is None
try:
    first.wait(0.05)
except subprocess.TimeoutExpired:
    pass
first.kill()
assert first.wait(5) == -signal.SIGKILL == first.returncode
second._channel.close()  # an owner that could not start
assert second.wait(5) == 0
print("done")
"""


def test_a_fork_can_be_killed_and_ends_by_itself_when_its_owner_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _OWNER], capture_output=True, text=True, env=dict(os.environ), timeout=60
    )
    assert done.stdout == "done\n", done.stderr
