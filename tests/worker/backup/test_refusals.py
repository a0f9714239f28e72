"""A file that is not whole, or does not fit the store, is refused, with nothing written; what died runs again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from channels.base import Reply
from tests.conftest import ROOT, MakeApp
from tests.worker.config_copy import DEMO, Copy
from tests.worker.payloads import reminder
from tests.worker.programs import until
from tests.worker.rig import MORNING, Crash, Rig, Tripwire, outbox, tripping_client
from worker.backup.check import Unfit
from worker.backup.restore import restore
from worker.cases import Cases
from worker.commit import Keys
from worker.dunning.fold import fold
from worker.embedded import Urls
from worker.inbox import hand_in_reply
from worker.operations import pause

from .kit import backup, forget, of_kind, read_in


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due; the outbox takes everything."""
    return Rig(make_app(at=MORNING, speed=1))


def filled(rig: Rig, cases: int = 3) -> list[str]:
    """A backup of that many cases; the store has forgotten them."""
    for number in range(cases):
        rig.open(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}")
    written = backup(rig.app)
    forget(rig.app)
    return written


def filled_beside(rig: Rig) -> list[str]:
    """The same, and there is something of all that the store keeps beside its creditors."""
    rig.app.broker.rejected.add(b"{}", "no job", "reminders")
    hand_in_reply(rig.app, Reply(id="m-1", channel="sms", to="+33", sender="+33639980001", text="?"))
    pause(rig.app, ["demo"], "channel:voice", everywhere=True)
    return filled(rig)


def beside(rig: Rig) -> set[str]:
    """What the store keeps beside its creditors."""
    known = ("rejected", "paused", "resumed", "creditors", "inbox")
    return {key for key in rig.app.client.scan_iter("relance:*") if key.split(":")[1] in known}


def state(rig: Rig) -> dict[str, Any]:
    """Everything in the store, but for what time it is."""
    keys = sorted(key for key in rig.app.client.scan_iter("relance:*") if key != "relance:clock")
    return {key: rig.app.client.dump(key) for key in keys}


def change(lines: Sequence[str], place: int, **fields: Any) -> list[str]:
    """The lines, with other fields in one of them."""
    return [*lines[:place], json.dumps({**json.loads(lines[place]), **fields}), *lines[place:][1:]]


def index(lines: Sequence[str], kind: str) -> int:
    """Where the first line of that kind is."""
    return next(i for i, line in enumerate(lines) if json.loads(line)["line"] == kind)


def in_history(lines: Sequence[str], **fields: Any) -> list[str]:
    """The lines, with other fields in the first event of the first case."""
    place = index(lines, "case")
    first, *others = json.loads(lines[place])["history"]
    return change(lines, place, history=[{**first, **fields}, *others])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: [], "line 1: the file is empty; expected one that `relance export` wrote"),
        (lambda lines: lines[:-1], "the file ends here, expected a last line `end`: it was cut, or is being written"),
        (lambda lines: [*lines[:4], *lines[5:]], "lines are missing, or were added"),
        (lambda lines: [*lines[:4], lines[4][:40], *lines[5:]], "line 5: expected a JSON object"),
        (lambda lines: lines[1:], "line 1: line: expected 'export'"),
        (lambda lines: [*lines, "{}"], "expected nothing behind the line `end`"),
        (lambda lines: change(lines, 0, format=2), "line 1: format: 2, and this version reads up to 1"),
        (
            lambda lines: change(lines, 0, creditors=["other"]),
            "creditor: expected one of those that the first line names",
        ),
        (lambda lines: change(lines, 1, line="novelty"), "line 2: Input tag"),
        (lambda lines: change(lines, index(lines, "case"), version=0), "version: Input should be greater than 0"),
        (lambda lines: change(lines, index(lines, "case"), id="demo-x"), "id: expected that of the case"),
        (lambda lines: change(lines, index(lines, "case"), history=[]), "history: List should have at least 1 item"),
        (lambda lines: in_history(lines, type="Novelty"), "history.0.type: expected a kind of event that this version"),
        (lambda lines: in_history(lines, at="now"), "history.0.at: Input should be a valid datetime"),
        (lambda lines: in_history(lines, type="CaseReopened", reason=""), "history: the events do not follow"),
        (
            lambda lines: change(lines, index(lines, "key"), name="novelty"),
            "name: a kind of key that",
        ),
        (lambda lines: change(lines, index(lines, "key"), type="zset"), "type: expected 'string'"),
        (lambda lines: change(lines, index(lines, "key"), value=1), "Input should be a valid string"),
        (lambda lines: change(lines, index(lines, "event") + 1, id="1-0"), "in the order of their ids"),
    ],
)
def test_a_file_that_is_not_in_order_is_refused_whole(
    rig: Rig, spoil: Callable[[list[str]], list[str]], said: str
) -> None:
    """Its line is named, and what was expected; nothing of the file is quoted, and nothing is written."""
    written = filled(rig)
    before = state(rig)
    with pytest.raises(Unfit) as caught:
        read_in(rig.app, spoil(written))
    assert said in str(caught.value)
    assert "Exemple" not in str(caught.value)
    assert state(rig) == before


