"""`relance demo`: the whole thing on throw-away servers, against sandbox providers, on a clock that skips idle days.

Five kinds of processes: the servers, the sandbox, `relance up` (scheduler, workers, web doors), `relance watch`, which
prints what the event stream says and knows nothing of what is played, and this one, which plays the debtors, their
banks and the operator (`players.py`, by the story in `story.py`).
"""

import logging
import subprocess
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import typer

from worker import logs
from worker.app import App, Rehearsal
from worker.demo.players import playing
from worker.demo.stage import relance, running, stage
from worker.demo.story import BEGINS, EXAMPLES, OPERATOR, SPEED
from worker.processes import Stop, stop_on_signals

__all__ = ["BEGINS", "EXAMPLES", "OPERATOR", "SPEED", "playing", "run_demo", "running", "stage"]

#: The demo gives up after this many seconds.
PATIENCE = 150


def run_demo(log: Path | None = None) -> int:
    """Play it; returns the exit code of `relance watch`, which ends when every case has; 1 if it was told to stop.

    `log` is where the sandbox writes what it was asked and accepted.
    """
    logs.configure(level=logging.WARNING)
    stop = Stop()
    stop_on_signals(stop)
    with tempfile.TemporaryDirectory(prefix="relance-") as name, stage(Path(name), log, stop) as environ:
        app = App(environ, Rehearsal(datetime.fromisoformat(BEGINS), SPEED))
        with (Path(name) / "up.log").open("wb") as lines, running(environ, lines, stop), playing(app, stop):
            feed = relance(environ, "enqueue", "--queue", str(EXAMPLES), stdout=lines)
            code = _show(environ, stop)
            return _ended(feed, 10, stop) or code


def _show(environ: Mapping[str, str], stop: Stop) -> int:
    watch = relance(environ, "watch", "--until-ended")
    try:
        return _ended(watch, PATIENCE, stop)
    except TimeoutError:
        typer.echo(f"the demo did not end within {PATIENCE} s", err=True)
        return 1
    finally:
        watch.terminate()
        watch.wait(10)


def _ended(process: "subprocess.Popen[bytes]", seconds: float, stop: Stop) -> int:
    """Its exit code once it ends; 1 as soon as we are told to stop. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while (code := process.poll()) is None and not stop.wait(0.05):
        if time.monotonic() > deadline:
            raise TimeoutError
    return 1 if code is None else code
