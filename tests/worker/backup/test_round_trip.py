"""What was written and read in again is the same; and nothing that the store knows is left out unnamed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.base import Reply, Uncertain
from tests.conftest import MakeApp
from tests.worker.config_copy import DEMO, Copy
from tests.worker.payloads import fact, reminder
from tests.worker.rig import MORNING, NUMBER, Rig
from worker.backup.families import CREDITORS, STORE, family_of
from worker.commit import Keys
from worker.dunning.answers import Answer
from worker.dunning.events import CaseRestored
from worker.dunning.fold import fold
from worker.dunning.model import Case
from worker.inbound import answer
from worker.inbox import hand_in_reply
from worker.operations import pause, resume, tasks, uncertain_attempts
from worker.stream import behind, join, since
from worker.suppression import add, listed

from .kit import backup, comparable, forget, keys_in, of_kind, read_in

PHONE = "+33639980001"


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due; the outbox takes everything."""
    return Rig(make_app(at=MORNING, speed=1))


def busy(rig: Rig) -> list[Case]:
    """A store in which everything has happened at least once."""
    app = rig.app
    join(app.client, "demo")
    names = [f"D-{n}" for n in range(5)]
    changes: list[dict[str, Any]] = [
        {"debtor__phone": PHONE, "history": {"last_step": "first_reminder", "on": "2026-03-25"}},
        {"debtor__phone": PHONE, "history": {"last_step": "sms_reminder", "on": "2026-03-25"}},
        {},
        {},
        {},
    ]
    cases = [
        rig.open(
            job_id=f"j-{name}",
            debtor__id=name,
            invoices__0__number=f"F-{name}",
            invoices__0__due_on="2026-03-20",
            **more,
        )
        for name, more in zip(names, changes, strict=True)
    ]
    rig.tap.answers = []
    for case in (*cases[:2], cases[3]):
        rig.go_on(case)
    rig.tap.answers = [Uncertain("timeout")]
    rig.go_on(cases[2])
    answer(app, cases[3].id, Answer(kind="dispute", source="page", ref="a-1"))
    answer(app, cases[3].id, Answer(kind="opt_out", source="page", ref="a-2", channels=("email",)))
    rig.take(fact("payment_received", job_id="early", invoice="F-unknown", amount="10.00", currency="EUR"))
    rig.take(fact("payment_received", job_id="all", invoice="F-D-4", amount="1200.50", currency="EUR"))
    rig.go_on(cases[4])
    add(app, "demo", "email", "nobody@example.com", why="asked", by="ana")
    hand_in_reply(app, Reply(id="m-1", channel="sms", to="+33", sender=PHONE, text="?"))
    app.broker.rejected.add(b"{}", "no job", "reminders")
    pause(app, ["demo"], "channel:voice", everywhere=True)
    resume(app, ["demo"], "channel:sms", everywhere=False)
    app.client.hincrby(Keys("demo").counters, "copies", 3)
    app.client.hset(Keys("demo").phones, PHONE, f"1|{cases[0].id}")  # as where an SMS comes from a number
    last = {"debtor__email": "other@example.com", "invoices__0__number": "F-5"}
    cases.append(rig.open(job_id="j-5", debtor__id="D-5", **last))
    rig.tick()  # reserved, and nobody has called
    return cases


def test_what_is_read_in_is_what_was_written(rig: Rig) -> None:
    """Cases with their histories, next looks, contacts, tasks, addresses, marks, the stream: all of it, in their place;
    an export of the import differs by the events that say so."""
    *cases, reserved = busy(rig)
    before = {case.id: (case, rig.history(case), rig.next_look(case), rig.contacts(case)) for case in cases}
    known = (tasks(rig.app, ["demo"]), uncertain_attempts(rig.app), listed(rig.app, "demo"))
    beside = kept_beside(rig)
    stream = list(since(rig.app.client, "demo", datetime(2020, 1, 1, tzinfo=UTC)))
    written = backup(rig.app)
    rig.app.client.flushall()
    done = read_in(rig.app, written)

    assert (done.cases, done.open, done.differed) == (6, 5, [])
    for case_id, (case, history, look, contacts) in before.items():
        now = rig.app.cases.history(case_id)
        assert now[:-1] == history
        assert isinstance(now[-1], CaseRestored)
        assert fold(None, now) == rig.case(case_id)
        assert rig.contacts(case) == contacts
        assert rig.next_look(case) == look or look is None  # one that waits for a fact is looked at once
    assert known == (tasks(rig.app, ["demo"]), uncertain_attempts(rig.app), listed(rig.app, "demo"))
    assert known[0]
    assert known[1]
    assert kept_beside(rig) == beside
    read_at = datetime.fromisoformat(of_kind(written, "case")[0]["read_at"])
    assert {rig.case(case_id).forgotten_since for case_id in before} == {read_at - timedelta(minutes=1)}
    assert list(since(rig.app.client, "demo", datetime(2020, 1, 1, tzinfo=UTC)))[: len(stream)] == stream
    assert comparable(backup(rig.app), reserved) == comparable(written, reserved)
    assert rig.kinds(reserved)[-2:] == ["AttemptReleased", "CaseRestored"]


