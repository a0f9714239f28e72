"""`relance demo`: the whole thing on throw-away servers, against sandbox providers, on a clock that skips idle days.

Five kinds of processes: the servers, the sandbox, `relance up` (scheduler, workers, web doors), `relance watch`, which
prints what the event stream says and knows nothing of what is played, and this one, which plays the debtors, their
banks and the operator (`players.py`, by the story in `story.py`).
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import typer

from worker.app import App, Rehearsal
from worker.demo.players import playing
from worker.demo.stage import relance, running, stage
from worker.demo.story import BEGINS, EXAMPLES, OPERATOR, SPEED

__all__ = ["BEGINS", "EXAMPLES", "OPERATOR", "SPEED", "playing", "run_demo", "running", "stage"]

#: The demo gives up after this many seconds.
PATIENCE = 150


def run_demo(log: Path | None = None) -> int:
    """Play it; returns the exit code of `relance watch`, which ends when every case has.

    `log` is where the sandbox writes what it was asked and accepted.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped then, too
    with tempfile.TemporaryDirectory(prefix="relance-") as name, stage(Path(name), log) as environ:
        app = App(environ, Rehearsal(datetime.fromisoformat(BEGINS), SPEED))
        with (Path(name) / "up.log").open("wb") as lines, running(environ, lines), playing(app):
            feed = relance(environ, "enqueue", "--queue", str(EXAMPLES), stdout=lines)
            code = _show(environ)
            return feed.wait(10) or code


def _show(environ: Mapping[str, str]) -> int:
    watch = relance(environ, "watch", "--until-ended")
    try:
        return watch.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        typer.echo(f"the demo did not end within {PATIENCE} s", err=True)
        return 1
    finally:
        watch.terminate()
        watch.wait(10)
