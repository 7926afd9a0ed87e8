#!/usr/bin/env python3
"""Ends with 0 while the server in this container is ready.

It asks through the socket in the data folder, which is there whatever port, certificate or proxy the server has.
"""

import os
import socket
import sys
from pathlib import Path

ASK = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SECONDS = 4


def status(door: Path) -> int:
    """Return the status that the server answers with, 0 if it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(SECONDS)
            asked.connect(str(door))
            asked.sendall(ASK)
            head = asked.recv(64).split(b" ", 2)
        return int(head[1])
    except (OSError, ValueError, IndexError):
        return 0


if __name__ == "__main__":
    folder = Path(os.environ.get("FHIR_SERVER_DATA_DIR", "data"))
    sys.exit(status(folder / "fhir.sock") != 200)