def kept_beside(rig: Rig) -> list[Any]:
    """Who holds which invoice, when cases were opened, which calls are accounted for, what is counted."""
    client, keys = rig.app.client, Keys("demo")
    hashes = [client.hgetall(key) for key in (keys.groups, keys.invoices, keys.counters, keys.phones)]
    found = [*hashes, *(client.zrange(key, 0, -1, withscores=True) for key in (keys.cases, keys.calls))]
    assert all(found)
    return found


def test_every_kind_of_key_has_its_place(rig: Rig) -> None:
    """A store in which everything happened: each key is of a family that says what becomes of it, and of its type; read
    in again, no key is missing but those that are left out for a reason that is given."""
    *_, reserved = busy(rig)
    rig.app.client.set(Keys("demo").rate, 1)  # the door's own is over within moments
    families = [*CREDITORS, *STORE]
    assert all(family.why for family in families if family.how == "left_out")
    placed = {key: _family(key) for key in rig.app.client.scan_iter("relance:*")}
    assert {key for key, family in placed.items() if family is None} == set()
    for key, family in placed.items():
        assert family is not None
        assert rig.app.client.type(key) == family.kind
    met = {family.name for family in placed.values() if family}
    assert {family.name for family in CREDITORS} - met == {
        "forwarder",
        "restored",
        "import",
        "import:",
        "ramp",
        "line",
        "turns",
        "missed",
        "gone",
        "silence",
        "forgiven",
    }
    written = backup(rig.app)
    rig.app.client.flushall()
    read_in(rig.app, written)
    left_out = {key for key, family in placed.items() if family and family.how == "left_out"} - {"relance:clock"}
    given_back = {Keys("demo").in_flight, Keys("demo").contacts(reserved.id)}
    assert set(placed) - set(rig.app.client.scan_iter("relance:*")) == left_out | given_back


def _family(key: str) -> Any:
    name = key.removeprefix("relance:")
    if name.startswith("{"):
        return family_of(name.partition("}:")[2], CREDITORS)
    return family_of(name, STORE)


def test_every_key_of_a_creditor_is_named(rig: Rig) -> None:
    """Whoever gives a creditor a new key gives it a row, too."""
    keys = Keys("demo")
    names = [value.removeprefix(keys.named("")) for name, value in vars(keys).items() if name != "_root"]
    assert [name for name in names if family_of(name, CREDITORS) is None] == []


def test_a_kind_of_key_that_is_not_known_is_told(rig: Rig) -> None:
    """An older version on a newer store: what it cannot write is counted, not passed over in silence."""
    from worker.backup.export import export

    rig.app.client.set(Keys("demo").named("novelty:1"), "x")
    assert export(rig.app, None, len).unknown == {"novelty": 1}


