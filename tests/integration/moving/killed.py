"""A move that is killed again and again at random moments, then left alone: `python -m ... SETTINGS SETTINGS SEED`.

Prints how often it was killed, and the report. Each try is a fork of this process, which has one thread and has opened
nothing, and is killed by SIGKILL.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time

from fhir_server.serving.moving import copying
from fhir_server.serving.moving.ends import End
from fhir_server.serving.moving.move import Move, Wishes
from fhir_server.settings import Settings

_TRIES = 4


async def _move(source: End, target: End) -> dict[str, object]:
    async with Move.opened(source, target, Wishes(), lambda stage, part, done: None) as move:
        report = await move.run()
    return report.as_json()


def _tried(source: End, target: End, seconds: float) -> bool:
    """Begin a move and kill it some time later; tell whether it was still under way."""
    child = os.fork()
    if child == 0:
        asyncio.run(_move(source, target))
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def main() -> None:
    """Move."""
    source, target = (End(Settings.model_validate_json(text)) for text in sys.argv[1:3])
    dice = random.Random(int(sys.argv[3]))
    copying.VERSIONS = 7  # type: ignore[misc]  # many steps of a small store
    killed, longest = 0, 0.2
    for _ in range(_TRIES):
        if not _tried(source, target, dice.uniform(0.02, longest)):
            break
        killed += 1
        longest *= 1.4
    print(json.dumps({"killed": killed, "report": asyncio.run(_move(source, target))}))


if __name__ == "__main__":
    main()