def test_two_histories_are_not_merged(rig: Rig) -> None:
    """Of a creditor who has cases here, or whose suppression list or early payments are here, nothing is read in."""
    written = filled(rig)
    rig.open(job_id="x", debtor__id="D-9", invoices__0__number="F-9")
    before = state(rig)
    with pytest.raises(Unfit, match=r"the store knows these creditors already \(demo: .*cases"):
        read_in(rig.app, written)
    assert state(rig) == before


def test_a_second_import_of_the_same_file_is_refused(rig: Rig) -> None:
    """Once it is done, it is done: what happened since is not undone."""
    written = filled(rig)
    read_in(rig.app, written)
    before = state(rig)
    with pytest.raises(Unfit, match="knows these creditors already"):
        read_in(rig.app, written)
    assert state(rig) == before


def test_a_creditor_that_is_not_here_is_named(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not in the file, or not configured: nobody would look at the cases."""
    copy = Copy(tmp_path_factory.mktemp("config"))
    (copy.folder / "creditors/other.yaml").write_text((copy.folder / DEMO).read_text().replace("id: demo", "id: other"))
    both, alone = Rig(make_app(at=MORNING, speed=1, config=copy.folder)), Rig(make_app())
    both.open()
    both.take(reminder(job_id="o", creditor="other"))
    written = backup(both.app)
    forget(both.app)
    with pytest.raises(Unfit, match="'other' is not configured here"):
        read_in(alone.app, written)
    with pytest.raises(Unfit, match="the file has no creditor 'nobody'; it has: demo, other"):
        read_in(alone.app, written, ["nobody"])
    assert read_in(alone.app, written, ["demo"]).creditors == ["demo"]


def test_a_rehearsal_stays_one(rig: Rig, make_app: MakeApp) -> None:
    """Its backup is refused by a store of real cases, and a real one by a store that holds a rehearsal; into an empty
    store it brings its clock, so that nobody real is ever written to from there."""
    rehearsal = filled(rig)
    real = change(rehearsal, 0, clock={})
    with pytest.raises(Unfit, match="holds a rehearsal's clock, and the file is of real time"):
        read_in(rig.app, real)
    with pytest.raises(Unfit, match="holds another rehearsal's clock than the file"):
        read_in(rig.app, change(rehearsal, 0, clock={**of_kind(rehearsal, "export")[0]["clock"], "speed": "2"}))
    rig.app.client.flushall()
    plain = make_app()
    Rig(plain).open(job_id="r", debtor__id="D-9", invoices__0__number="F-9")
    with pytest.raises(Unfit, match="the file is of a rehearsal, and the store has real cases"):
        read_in(plain, rehearsal)
    plain.client.flushall()
    read_in(plain, rehearsal)
    assert plain.clock.rehearsal
    assert plain.client.hget("relance:clock", "speed") == "1"


# ---- interrupted


def test_an_import_that_dies_anywhere_is_as_if_it_had_not_begun_and_runs_again(rig: Rig, store: Urls) -> None:
    """Before any command to the store, and after its answer was lost: nobody has anything to look at until all is
    there; the same file, read in again, ends as if nothing had been; another one is refused until then."""
    written = filled(rig)
    crashes = 0
    for after in (False, True):
        for place in range(1, 60):
            died = _dies(rig, store, written, place, after=after)
            done = rig.app.client.exists(Keys("demo").cases)
            assert rig.tick() == 0  # paused, or nothing there
            if died and not done:
                assert not rig.app.client.exists(Keys("demo").agenda)
            if died and rig.app.client.exists("relance:import"):
                with pytest.raises(Unfit, match="another file, written at"):
                    read_in(rig.app, change(written, 0, id="0123456789"))
            if died and not (done and not rig.app.client.exists("relance:import")):
                read_in(rig.app, written)
            _is_whole(rig)
            crashes += died
            forget(rig.app)
    assert crashes > 20


def _dies(rig: Rig, store: Urls, written: list[str], place: int, *, after: bool) -> bool:
    client, cases = rig.app.client, rig.app.cases
    rig.app.client = tripping_client(store.redis_url)
    rig.app.cases = Cases(rig.app.client)
    Tripwire.arm(place, after=after)
    try:
        read_in(rig.app, written)
    except Crash:
        return True
    finally:
        Tripwire.arm(-1)
        rig.app.client.close()
        rig.app.client, rig.app.cases = client, cases
    return False


def _is_whole(rig: Rig) -> None:
    ids = list(rig.app.cases.case_ids("demo"))
    assert len(ids) == 3
    for case_id in ids:
        case = rig.case(case_id)
        history = rig.history(case)
        assert fold(None, history) == case
        assert [type(event).__name__ for event in history].count("CaseRestored") == 1
        assert rig.next_look(case)
    assert not rig.app.client.exists(Keys("demo").named("import"), "relance:import")
    assert list(rig.app.client.scan_iter("*import*")) == []


def test_creditors_appear_one_after_another_and_what_is_beside_them_last(
    make_app: MakeApp, store: Urls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed anywhere, each creditor is not there or whole and paused; rejected jobs, answers and pauses are not before
    all of them. The same file, read in again, ends as if nothing had been."""
    copy = Copy(tmp_path_factory.mktemp("config"))
    (copy.folder / "creditors/other.yaml").write_text((copy.folder / DEMO).read_text().replace("id: demo", "id: other"))
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder))
    rig.take(reminder(job_id="o", creditor="other"))
    written = filled_beside(rig)
    read_in(rig.app, written)
    whole, waits = beside(rig), rig.app.broker.waiting("inbound")["inbound"]
    seen = set()
    for after in (False, True):
        for place in range(1, 60):
            forget(rig.app)
            died = _dies(rig, store, written, place, after=after)
            there = tuple(name for name in ("demo", "other") if rig.app.client.exists(Keys(name).cases))
            assert all(rig.app.client.hexists(Keys(name).paused, "creditor") for name in there)
            assert there == ("demo", "other") or beside(rig) <= {"relance:creditors"}
            seen |= {there} if died else set()
            if died and (rig.app.client.exists("relance:import") or not there):
                read_in(rig.app, written)
            assert [len(list(rig.app.cases.case_ids(name))) for name in ("demo", "other")] == [3, 1]
            assert beside(rig) == whole
            waits, before = rig.app.broker.waiting("inbound")["inbound"], waits
            assert waits > before
    assert seen == {(), ("demo",), ("demo", "other")}


