"""A store that another server took over may have forgotten what was sent: nothing goes out before that is known."""

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import redis

from channels.base import ConfigurationError, Unavailable, Uncertain
from tests.channels.peers import peer
from tests.conftest import MakeApp
from worker.cases import Cases, Refused
from worker.commit import Commit
from worker.config import environment
from worker.continuity import REACHES_BACK
from worker.dunning.events import AttemptBegun, AttemptReleased
from worker.dunning.fold import fold
from worker.opening import prove
from worker.sending import deliver
from worker.store import until_it_answers

from .config_copy import DEMO, Copy
from .payloads import reminder
from .programs import until
from .rig import MORNING, Later, Rig
from .valkeys import ALWAYS, NOTHING, Server, ending

MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Starts one with these settings; all end with the test."""
    with ending() as keep:
        count = iter(range(10))
        yield lambda *settings: keep(Server(tmp_path / f"server-{next(count)}", *settings)).start()


def replica_of(make_server: MakeServer, primary: Server) -> Server:
    """A replica that keeps up."""
    replica = make_server(*ALWAYS, "--replicaof", "127.0.0.1", str(primary.port))
    until(lambda: replica.says("master_link_status") == "up")
    return replica


def take_over(primary: Server, replica: Server) -> None:
    """The primary dies, and the replica stands in its place, at its address."""
    primary.kill()
    replica.ask("REPLICAOF", "NO", "ONE")
    replica.move(primary.port)


def rig_on(make_app: MakeApp, server: Server, replicas: str = "0", **more: Any) -> Rig:
    """Scheduler and worker on it, on a morning on which first reminders are due; its start is behind it."""
    rig = Rig(make_app(at=MORNING, speed=1, REDIS_URL=server.url, BROKER_URL="", STORE_REPLICAS=replicas, **more))
    prove(rig.app)
    return rig


def other(number: int) -> dict[str, object]:
    """The debtor of another case."""
    return {"job_id": f"j-{number}", "debtor__id": f"D-{number}", "invoices__0__number": f"F-{number}"}


def test_a_failover_pauses_what_is_sent_and_nothing_else(
    make_app: MakeApp, make_server: MakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reservation is given back until the pause is over; jobs and payments are taken; then all goes on, once.
    Though the server was looked at a moment before, the last minute is in doubt: what was begun in it was under way.
    """
    primary = make_server(*ALWAYS)
    rig = rig_on(make_app, primary)
    replica = replica_of(make_server, primary)
    paid, case = rig.open(), rig.open(**other(2))
    rig.tick()
    take_over(primary, replica)
    capsys.readouterr()
    rig.deliver(case)
    assert rig.tap.messages == []
    assert rig.kinds(case)[-1] == "AttemptReleased"
    doubt = rig.app.continuity.doubt()
    assert doubt is not None
    assert doubt.since <= rig.app.clock.real() - REACHES_BACK
    colleague = Rig(make_app(REDIS_URL=primary.url, BROKER_URL=""))
    prove(colleague.app)
    printed = "".join(capsys.readouterr())
    assert printed.count("store.replaced") == 1
    assert "failover=True" in printed

    rig.pay()
    assert rig.case(paid.id).invoices[0].outstanding == 0
    look = rig.next_look(case)
    assert look is not None
    assert timedelta(seconds=50) < look - rig.app.clock.now() <= timedelta(seconds=60)
    assert rig.tick() <= 1  # the case that was paid; the other one waits
    rig.jump(look)
    rig.app.clock = Later(rig.app.clock, timedelta(seconds=61))
    rig.settle(case)
    assert [message.attempt.rpartition(".")[0] for message in rig.tap.messages] == [case.id]


