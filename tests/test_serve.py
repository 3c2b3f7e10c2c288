"""`python -m lab serve` serves the lab: the command that `make run` ends with."""

import subprocess
import sys
import time
import urllib.request

import pytest
from browser import ROOT, free_port
from reaper import reaped


def answers(url: str, process: subprocess.Popen, seconds: float = 60) -> bytes:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr.read().decode()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                return reply.read()
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}")


@pytest.mark.slow
def test_serve_answers_on_its_port_and_keeps_to_this_machine(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "lab", "serve", "--port", str(port)]
    command += ["--workspace", str(tmp_path)]
    with (
        reaped(tmp_path),
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as app,
    ):
        try:
            assert answers(f"http://127.0.0.1:{port}/_stcore/health", app) == b"ok"
            assert b"<html" in answers(f"http://127.0.0.1:{port}/", app)
        finally:
            app.terminate()
            app.wait(20)


def test_an_open_address_without_a_proxy_is_refused_in_words():
    command = [sys.executable, "-m", "lab", "serve", "--address", "0.0.0.0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "no login" in done.stderr
