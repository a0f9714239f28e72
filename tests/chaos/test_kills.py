"""The killer: it kills what it was told to and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

#: A killer whose part is a child of a shell; it says what it did, and that it still lives.
_PROGRAM = """\
import json, subprocess, sys, time
from pathlib import Path
from threading import Event

from tests.chaos.kills import Killer
from tests.chaos.plan import Kill
from tests.chaos.stage import Stage

folder = Path(sys.argv[1])
(folder / "log").touch()
up = subprocess.Popen(["sh", "-c", sys.argv[2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
killer = Killer(Stage(folder, folder / "log", folder / "lines", {}, None, up), absence=float(sys.argv[3]))
killer.run((Kill(0.0, "web", aimed=False, away=0.0),), time.monotonic(), Event())
print(json.dumps([[each["part"] for each in found] for found in (killer.done, killer.missed)]))
up.kill()
"""


@pytest.mark.parametrize(
    ("family", "absence", "told"),
    [
        ("sleep 5", 0.3, '[[], ["web"]]'),
        ("sleep 0.5; sh -c 'sleep 5; :' worker.main web & wait", 20.0, '[["web"], []]'),
    ],
)
def test_a_part_that_is_not_there_is_waited_for_and_then_missed(
    tmp_path: Path, family: str, absence: float, told: str
) -> None:
    """A kill of nothing is none: it is written down as missed, and hits nobody else. Process 0 is one's own group."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path), family, str(absence)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,  # a killer that kills its whole group kills not ours
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, told), done.stderr