def test_a_pause_ends_by_the_clock_whenever_the_message_was_due(make_app: MakeApp, make_server: MakeServer) -> None:
    """A rehearsal sends as of when a step was due, which may be long past: it is not reserved again and again."""
    primary = make_server(*ALWAYS)
    rig = rig_on(make_app, primary)
    replica = replica_of(make_server, primary)
    case = rig.open()
    attempt = rig.reserve(case)
    take_over(primary, replica)
    deliver(rig.app, attempt, rig.app.clock.now() - timedelta(hours=1))
    look = rig.next_look(case)
    assert look is not None
    assert look - rig.app.clock.now() > timedelta(seconds=50)


def test_a_message_does_not_leave_in_a_pause_that_another_thread_heard_of(
    make_app: MakeApp, make_server: MakeServer, tmp_path: Path
) -> None:
    """While billing is asked about one message, the server fails over and a colleague of the same process looks at it:
    the message had been let pass under the old one.
    """
    primary = make_server(*ALWAYS)

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        take_over(primary, replica)
        until_it_answers(rig.app.continuity.renew)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"due": true}')

    with peer(answer) as port:
        copy = Copy(tmp_path / "config")
        asks = f"still_due: {{url: 'http://127.0.0.1:{port}', timeout: 10s, on_error: hold, secret_env: SECRET}}"
        copy.edit(DEMO, "mode: live", asks)
        rig = rig_on(make_app, primary, config=copy.folder, SECRET="between us")
        replica = replica_of(make_server, primary)
        case = rig.open()
        rig.reserve(case)
        rig.deliver(case)
    assert rig.tap.messages == []
    released = rig.history(case)[-1]
    assert isinstance(released, AttemptReleased)
    assert released.why == "the store was replaced"


def test_what_the_new_server_forgot_does_not_go_again_at_once(make_app: MakeApp, make_server: MakeServer) -> None:
    """The replica was cut off: it has the reservation of a message that went. The doubt reaches back to before the
    call, however late somebody notices.
    """
    primary = make_server(*ALWAYS)
    rig = rig_on(make_app, primary)
    replica = replica_of(make_server, primary)
    rig.app.continuity.renew()
    case = rig.open()
    attempt = rig.reserve(case)
    heir = Rig(make_app(REDIS_URL=replica.url, BROKER_URL=""))
    until(lambda: heir.app.cases.load(case.id) and heir.reserved(case))
    replica.ask("REPLICAOF", "127.0.0.1", 1)
    begun = rig.app.clock.real()
    rig.deliver(case)
    assert len(rig.tap.messages) == 1
    take_over(primary, replica)
    assert rig.reserved(case) == [attempt]
    rig.app.clock = Later(rig.app.clock, timedelta(minutes=10))
    deliver(rig.app, attempt, None)
    assert len(rig.tap.messages) == 1
    doubt = rig.app.continuity.doubt()
    assert doubt is not None
    assert doubt.since <= begun
    assert doubt.until > rig.app.clock.real() + timedelta(minutes=14)
    rig.app.clock = Later(rig.app.clock, timedelta(minutes=15))
    assert rig.app.continuity.doubt() is None


