"""Listening sockets."""

import socket
import stat
from pathlib import Path

import pytest

from fhir_server.serving.sockets import CannotListen, address_of, listen_tcp, listen_unix


def test_a_local_door_is_open_to_its_user_alone_and_replaces_that_of_a_dead_owner(tmp_path: Path) -> None:
    path = tmp_path / "door.sock"
    listen_unix(path).close()
    assert path.exists()
    with listen_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_path_that_is_too_long_for_a_socket_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match="too long"):
        listen_unix(tmp_path / ("x" * 100))


def test_a_taken_port_is_named() -> None:
    with listen_tcp("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(CannotListen, match=str(port)):
            listen_tcp("127.0.0.1", port)
