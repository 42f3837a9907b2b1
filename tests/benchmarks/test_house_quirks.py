import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.house_quirks import asked, serving

KILLED = """
import os, signal, sys
from pathlib import Path
from benchmarks.house_quirks import serving
with serving(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_benchmark_leaves_its_port_to_the_next_one(tmp_path: Path) -> None:
    kept = tmp_path / "port"
    subprocess.run([sys.executable, "-c", KILLED, str(kept)], check=False, timeout=60)
    port = int(kept.read_text("utf-8"))
    for _ in range(100):  # the server looks for its parent a few times a second
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                break
        time.sleep(0.1)
    with serving(kept) as address:
        assert address == f"http://127.0.0.1:{port}"
        assert asked(address, "plain") == 0


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    kept = tmp_path / "port"
    with serving(kept), pytest.raises(RuntimeError, match="taken"), serving(kept):
        raise AssertionError("two servers at one port")