def test_a_plain_restart_of_a_durable_server_pauses_nothing(
    make_app: MakeApp, make_server: MakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is noticed, and not an alarm: what was begun is on its disk. No list is asked, so none keeps it back."""
    server = make_server(*ALWAYS)
    rig = rig_on(make_app, server)
    case = rig.open()
    rig.reserve(case)
    server.kill()
    server.start()
    rig.tap.unread = [Unavailable("throttle", "429")]
    rig.deliver(case)
    assert len(rig.tap.messages) == 1
    assert rig.app.continuity.doubt() is None
    printed = "".join(capsys.readouterr())
    assert (printed.count("store.restarted"), printed.count("store.replaced")) == (1, 0)


def test_a_server_that_comes_back_without_its_file_is_another(
    make_app: MakeApp, make_server: MakeServer, tmp_path: Path
) -> None:
    """The disk it kept it on is not there: it appends to a new one, and has forgotten all."""
    server = make_server(*ALWAYS)
    rig = rig_on(make_app, server)
    server.kill()
    rmtree(tmp_path / "server-0" / "appendonlydir")
    server.start()
    rig.app.continuity.renew()
    assert rig.app.continuity.pause_left()
    assert rig.app.continuity.doubt() is not None


def test_a_server_that_keeps_nothing_pauses_when_it_comes_back(make_app: MakeApp, make_server: MakeServer) -> None:
    """It has even forgotten which one it was; whoever knew it has not."""
    server = make_server(*NOTHING)
    rig = rig_on(make_app, server)
    rig.settle(rig.open())
    server.kill()
    server.start()
    case = rig.open()
    rig.settle(case)
    assert len(rig.tap.messages) == 1
    assert rig.kinds(case)[-1] == "AttemptReleased"


def test_a_first_replica_is_no_failover(
    make_app: MakeApp, make_server: MakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server takes another id when it is first copied, and goes on as it was."""
    server = make_server(*ALWAYS)
    rig = rig_on(make_app, server)
    case = rig.open()
    rig.reserve(case)
    before = rig.app.continuity.server()
    replica_of(make_server, server)
    rig.deliver(case)
    assert rig.app.continuity.server() != before
    assert len(rig.tap.messages) == 1
    assert rig.app.continuity.doubt() is None
    assert "store.re" not in "".join(capsys.readouterr())


def test_a_later_failover_keeps_what_is_still_in_doubt(make_app: MakeApp, make_server: MakeServer) -> None:
    """Two within minutes: the doubt reaches back to before the first one."""
    primary = make_server(*ALWAYS)
    rig = rig_on(make_app, primary)
    replicas = [replica_of(make_server, primary), replica_of(make_server, primary)]
    take_over(primary, replicas[0])
    rig.app.continuity.renew()
    first = rig.app.continuity.doubt()
    until(lambda: replicas[1].says("master_link_status") == "up")
    rig.app.clock = Later(rig.app.clock, timedelta(minutes=5))
    rig.app.continuity.renew()
    take_over(replicas[0], replicas[1])
    rig.app.continuity.renew()
    second = rig.app.continuity.doubt()
    assert first is not None
    assert second is not None
    assert second.since == first.since
    assert second.until > first.until


@pytest.mark.parametrize("waited_for", ["0", "1"])
def test_what_leaves_unasked_after_a_failover_is_a_possible_copy(
    make_app: MakeApp, make_server: MakeServer, waited_for: str
) -> None:
    """Where there is no list nobody can tell; where a replica was waited for nothing that was begun is forgotten."""
    primary = make_server(*ALWAYS)
    replicas = [replica_of(make_server, primary), replica_of(make_server, primary)]
    rig = rig_on(make_app, primary, waited_for)
    rig.tap.finds = False
    case = rig.open()
    take_over(primary, replicas[0])
    until(lambda: replicas[1].says("master_link_status") == "up")
    rig.settle(case)
    rig.wait(timedelta(seconds=61))
    rig.settle(case)
    (begun,) = (event for event in rig.history(case) if isinstance(event, AttemptBegun))
    assert begun.possible_copy == (waited_for == "0")
    assert len(rig.tap.messages) == 1


@pytest.mark.parametrize("answer", [None, Uncertain("timeout")], ids=["taken", "lost"])
@pytest.mark.parametrize("paid", [False, True])
def test_a_call_that_outlasts_a_failover_is_believed(
    make_app: MakeApp, make_server: MakeServer, answer: Uncertain | None, paid: bool
) -> None:
    """The new server has never heard that it began; whoever made it has. Of what became of the case there meanwhile
    nothing is overwritten, though it was written as often.
    """
    primary = make_server(*ALWAYS)
    rig = rig_on(make_app, primary)
    replica = replica_of(make_server, primary)
    case = rig.open()
    rig.reserve(case)
    heir = Rig(make_app(REDIS_URL=replica.url, BROKER_URL=""))
    until(lambda: heir.app.cases.load(case.id) and heir.reserved(case))
    replica.ask("REPLICAOF", "127.0.0.1", 1)

    def fail_over() -> None:
        take_over(primary, replica)
        if paid:
            rig.pay("100.00")

    rig.tap.before, rig.tap.answers = fail_over, [answer] if answer else []
    rig.deliver(case)
    rig.tap.before = lambda: None
    send, stored = rig.case(case.id).runs[-1].sends[-1], rig.case(case.id)
    assert send.status == ("uncertain" if answer else "accepted")
    assert rig.kinds(case)[-1] == ("AttemptUncertain" if answer else "AttemptFound")
    assert stored == fold(None, rig.history(case))
    assert bool(stored.invoices[0].movements) == paid
    rig.lose_leases()
    rig.settle(case)
    assert len(rig.tap.messages) == 1


class Losing(Cases):
    """The store; the answer of the next commit is lost, and meanwhile something happens."""

    def __init__(self, client: redis.Redis, meanwhile: Callable[[], None]) -> None:
        super().__init__(client)
        self._meanwhile: list[Callable[[], None]] = [meanwhile]

    def commit(self, commit: Commit, *, durable: bool = False) -> None:
        """As the store does."""
        super().commit(commit, durable=durable)
        for happen in self._meanwhile[:]:
            self._meanwhile.clear()
            happen()
            raise redis.ConnectionError


def test_a_beginning_whose_answer_is_lost_with_the_primary_waits_too(
    make_app: MakeApp, make_server: MakeServer
) -> None:
    """The replica has it, and says so when it is told again. No call is made before the pause is over, and then one."""
    primary = make_server(*ALWAYS)
    rig = rig_on(make_app, primary)
    replica = replica_of(make_server, primary)
    case = rig.open()
    rig.reserve(case)
    heir = Rig(make_app(REDIS_URL=replica.url, BROKER_URL=""))

    def fail_over() -> None:
        until(lambda: heir.kinds(case)[-1:] == ["AttemptBegun"])
        take_over(primary, replica)

    rig.app.cases = Losing(rig.app.client, fail_over)
    rig.deliver(case)
    assert rig.kinds(case)[-2:] == ["AttemptBegun", "AttemptUnavailable"]
    assert rig.tap.messages == []
    rig.wait(timedelta(minutes=10))
    rig.settle(case)
    assert len(rig.tap.messages) == 1


def test_begin_is_refused_by_a_server_that_nobody_looked_at(make_app: MakeApp) -> None:
    """The guard compares inside of the script: nothing of the commit happens."""
    rig = Rig(make_app(at=MORNING, speed=1))
    taken = rig.take(reminder())
    stored = rig.app.cases.load(taken.cases[0])
    assert stored is not None
    for replid, refused in (("f" * 40, True), (rig.app.continuity.server(), False)):
        commit = Commit("demo")
        commit.change(stored, [])
        commit.op("SET", commit.keys.rate, "1")
        commit.guard_server(replid)
        if refused:
            with pytest.raises(Refused, match="server"):
                rig.app.cases.commit(commit)
        else:
            rig.app.cases.commit(commit)
        assert bool(rig.app.client.exists(commit.keys.rate)) != refused


def test_a_store_that_was_emptied_is_no_other(make_app: MakeApp) -> None:
    """Nothing is known of the server any more, and it is the same."""
    rig = Rig(make_app(at=MORNING, speed=1))
    assert rig.app.continuity.doubt() is None
    rig.app.client.flushall()
    rig.app.continuity.renew()
    assert rig.app.continuity.doubt() is None


def test_how_long_the_pause_is_can_be_said() -> None:
    """As waits are written elsewhere; what is none is named."""
    assert environment({"STORE_FAILOVER_PAUSE": "5m"}).failover_pause == timedelta(minutes=5)
    assert timedelta(minutes=1) == REACHES_BACK
    with pytest.raises(ConfigurationError, match=r"^STORE_FAILOVER_PAUSE: not a time to wait"):
        environment({"STORE_FAILOVER_PAUSE": "soon"})
