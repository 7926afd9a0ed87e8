"""`fhir-server`: the console script. It loads nothing before the garbage collector is quiet."""

import gc
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; return its exit status (0 good, 1 failed, 2 wrong usage).

    What is loaded stays: looking through it for garbage again and again while it grows costs a sixth of the start.
    httpx brings a command line of its own, with all that it draws with, unless that cannot be imported; pydantic looks
    through all installed packages for plugins of its own, which we have not.
    """
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    try:
        from fhir_server.commands.line import run

        return run(sys.argv[1:] if arguments is None else arguments)
    finally:
        gc.enable()


if __name__ == "__main__":
    sys.exit(main())
