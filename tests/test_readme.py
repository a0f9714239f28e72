"""What the README shows is what happens: its commands are run, its snippet enqueues, its table is the ladder."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.conftest import ROOT, MakeApp
from worker.codec import decode_event, encode_event
from worker.config import load
from worker.dunning.events import HoldPlaced
from worker.dunning.preflight import DEFECTS
from worker.embedded import Urls
from worker.processes import run_worker

README = (ROOT / "README.md").read_text(encoding="utf-8")

#: What differs from one run, or one configuration, to the next.
VARIES = re.compile(r"\b[0-9a-f]{12}\b")


def blocks(kind: str) -> list[str]:
    """The fenced blocks of that kind, without their fences."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Every command shown with its output."""
    shown = [block.partition("\n") for block in blocks("console")]
    return [(command.removeprefix("$ "), output) for command, _, output in shown]


@pytest.mark.parametrize(("command", "expected"), commands(), ids=[command for command, _ in commands()])
def test_a_command_prints_what_the_readme_shows(command: str, expected: str, tmp_path: Path) -> None:
    """Each command, run in a folder without a server and without credentials, prints those very lines."""
    for name in ("config", "templates", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        command.split(), cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert VARIES.sub("-", done.stdout + done.stderr) == VARIES.sub("-", expected)


def test_the_snippet_reaches_the_queue_without_the_project(store: Urls, make_app: MakeApp, tmp_path: Path) -> None:
    """An interpreter that can import dramatiq and redis, and nothing of ours, enqueues the job that opens a case."""
    (snippet,) = blocks("python")
    site = next(path for path in sys.path if path.endswith("site-packages"))
    alone = tmp_path / "alone"
    alone.mkdir()
    for package in Path(site).iterdir():
        if package.name.partition("-")[0].lower() in {"dramatiq", "redis", "async_timeout"}:
            (alone / package.name).symlink_to(package)
    program = f"import sys; sys.path.insert(0, {str(alone)!r}); BROKER_URL = {store.broker_url!r}\n{snippet}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    app, stop = make_app(), threading.Event()
    worker = threading.Thread(target=run_worker, args=(app, app.broker, ["reminders"], 1, stop))
    worker.start()
    try:
        opened = threading.Event()
        for _ in range(200):
            if list(app.cases.case_ids("demo")) or opened.wait(0.05):
                break
    finally:
        stop.set()
        worker.join()
    (case_id,) = app.cases.case_ids("demo")
    found = app.cases.load(case_id)
    assert found is not None
    assert found.case.debtor.name == "Menuiserie des Halles"


def test_an_event_in_the_readme_is_one_of_ours() -> None:
    """What upstream is shown reads and writes as what it will find in its stream."""
    (shown,) = blocks("json")
    event = decode_event(shown)
    assert json.loads(encode_event(event)) == json.loads(shown)
    assert isinstance(event, HoldPlaced)
    assert set(event.hold.defects) <= set(DEFECTS)


def test_the_ladder_in_the_readme_is_the_one_that_ships() -> None:
    """The table's steps are those of `b2b`, in order, with their tones."""
    rows = re.findall(
        r"^\| (\w+) \| D [^|]*\|[^|]*\|\s*(\d?)\s*\||^\| (last_word) \|[^|]*\|[^|]*\| (\d) \|", README, re.M
    )
    shown = [(a or c, b or d) for a, b, c, d in rows]
    steps = load(ROOT / "config").strategies["b2b"].steps
    assert [name for name, _ in shown] == [step.name for step in steps]
    assert [tone for _, tone in shown if tone] == [str(step.tone) for step in steps if not step.handover]
