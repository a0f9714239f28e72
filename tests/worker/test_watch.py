"""`relance watch`: what happens, from the event streams alone."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from channels.base import Rejected
from tests.conftest import MakeApp
from worker.app import App
from worker.embedded import Urls
from worker.watch import Board, entries

from .config_copy import DEMO, Copy
from .payloads import fact, reminder
from .programs import program, until
from .rig import MORNING, Rig


@pytest.fixture
def two(make_app: MakeApp, tmp_path: Path) -> App:
    """Two creditors on one store."""
    copy = Copy(tmp_path / "config")
    text = (copy.folder / DEMO).read_text()
    (copy.folder / "creditors" / "second.yaml").write_text(text.replace("id: demo", "id: second"))
    return make_app(at=MORNING, speed=1, config=copy.folder)


def told(app: App) -> Board:
    """A board that was told everything so far."""
    board = Board()
    for entry in entries(app):
        if entry is None:
            return board
        board.tell(entry.case_id, entry.event)
    raise AssertionError


def lines(app: App) -> list[str]:
    """What it would print so far."""
    board, found = Board(), list[str]()
    for entry in entries(app):
        if entry is None:
            return found
        if line := board.tell(entry.case_id, entry.event):
            found.append(line)
    raise AssertionError


def test_a_story_is_told_in_lines(make_app: MakeApp) -> None:
    """Opened, sent, paid, ended: one line each, at the debtor's time, with the words that left."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open()
    rig.settle(case)
    rig.pay()
    rig.settle(case)
    assert [line.partition("Exemple SARL")[2].strip() for line in lines(rig.app)] == [
        "case opened under b2b: 1 invoice",
        "first_reminder   email  Facture F-2026/001, échue le 31 mars 2026",
        "payment received: 1200.50 for F-2026/001",
        "the end: paid",
    ]
    assert all(line.startswith("2026-04-01 10:00  ") for line in lines(rig.app))


def test_several_creditors_are_followed_at_once(two: App) -> None:
    """Every creditor's stream, whoever's case it is; it ends when all of them have."""
    rig = Rig(two)
    first = rig.open()
    second = rig.case(rig.take(reminder(creditor="second", debtor__name="Autre SARL")).cases[0])
    for case in (first, second):
        rig.settle(case)
    board = told(two)
    assert {row.debtor for row in board.rows} == {"Exemple SARL", "Autre SARL"}
    rig.pay()
    rig.settle(first)
    assert not told(two).all_ended
    rig.take(fact("case_closed", job_id="c", creditor="second", case=second.id, reason="cancelled"))
    rig.settle(second)
    assert told(two).all_ended


def test_what_failed_is_told_with_the_reason(make_app: MakeApp) -> None:
    """Refused, held: the line and the row at the end say why."""
    rig = Rig(make_app(at=MORNING, speed=1))
    rig.tap.answers = [Rejected("address", "550", "no such mailbox")]
    rig.settle(rig.open())
    found = lines(rig.app)
    assert found[1].endswith("first_reminder   email  refused: address (550)")
    assert "held: no address of the debtor can be used" in found[2]
    assert told(rig.app).rows[0].then == "refused: address (550)"


def test_the_row_says_until_when_a_case_waits(make_app: MakeApp) -> None:
    """The announcement of the next look is on the row of the last message."""
    rig = Rig(make_app(at=MORNING, speed=1))
    rig.settle(rig.open())
    assert told(rig.app).rows[0].then == "waits until 2026-04-07 (sms_reminder): its day has not come"


def test_it_follows_until_every_case_has_ended(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """With --until-ended it goes on while a case is open, and then prints the table: one plain line per message."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open()
    with program(tmp_path, "watch", "--until-ended", REDIS_URL=store.redis_url, BROKER_URL=store.broker_url) as watch:
        rig.settle(case)
        until(lambda: "first_reminder" in watch.text())
        assert watch.process.poll() is None
        rig.pay()
        rig.settle(case)
        assert watch.process.wait(20) == 0
    live, _, table = watch.text().partition("\n\n")
    assert "\x1b" not in live + table
    assert live.endswith("the end: paid")
    (row,) = table.splitlines()
    assert row.startswith("2026-04-01 10:00  Exemple SARL  first_reminder  email  Facture F-2026/001")
    assert row.endswith("  -> the end: paid")


def test_a_stream_that_begins_in_the_middle_is_no_fault() -> None:
    """What a trimmed stream no longer tells about is passed over in silence."""
    event: dict[str, Any] = {"type": "AttemptAccepted", "at": datetime.now().astimezone().isoformat(), "attempt": 1}
    assert Board().tell("demo-x", event) is None
