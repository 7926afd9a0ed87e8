"""The worker process: does one task after the other with bytes that are not to be trusted, and may crash with them."""

import os
import resource
import socket
import sys
import warnings
from collections.abc import Callable
from typing import Any

from dicomweb.pixels.faults import PixelFailure
from dicomweb.pixels.quiet import quiet
from dicomweb.pixels.tasks import TASKS
from dicomweb.pixels.wire import NO_MEMORY, receive, send

Task = Callable[..., Any]


def main(handle: int, memory: int) -> None:
    """Answer tasks on a socket until it closes.

    Args:
        handle: file descriptor of the socket. memory: most bytes of address space; 0 for no limit.
    """
    _limit(memory)
    quiet()
    warnings.simplefilter("ignore")
    with socket.socket(fileno=handle) as line:
        while True:
            try:
                name, arguments = receive(line)
            except (EOFError, OSError):
                return
            except MemoryError:
                os._exit(NO_MEMORY)  # the message cannot even be read
            send(line, _done(TASKS[name], arguments))


def _done(task: Task, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"done": task(**arguments)}
    except PixelFailure as failure:
        return {"kind": failure.kind, "text": failure.text}
    except MemoryError:
        return {"kind": "memory", "text": "the pixels need more memory than a worker has"}
    except Exception as error:  # whatever a codec raises about damaged bytes is an answer, not the worker's end
        said = f"{type(error).__name__}: {error}"[:200]
        return {"kind": "refused", "text": f"the pixels could not be worked on: {said}"}


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
