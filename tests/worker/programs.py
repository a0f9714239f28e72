"""`relance` as programs of their own, in a folder of theirs, and what of them still lives."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from worker.processes import supervised

OURS = ("TWILIO_", "SENDGRID_", "SMTP_", "REDIS_", "BROKER_", "PUBLIC_", "RELANCE_", "WEB_")


def environment(**more: str) -> dict[str, str]:
    """This process's, without anything that points outside of the test."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    ours = {"PYTHONPATH": str(ROOT), "RELANCE_CONFIG": str(ROOT / "config"), "WEB_PORT": str(free_port())}
    return {**clean, **ours, **more}


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def run(folder: Path, *arguments: str, stdin: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    command = [sys.executable, "-m", "worker.main", *arguments]
    variables = environment(**environ)
    return subprocess.run(
        command, env=variables, cwd=folder, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


def until(condition: Callable[[], object], seconds: float = 30) -> Any:
    """Wait for it; returns what it found."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def living(folder: Path) -> dict[int, str]:
    """Every process that works in that folder or below it, and its command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            inside = (entry / "cwd").readlink().is_relative_to(folder.resolve())
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
        if inside and words:
            found[int(entry.name)] = words
    return found


class Program:
    """A command that runs until it is stopped, and its log. Or, with `code`, that much Python."""

    def __init__(self, folder: Path, *arguments: str, code: str = "", **environ: str) -> None:
        self.folder = folder
        self._log = folder / f"{arguments[0]}-{time.monotonic_ns()}.log"
        what = ["-c", code] if code else ["-m", "worker.main"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *what, *arguments],
                env=supervised(environment(**environ)),
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """Its log, or those lines of it."""
        found = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if event in ("", line.get("event"))]

    def text(self) -> str:
        """Its log as it stands."""
        return self._log.read_text()

    def child(self, words: str) -> int:
        """The pid of its child with these words in its command line."""
        children = [pid for pid, line in living(self.folder).items() if f"{words} " in f"{line} " and " up" not in line]
        return children[0] if children else 0

    def kill(self) -> None:
        """SIGKILL: nothing of it can react."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM, as an operator stops it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)

    def stop_twice(self) -> int:
        """SIGTERM, and once it was heard a second one, as an impatient operator does; its exit code.

        It is given a third of what it has after the first.
        """
        self.process.send_signal(signal.SIGTERM)
        until(lambda: self.lines("process.stopping"))
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@contextmanager
def program(folder: Path, *arguments: str, code: str = "", **environ: str) -> Iterator[Program]:
    """A command that runs as long as this lasts; whatever of it is left is killed."""
    started = Program(folder, *arguments, code=code, **environ)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.stop()


def sweep(folder: Path) -> None:
    """Kill what a failed test left in its folder."""
    for pid in living(folder):
        os.kill(pid, signal.SIGKILL)
