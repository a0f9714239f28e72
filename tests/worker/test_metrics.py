"""What is measured, as Prometheus reads it."""

import ast
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from channels.base import Rejected, Unavailable, Uncertain
from tests.conftest import ROOT, MakeApp
from tests.test_architecture import SOURCES, codes, table
from worker.app import App
from worker.beside import COUNTED
from worker.commit import Keys, millis
from worker.embedded import Embedded
from worker.metrics import COUNTERS, GAUGES, exposition
from worker.operations import pause
from worker.rejected import RejectedJobs

from .config_copy import DEMO, Copy
from .rig import MORNING, Rig, Wall, invoice
from .web.served import opened

Sample = tuple[str, tuple[str, ...]]


def measured(app: App) -> dict[Sample, float]:
    """Each sample: its name and the values of its labels."""
    return parsed(exposition(app).decode())


def parsed(text: str) -> dict[Sample, float]:
    """Of what Prometheus would read."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation for family in families)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples
    }


def test_everything_is_measured(make_app: MakeApp, tmp_path: Path) -> None:
    """Each gauge says what status would: of a store on which nothing and then something is the matter."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "payments_feed: {max_age: 36h}")
    rig = Rig(make_app(config=copy.folder))
    rig.app.clock = Wall(MORNING)
    rig.tick()
    found = measured(rig.app)
    assert {value for _, value in found.items()} == {0}
    assert ("relance_feed_stale", ("demo",)) in found

    first, second = (rig.open(job_id=n, debtor__id=n, invoices__0__number=n) for n in ("one", "two"))
    rig.tap.answers = [Uncertain("timeout", "never came")]
    rig.tick()
    rig.deliver(first)
    RejectedJobs(rig.app.client).add(b"x", "bad", "facts")
    pause(rig.app, ["demo"], "channel:voice", everywhere=False)
    rig.app.client.hset(Keys("demo").tasks, "t", "{}")
    rig.jump(MORNING + timedelta(hours=37))
    found = measured(rig.app)
    assert rig.in_flight(second)
    assert {sample: value for sample, value in found.items() if value} == {
        ("relance_agenda_lag_seconds", ()): 37 * 3600 - 180,  # three minutes after its call the uncertain one is due
        ("relance_in_flight", ()): 1,
        ("relance_queue_messages", ("email",)): 2,
        ("relance_uncertain", ()): 1,
        ("relance_uncertain_seconds", ()): 37 * 3600,
        ("relance_silent_messages", ("demo",)): 2,  # one that does not go, and one that nobody looks at
        ("relance_feed_stale", ("demo",)): 1,
        ("relance_rejected_jobs", ()): 1,
        ("relance_open_tasks", ()): 1,
        ("relance_paused", ("demo", "channel:voice")): 1,
        ("relance_attempts_uncertain_total", ("demo",)): 1,
    }


def test_the_lag_is_measured(make_app: MakeApp) -> None:
    """Nobody looks at what is due."""
    app = make_app()
    app.clock = Wall(MORNING)
    app.client.zadd(Keys("demo").agenda, {"demo-a": millis(MORNING - timedelta(minutes=3))})
    assert measured(app)["relance_agenda_lag_seconds", ()] == 180
    app.client.zadd(Keys("demo").agenda, {"demo-a": millis(MORNING + timedelta(minutes=3))})
    assert measured(app)["relance_agenda_lag_seconds", ()] == 0


def test_what_becomes_of_messages_is_counted(make_app: MakeApp) -> None:
    """Once each, whoever says it: taken, refused, not there, not known."""
    rig = Rig(make_app())
    rig.app.clock = Wall(MORNING)
    rig.tap.answers = [Unavailable("down", "503", "no"), Rejected("address", "550", "no"), Uncertain("t", "t")]
    for number in range(4):
        case = rig.open(job_id=f"j{number}", debtor__id=f"D{number}", invoices__0__number=f"F{number}")
        rig.tick()
        rig.deliver(case)
    counts = {name: value for (name, _), value in measured(rig.app).items() if name.endswith("_total")}
    assert counts == {f"relance_{name}_total": int(name in COUNTED.values()) for name in COUNTERS}


def test_a_rehearsal_has_no_alarms(make_app: MakeApp) -> None:
    """Neither silence nor a stale feed, whatever its clock says; nothing fails."""
    rig = Rig(make_app(at=MORNING, speed=1))
    rig.open(invoices=[invoice("F-1", MORNING.date() + timedelta(days=9))])
    rig.tick()
    rig.jump(MORNING + timedelta(days=90))
    found = measured(rig.app)
    assert found["relance_silent_messages", ("demo",)] == 0
    assert ("relance_feed_stale", ("demo",)) not in found


def test_the_door_is_for_the_inside(make_app: MakeApp) -> None:
    """Who asks the process itself is answered; what came through a proxy is not there; nothing names a debtor."""
    rig = Rig(make_app(at=MORNING, speed=1))
    rig.settle(rig.open(debtor__phone="+33639980001"))
    with opened(rig.app) as doors:
        answer = doors.ask("GET", "/metrics")
        assert (answer.status, answer.kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        for header in ("X-Forwarded-For", "Forwarded"):
            assert doors.ask("GET", "/metrics", headers={header: "for=192.0.2.1"}).status == 404
    assert parsed(answer.body.decode())["relance_attempts_accepted_total", ("demo",)] == 1
    assert not any(word in answer.body for word in (b"Exemple", b"example.com", b"3363998", b"D-1", b"F-2026"))


def test_a_store_that_is_away_is_503(make_app: MakeApp, tmp_path: Path) -> None:
    """A scrape that fails says so, instead of zeros that reassure."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(REDIS_URL=urls.redis_url, BROKER_URL=urls.broker_url)
    with opened(app) as doors:
        assert doors.ask("GET", "/metrics").status == 503


def test_a_queue_that_is_away_hides_nothing_else(make_app: MakeApp, tmp_path: Path) -> None:
    """Nothing is said of its messages but that it does not answer; what the store knows is, the silence first."""
    with Embedded(tmp_path / "v") as urls:
        rig = Rig(make_app(BROKER_URL=urls.broker_url))
    rig.app.clock = Wall(MORNING)
    rig.open()
    rig.jump(MORNING + timedelta(hours=2))
    with opened(rig.app) as doors:
        answer = doors.ask("GET", "/metrics")
    assert answer.status == 200
    found = parsed(answer.body.decode())
    assert found["relance_queue_away", ()] == 1
    assert found["relance_silent_messages", ("demo",)] == 1
    assert not any(name == "relance_queue_messages" for name, _ in found)


def test_every_metric_is_in_the_readme_and_the_other_way_round() -> None:
    """With its labels, in words."""
    known = {gauge.name: set(gauge.labels) for gauge in GAUGES}
    known |= {f"relance_{name}_total": {"creditor"} for name in COUNTERS}
    rows = table("| metric | labels |")
    assert {name: codes(labels) for names, labels, *_ in rows for name in codes(names)} == known
    assert all(row[2] for row in rows)


def counted(paths: Iterable[Path]) -> set[str]:
    """What commits count by name, besides events."""
    calls = (node for path in paths for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {
        str(call.args[0].value)
        for call in calls
        if ast.unparse(call.func) == "commit.count" and isinstance(call.args[0], ast.Constant)
    }


def test_whatever_is_counted_is_shown_and_the_other_way_round() -> None:
    """No counter stays at 0 for want of a count, and nothing is counted that nobody can read."""
    named = counted(path for path in SOURCES if (ROOT / "worker") in path.parents)
    assert {*named, *COUNTED.values()} == set(COUNTERS)
