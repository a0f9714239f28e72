"""What several of these tests ask for."""

import subprocess
import sys
from pathlib import Path

from worker.cli import app


def commands() -> set[str]:
    """The commands that `relance` has."""
    return {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}


def tool(name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a tool that was installed with the tests."""
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