def test_a_kill_in_the_middle_is_made_good(rig: Rig, store: Urls, tmp_path: Path) -> None:
    """`kill -9` of the command itself while it writes; then the same command again."""
    written = filled(rig, 400)
    rig.app.client.flushall()
    file = tmp_path / "backup.jsonl"
    file.write_text("".join(f"{line}\n" for line in written))
    command = [sys.executable, "-m", "worker.main", "import", str(file)]
    ours = {"REDIS_URL": store.redis_url, "BROKER_URL": store.broker_url, "RELANCE_CONFIG": str(ROOT / "config")}
    variables = {**os.environ, **ours, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        until(lambda: rig.app.client.scard(Keys("demo").named("import")) or child.poll() is not None)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert not rig.app.client.exists(Keys("demo").cases)
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("400 cases, ")
    assert rig.app.client.zcard(Keys("demo").agenda) == 400


def test_what_comes_in_meanwhile_is_not_overwritten(rig: Rig) -> None:
    """A job that was taken while the file was read in: the import gives way, and says so, and has added nothing."""
    written = filled_beside(rig)

    class Late(BytesIO):
        """A file behind whose first reading somebody takes a job."""

        reads = 0

        def seek(self, place: int, whence: int = 0) -> int:
            self.reads += 1
            return super().seek(place, whence)

        def __next__(self) -> bytes:
            line = super().__next__()
            if self.reads == 2 and b'"line":"end"' in line:
                rig.open(job_id="x", debtor__id="D-9", invoices__0__number="F-9")
            return line

    with pytest.raises(Unfit, match="demo: something came in meanwhile"):
        restore(rig.app, Late("".join(f"{line}\n" for line in written).encode()))
    assert len(list(rig.app.cases.case_ids("demo"))) == 1
    assert beside(rig) == set()


def test_nothing_leaves_before_somebody_lets_go(rig: Rig, tmp_path: Path) -> None:
    """Payments since the backup are not known: the creditor is paused, whatever was paused before."""
    read_in(rig.app, filled(rig))
    for _ in range(3):
        rig.tick()
    assert outbox(tmp_path) == []
    assert rig.app.client.hexists(Keys("demo").paused, "creditor")