def test_one_creditor_is_written_and_read_in_alone(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of the others, and of what is kept beside creditors, there is nothing in the file; the others go on."""
    copy = Copy(tmp_path_factory.mktemp("config"))
    (copy.folder / "creditors/other.yaml").write_text((copy.folder / DEMO).read_text().replace("id: demo", "id: other"))
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder))
    mine, other = rig.open(), rig.open(job_id="o", creditor="other")
    rig.app.broker.rejected.add(b"{}", "no job", "reminders")
    written = backup(rig.app, ["demo"])
    assert {line.get("creditor", "demo") for text in written if (line := json.loads(text))} == {"demo"}
    assert keys_in(written, "rejected") == []
    whole = backup(rig.app)
    for key in rig.app.client.scan_iter("relance:{demo}*"):
        rig.app.client.delete(key)
    rig.take(reminder(job_id="o-2", creditor="other", as_of="2026-04-01T09:00:00+02:00", invoices__0__amount="2000.00"))
    done = read_in(rig.app, whole, ["demo"])
    assert (done.creditors, done.cases) == (["demo"], 1)
    assert rig.case(mine.id).forgotten_since
    assert rig.case(other.id).forgotten_since is None


# ---- while everything runs


@pytest.mark.parametrize("line", ["case", "event"], ids=["while cases are written", "after they were read"])
def test_what_happens_meanwhile_is_in_the_file_whole_or_not_at_all(rig: Rig, line: str) -> None:
    """A payment and a new case while the export runs: a job's mark is in the file only with what the job did, so that
    one which is sent again is taken if, and only if, the file lacks it."""
    from worker.backup.export import export

    case = rig.open()
    written: list[str] = []

    def meanwhile(text: str) -> None:
        written.append(text)
        if json.loads(text)["line"] == line and not rig.case(case.id).invoices[0].movements:
            rig.pay("100.00")
            rig.open(job_id="new", debtor__id="D-9", invoices__0__number="F-9")

    export(rig.app, None, meanwhile)
    forget(rig.app)
    done = read_in(rig.app, written)
    paid = rig.case(case.id).invoices[0].movements
    assert (done.cases, len(paid)) == ((2, 1) if line == "case" else (1, 0))
    assert rig.pay("100.00").repeated == bool(paid)
    assert len(rig.case(case.id).invoices[0].movements) == 1
    rig.take(reminder(job_id="new", debtor__id="D-9", invoices__0__number="F-9"))
    assert len(list(rig.app.cases.case_ids("demo"))) == 2


def test_an_early_payment_is_kept_for_its_invoice_once(rig: Rig) -> None:
    """Taken before the backup: it waits for its invoice, sent again it is not taken twice."""
    early = fact("payment_received", job_id="e-1", invoice=NUMBER, amount="200.50", currency="EUR")
    rig.take(early)
    written = backup(rig.app)
    forget(rig.app)
    read_in(rig.app, written)
    assert rig.take(early).repeated
    case = rig.open(as_of=...)
    assert [str(each.amount) for each in rig.case(case.id).invoices[0].movements] == ["200.50"]
    assert rig.app.client.zcard(Keys("demo").early_ones) == 0


def test_a_webhook_loses_no_event(rig: Rig) -> None:
    """What was not handed on, or not acknowledged, when the backup was made is there to be handed on."""
    join(rig.app.client, "demo")
    case = rig.open()
    rig.go_on(case)
    stream, client = Keys("demo").events, rig.app.client
    entries = next_entries(rig, 3)
    client.xack(stream, "webhook", entries[0][0])
    before = behind(client, "demo")
    written = backup(rig.app)
    forget(rig.app)
    read_in(rig.app, written)
    after = behind(client, "demo")
    assert before
    assert after
    assert (after.entries, after.trimmed) == (before.entries + 1, 0)  # and the news that it was restored
    assert next_entries(rig, 1) == [entries[1]]


def next_entries(rig: Rig, count: int) -> list[Any]:
    """What the webhook's forwarder would hand on next."""
    found: Any = rig.app.client.xreadgroup("webhook", "forwarder", {Keys("demo").events: ">"}, count=count)
    entries: list[Any] = found[0][1]
    return entries


def test_what_a_person_wrote_is_heard_if_it_was_not(rig: Rig) -> None:
    """A reply that waited to be worked on is queued again."""
    hand_in_reply(rig.app, Reply(id="m-1", channel="sms", to="+33", sender=PHONE, text="?"))
    written = backup(rig.app)
    forget(rig.app)
    rig.app.broker.client.flushdb()
    read_in(rig.app, written)
    assert rig.app.broker.waiting("inbound") == {"inbound": 1}


def test_a_damaged_snapshot_is_made_anew(rig: Rig) -> None:
    """The history stands; that they differed is told."""
    case = rig.open()
    written = backup(rig.app)
    spoilt = [
        line.replace('"failures":0', "").replace('"strategy":"b2b","opened_at"', '"strategy":"b2c","opened_at"')
        for line in written
    ]
    assert spoilt != written
    forget(rig.app)
    done = read_in(rig.app, spoilt)
    assert done.differed == [case.id]
    assert rig.case(case.id).strategy == "b2b"
    rig.app.client.set(Keys("demo").case(case.id), b"9||\x01\x00")
    assert of_kind(backup(rig.app), "case")[0]["snapshot"] is None
