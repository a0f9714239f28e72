"""What worker/README.md tells whoever runs the whole is so: what needs a person, what changes do to open cases."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from tests.conftest import ROOT
from tests.worker.config_copy import B2B, DEMO, Copy
from tests.worker.rig import MORNING, Rig
from worker.codec import decode_case, encode_case
from worker.commit import Keys
from worker.config import load
from worker.dunning.model import Case
from worker.explain import HOLD_WORDS

from .conftest import Relance

README = (ROOT / "worker" / "README.md").read_text(encoding="utf-8")


def column(heading: str) -> list[str]:
    """What is in backticks in the first column of the table that begins so."""
    _, found, rest = README.partition(heading)
    assert found
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The shipped configuration, to change."""
    return Copy(tmp_path / "changed")


def test_every_row_of_the_status_is_in_the_runbook(relance: Relance, copy: Copy) -> None:
    """Whoever reads the screen finds each of its rows, in its order, and no row that it does not have."""
    relance.says("enqueue", str(ROOT / "config" / "examples" / "reminders.jsonl"))
    copy.edit(DEMO, "id: demo", "id: acme")
    webhook = "webhook: {url: 'http://127.0.0.1:9/', secret_env: ACME_SECRET}"
    copy.edit(DEMO, "mode: live", f"{webhook}\nramp: 10% per 10m")
    with redis.Redis.from_url(str(relance.environ["REDIS_URL"])) as client:
        client.zadd(Keys("acme").line, {"acme-a": 1})
    (copy.folder / DEMO).rename(copy.folder / "creditors" / "acme.yaml")
    screen = relance.says("status", RELANCE_CONFIG=str(copy.folder))
    rows = dict.fromkeys(line.partition("\t")[0] for line in screen.splitlines())
    assert column("| row |") == [row for row in rows if row]


def test_every_hold_is_in_the_runbook() -> None:
    """Whatever holds a case, there is somebody who ends it."""
    assert sorted(column("| reason |")) == sorted(HOLD_WORDS)


# ---- another version


def test_a_field_that_a_newer_version_added_is_read_over_and_lost(rig: Rig) -> None:
    """So an older version may only run where the stored form is the same."""
    case = rig.open()
    newer = {**json.loads(encode_case(case)), "novelty": 1}
    assert "novelty" not in encode_case(decode_case(json.dumps(newer)))


# ---- another strategy


@pytest.fixture
def reminded(rig: Rig) -> Case:
    """A case that stands at its first reminder."""
    case = rig.open()
    rig.settle(case)
    return case


def restart(rig: Rig, copy: Copy, days: int) -> None:
    """Let scheduler and workers run on the changed files, so many days later."""
    config = load(copy.folder)
    rig.app.config = replace(rig.app.config, strategies=config.strategies, digest=config.digest)
    rig.jump(MORNING + timedelta(days=days))


def steps(rig: Rig, case: Case) -> list[str]:
    """The steps of which something left, in order."""
    return [run.step for run in rig.case(case.id).runs if run.taken]


def test_a_case_that_stood_at_a_renamed_step_gets_it_again(rig: Rig, copy: Copy, reminded: Case) -> None:
    """Under another name it is another step."""
    copy.edit(B2B, "name: first_reminder", "name: reminder_one\n    notice: first_reminder")
    restart(rig, copy, 6)
    rig.settle(reminded)
    assert steps(rig, reminded) == ["first_reminder", "reminder_one"]


def test_a_case_that_stood_at_a_removed_step_goes_on(rig: Rig, copy: Copy, reminded: Case) -> None:
    """At the last of its steps that is still there: nothing is said twice."""
    rig.jump(MORNING + timedelta(days=6))
    rig.settle(reminded)
    assert steps(rig, reminded) == ["first_reminder", "sms_reminder"]
    sms = "  - name: sms_reminder\n    when: due + 5d\n    channel: sms\n    notice: nudge\n    tone: 2\n"
    copy.edit(B2B, sms, "")
    restart(rig, copy, 9)
    rig.settle(reminded)
    assert steps(rig, reminded) == ["first_reminder", "sms_reminder", "call"]


def test_a_step_added_above_is_never_taken(rig: Rig, copy: Copy, reminded: Case) -> None:
    """A case goes on below where it stands; what is added there is taken."""
    copy.edit(B2B, "  - name: first_reminder", _step("above", "due + 1d") + "  - name: first_reminder")
    copy.edit(B2B, "  - name: sms_reminder", _step("below", "due + 4d") + "  - name: sms_reminder")
    restart(rig, copy, 6)
    rig.settle(reminded)
    assert steps(rig, reminded) == ["first_reminder", "below"]


def _step(name: str, when: str) -> str:
    return f"  - {{name: {name}, when: {when}, channel: email, notice: nudge}}\n"


def test_a_strategy_that_is_gone_holds_its_cases_until_it_is_back(relance: Relance, rig: Rig, reminded: Case) -> None:
    """Three looks fail, then a person is needed; the file put back and the hold released, the ladder goes on."""
    shipped = rig.app.config
    rig.app.config = replace(shipped, strategies={}, digest="another")
    for minute in range(4):
        rig.jump(MORNING + timedelta(days=6, minutes=minute))
        rig.tick()
    assert rig.kinds(reminded)[-2:] == ["LookFailed", "HoldPlaced"]
    rig.app.config = shipped
    relance.says("case", "release", reminded.id, "--reason", "error", "--by", "Ada")
    rig.settle(reminded)
    assert steps(rig, reminded) == ["first_reminder", "sms_reminder"]
