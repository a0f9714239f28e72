"""The command as a program of its own: what it prints where, and with which code it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from worker.embedded import Urls

from .conftest import Relance

NOTHING = "nothing runs here: start `relance up` or set REDIS_URL\n"


def run(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """`python -m worker.main ...` in the current folder, with the variables of this process and these."""
    command = [sys.executable, "-m", "worker.main", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "RELANCE_CONFIG": str(ROOT / "config"), **environ}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "command",
    [("status",), ("case", "list"), ("enqueue", "-"), ("scheduler",), ("worker",), ("web",), ("watch",), ("pause",)],
)
def test_where_nothing_runs_every_command_says_so(relance: Relance, command: tuple[str, ...]) -> None:
    """Exit code 2, and what to do about it."""
    assert relance.refuses(*command, code=2, REDIS_URL=None, BROKER_URL=None) == NOTHING


def test_a_store_that_is_away_is_said_in_one_line(relance: Relance, tmp_path: Path) -> None:
    """No traceback, exit code 2; and no address, which may hold a password."""
    said = relance.refuses("status", code=2, REDIS_URL=f"unix://{tmp_path}/gone.sock")
    assert said == "the store does not answer: ConnectionError\n"


def test_a_configuration_that_is_not_there_is_said(relance: Relance) -> None:
    """Exit code 1, with the folder's name, whatever was asked for."""
    assert "nowhere" in relance.refuses("status", RELANCE_CONFIG="nowhere")


def test_the_program_itself_ends_with_these_codes(store: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """0, 1 and 2, results on standard output, complaints on standard error."""
    monkeypatch.chdir(tmp_path)
    urls = {"REDIS_URL": store.redis_url, "BROKER_URL": store.broker_url}
    good, bad, nowhere = run("case", "list", **urls), run("explain", "x", **urls), run("status")
    assert (good.returncode, good.stdout, good.stderr) == (0, "There is no such case.\n", "")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == "there is no case 'x' (see `relance case list`)\n"
    assert (nowhere.returncode, nowhere.stdout, nowhere.stderr) == (2, "", NOTHING)


def test_help_lists_the_commands_and_needs_nothing(relance: Relance) -> None:
    """Every command of the README is there, without a store or a configuration."""
    text = relance.says("--help", REDIS_URL=None, RELANCE_CONFIG="nowhere")
    run = ("up", "demo", "enqueue", "status", "check", "preview", "send-test")
    for name in (*run, "explain", "approve", "pause", "resume", "tasks", "case"):
        assert f" {name} " in text
