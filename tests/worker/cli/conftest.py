"""The real command, run in this process on the test's own store and folder."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.conftest import ROOT, MakeApp
from tests.worker.rig import MORNING, Rig
from worker.cli import app
from worker.embedded import Urls


class Relance:
    """`relance(...)` runs a command; further names are environment variables, None leaves one out."""

    def __init__(self, environ: dict[str, str | None]) -> None:
        self.environ = environ

    def __call__(self, *arguments: str, stdin: str | bytes = "", **environ: str | None) -> Result:
        """Run it; an exception that it does not put into words fails the test."""
        variables = {**self.environ, **environ}
        root = logging.getLogger()
        handlers, level = root.handlers, root.level
        try:
            return CliRunner().invoke(app, arguments, input=stdin, env=variables, catch_exceptions=False)
        finally:  # it logs to a stream that is closed now
            root.handlers = handlers
            root.setLevel(level)

    def says(self, *arguments: str, **options: Any) -> str:
        """What it prints; it must succeed."""
        result = self(*arguments, **options)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """What it prints with --json, read; it must succeed."""
        return json.loads(self.says(*arguments, "--json", **options))

    def refuses(self, *arguments: str, code: int = 1, **options: Any) -> str:
        """What it says on standard error; it must exit with that code."""
        result = self(*arguments, **options)
        assert result.exit_code == code, result.output
        return result.stderr


@pytest.fixture
def relance(store: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relance:
    """The command, on an empty store, in a folder of its own, with the shipped configuration."""
    monkeypatch.chdir(tmp_path)
    return Relance(
        {"REDIS_URL": store.redis_url, "BROKER_URL": store.broker_url, "RELANCE_CONFIG": str(ROOT / "config")}
    )


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """Scheduler and workers to be moved by hand, on a morning on which a first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))
