"""A store with replicas that sentinels watch over: its primary is killed, and everybody goes on with another."""

import json
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from channels.sandbox import Sandbox
from tests.conftest import MakeApp
from worker.cases import Cases
from worker.commit import Commit
from worker.intake import take
from worker.store import connect, until_it_answers

from .payloads import reminder
from .programs import program, until
from .rig import ENQUEUED, MORNING
from .valkeys import ALWAYS, Server, Watcher, ending

PAUSE = timedelta(seconds=3)


def job(number: int) -> dict[str, Any]:
    """A reminder of a debtor of its own."""
    return reminder(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}")


def copying(server: Server) -> bool:
    """Is it a replica that keeps up?"""
    return bool(server.says("master_link_status") == "up")


def log(path: Path, event: str) -> list[dict[str, Any]]:
    """Those lines of the sandbox's log."""
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return [line for line in lines if line["event"] == event]


def moment(text: str) -> datetime:
    """As it was written."""
    return datetime.fromisoformat(text)


def test_a_primary_that_is_killed_costs_a_pause_and_no_message(make_app: MakeApp, tmp_path: Path) -> None:
    """`kill -9` between messages: nobody ends, nothing is sent until the pause is over, then everything, each once."""
    accepted = tmp_path / "sandbox.jsonl"
    with ending() as keep, ExitStack() as stack, Sandbox(log=accepted) as sandbox:
        primary = keep(Server(tmp_path / "0", *ALWAYS)).start()
        copies = [Server(tmp_path / name, *ALWAYS, "--replicaof", "127.0.0.1", str(primary.port)) for name in "12"]
        for copy in copies:
            keep(copy).start()
            until(partial(copying, copy))
        watcher = keep(Watcher(tmp_path / "watcher", primary))
        watcher.start()
        until(lambda: watcher.replicas() == 2)
        environ = {
            "REDIS_URL": watcher.url,
            "STORE_FAILOVER_PAUSE": f"{PAUSE.seconds}s",
            "SENDGRID_API_KEY": "SG.x",
            "SENDGRID_BASE_URL": sandbox.sendgrid_url,
        }
        app = make_app(at=MORNING, speed=1, BROKER_URL="", **environ)
        started = [
            stack.enter_context(program(tmp_path, *words, **environ))
            for words in (("scheduler",), ("worker", "--queues", "email"))
        ]
        jobs = [job(number) for number in range(10)]
        for each in jobs[:5]:
            take(app, each, enqueued_at=ENQUEUED)
        until(lambda: log(accepted, "accepted"), 60)

        primary.kill()
        until(lambda: watcher.primary() != primary.port)
        for each in jobs:  # as upstream says once more what it said in the last minutes
            until_it_answers(partial(take, app, each, enqueued_at=ENQUEUED))
        until(lambda: len(log(accepted, "accepted")) == len(jobs), 120)
        replaced = [line for each in started for line in each.lines("store.replaced")]
        assert [line["failover"] for line in replaced] == [True]
        over = moment(replaced[0]["pause_until"])
        assert [at for line in log(accepted, "opened") if over - PAUSE < (at := moment(line["at"])) < over] == []
        cases = [line["attempt"].rpartition(".")[0] for line in log(accepted, "accepted")]
        assert sorted(cases) == sorted(set(app.cases.case_ids("demo")))
        assert [each.process.poll() for each in started] == [None, None]


def done(cases: Cases, commit: Commit) -> bool:
    """Is it, at this try?"""
    try:
        cases.commit(commit)
    except redis.RedisError:
        return False
    return True


@pytest.mark.parametrize("each", [False, True], ids=["alone", "in a pipeline"])
def test_a_connection_to_a_server_that_was_demoted_is_dropped(tmp_path: Path, each: bool) -> None:
    """It still leads there while its address belongs to another: what was refused as read-only goes to that one."""
    with ending() as keep:
        old, new = (keep(Server(tmp_path / name, *ALWAYS)).start() for name in "01")
        with closing(connect(old.url)) as client:
            cases = Cases(client)
            commit = Commit("demo")
            commit.op("SET", commit.keys.rate, "1")
            cases.commit(commit)
            address = old.port
            old.ask("REPLICAOF", "127.0.0.1", 1)
            old.move(0)
            new.move(address)
            until(lambda: cases.commit_each([commit]) == [None] if each else done(cases, commit))
        assert new.ask("GET", commit.keys.rate) == "1"
