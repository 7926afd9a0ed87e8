"""The configurations of balancers that the documentation gives are ones that those balancers take."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.running import free_port

_PAGE = Path(__file__).parents[3] / "docs" / "nodes.md"


def example(name: str) -> str:
    """Return the example of a balancer."""
    found = re.search(rf"```{name}\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def on_ports(text: str, port: int, nodes: Sequence[int]) -> str:
    """Return an example with other ports than those of the page."""
    for old, new in ((8080, port), *((8081 + place, node) for place, node in enumerate(nodes))):
        assert f":{old}" in text
        text = text.replace(f":{old}", f":{new}")
    return text


def test_haproxy_takes_the_example(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(on_ports(example("haproxy"), free_port(), [free_port(), free_port()]))
    done = subprocess.run(["/usr/sbin/haproxy", "-c", "-f", str(config)], capture_output=True, text=True)
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr


def test_nginx_takes_the_example(tmp_path: Path) -> None:
    config = tmp_path / "nginx.conf"
    text = on_ports(example("nginx"), free_port(), [free_port(), free_port()])
    config.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\n{text}")
    done = subprocess.run(["/usr/sbin/nginx", "-t", "-q", "-c", str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


pytestmark = pytest.mark.timeout(60)
