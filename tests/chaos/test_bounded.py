"""The bounded run: 200 cases and 600 messages, every fault and every kind of kill, judged."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.plan import BOUNDED, WEIGHTS
from tests.conftest import ROOT


def test_nothing_is_sent_twice_lost_or_sent_after_a_payment() -> None:
    """Whatever the provider does wrong, whatever is killed meanwhile, the stores included; figures are not judged.

    Its folder, with the sandbox's log, the facts and the verdict, is kept where a promise was broken.
    """
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))  # short: the servers' sockets are in it
    command = [sys.executable, "-m", "tests.chaos", "--bounded", "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    figures = json.loads((folder / "1" / "verdict.json").read_text())["figures"]
    assert figures["messages"] == 3 * BOUNDED.cases
    assert figures["answers_lost"] > 0
    assert figures["kills"].keys() == WEIGHTS.keys()
    shutil.rmtree(folder)
