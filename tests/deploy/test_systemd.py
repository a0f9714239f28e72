"""config/systemd: what systemd itself says of the units, and that their numbers hold together."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.tools import commands
from worker.processes import PARENT_WITHIN

UNITS = ROOT / "config" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
COMMON = (UNITS / "relance-.service.d" / "common.conf").read_text()
SECRETS = sorted(UNITS.glob("*/secrets.conf"))
#: systemd's own measure of what a service could do to its machine, times ten; above 20 it speaks of medium exposure.
EXPOSURE_MOST = 15

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze (apt: systemd)")


def setting(name: str, text: str = COMMON) -> str:
    """The value of a setting."""
    found = re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)
    assert len(found) == 1, f"{name}: {found}"
    return str(found[0])


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as installed, but that they start something that exists on this machine."""
    folder = Path(shutil.copytree(UNITS, tmp_path / "units", ignore=shutil.ignore_patterns("README.md")))
    for name in SERVICES:
        unit = folder / name
        unit.write_text(unit.read_text().replace("/opt/relance/.venv/bin/relance", shutil.which("true") or ""))
    return folder


def analyze(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Ask systemd about the units in that folder, with the system's own for what they refer to."""
    return subprocess.run(
        ["systemd-analyze", *arguments],
        env={"SYSTEMD_UNIT_PATH": f"{folder}:", "PATH": "/usr/bin:/bin", "SYSTEMD_COLORS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@needs_systemd
@pytest.mark.parametrize("name", [*SERVICES, "relance.target"])
def test_systemd_understands_every_line(name: str, installed: Path) -> None:
    """An unknown key would be ignored, with a line in a log that nobody reads."""
    done = analyze(installed, "verify", "--man=no", str(installed / name))
    assert (done.stderr, done.returncode) == ("", 0)


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str, installed: Path) -> None:
    """By systemd's own measure; the drop-in that all share does it."""
    done = analyze(installed, "security", "--offline=yes", f"--threshold={EXPOSURE_MOST}", str(installed / name))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_a_command(name: str) -> None:
    """Named as what it runs, and wanted by the target."""
    (command,) = re.findall(
        r"^ExecStart=/opt/relance/\.venv/bin/relance (\w+)$", (UNITS / name).read_text(), re.MULTILINE
    )
    assert name == f"relance-{command}.service"
    assert command in commands()
    assert name in setting("Wants", (UNITS / "relance.target").read_text()).split()


def test_a_worker_has_time_to_stop() -> None:
    """The parent alone is asked, it asks its children, and nothing is killed before both have had their time."""
    assert int(setting("TimeoutStopSec")) >= PARENT_WITHIN + 10
    assert setting("KillMode") == "mixed"
    assert setting("Restart") == "always"
    assert setting("StartLimitIntervalSec") == "0"


@pytest.mark.parametrize("path", SECRETS, ids=lambda path: path.parent.name)
def test_a_secret_is_handed_over_by_systemd(path: Path) -> None:
    """From a file that only root reads to one that only the service reads; each that is loaded has its variable."""
    text = path.read_text()
    loaded = re.findall(r"^LoadCredential=(\w+):/etc/relance/secrets/(\w+)$", text, re.MULTILINE)
    named = re.findall(r"^Environment=(\w+)_FILE=%d/(\w+)$", text, re.MULTILINE)
    assert loaded == named != []
    assert all(a == b for a, b in loaded)
    assert len(loaded) + len(named) + 1 == len([line for line in text.splitlines() if line and line[0] != "#"])
