"""One owner of a data folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_server.storage.sqlite.ownership import AlreadyOwned, own, owner_of

HOLDER = """
import sys, time
from pathlib import Path
from fhir_server.storage.sqlite.ownership import own
with own(Path(sys.argv[1]), "http://127.0.0.1:8081", "control.sock"):
    print("owned", flush=True)
    time.sleep(60)
"""


def test_an_owner_is_known_by_address_and_process_while_it_lasts(tmp_path: Path) -> None:
    assert owner_of(tmp_path) is None
    with own(tmp_path, "http://127.0.0.1:8080", "control.sock") as owner:
        found = owner_of(tmp_path)
        assert found == owner
        assert (owner.pid, owner.control) == (os.getpid(), "control.sock")
    assert owner_of(tmp_path) is None


def test_a_second_owner_is_refused_with_the_address_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"owned\n"
        with pytest.raises(AlreadyOwned, match=r"http://127\.0\.0\.1:8081") as caught, own(tmp_path, "x"):
            pass
        assert str(holder.pid) in str(caught.value)
        assert caught.value.owner is not None and caught.value.owner.pid == holder.pid
        holder.kill()
        holder.wait()
        assert (tmp_path / "owner.json").exists()
        assert owner_of(tmp_path) is None
        with own(tmp_path, "http://127.0.0.1:8082"):
            found = owner_of(tmp_path)
            assert found is not None and found.address == "http://127.0.0.1:8082"


def test_a_broken_card_does_no_harm(tmp_path: Path) -> None:
    with own(tmp_path, "http://127.0.0.1:8080"):
        (tmp_path / "owner.json").write_text("{")
        with pytest.raises(AlreadyOwned, match="another process"), own(tmp_path, "x"):
            pass
        found = owner_of(tmp_path)
        assert found is not None and "unknown" in str(found)
