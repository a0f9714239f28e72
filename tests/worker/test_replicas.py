"""A message leaves when its reservation is on every disk that was asked for, and not before."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import pytest

from channels.base import ConfigurationError
from channels.sandbox import Sandbox
from tests.conftest import MakeApp
from worker.config import environment
from worker.opening import prove

from .programs import until
from .rig import MORNING, Rig
from .valkeys import ALWAYS, NOTHING, Server, ending
from .wire import Recorder

MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Starts one with these settings; all end with the test."""
    with ending() as keep:
        count = iter(range(10))
        yield lambda *settings: keep(Server(tmp_path / f"server-{next(count)}", *settings)).start()


@pytest.fixture
def pair(make_server: MakeServer) -> tuple[Server, Server]:
    """A store, and a replica of it that keeps up."""
    primary = make_server(*ALWAYS)
    replica = make_server(*ALWAYS, "--replicaof", "127.0.0.1", str(primary.port))
    in_step(replica)
    return primary, replica


def in_step(replica: Server) -> None:
    """Wait until it copies."""
    until(lambda: replica.says("master_link_status") == "up")


def rig_on(make_app: MakeApp, server: Server, **environ: str) -> Rig:
    """Scheduler and worker on it, on a morning on which a first reminder is due; its start is behind it."""
    rig = Rig(make_app(at=MORNING, speed=1, REDIS_URL=server.url, BROKER_URL="", **environ))
    prove(rig.app)
    return rig


@pytest.mark.parametrize("environ", [{"STORE_REPLICAS": "1"}, {}], ids=["said", "found"])
def test_nothing_leaves_without_the_replica(
    make_app: MakeApp, pair: tuple[Server, Server], environ: dict[str, str]
) -> None:
    """Whether it was said or found at the start that there is one: while it is away no call begins, then it does."""
    primary, replica = pair
    rig = rig_on(make_app, primary, **environ)
    case = rig.open()
    rig.reserve(case)
    replica.kill()
    rig.deliver(case)
    assert rig.tap.messages == []
    assert rig.kinds(case)[-1] == "AttemptUnavailable"
    replica.start()
    in_step(replica)
    look = rig.next_look(case)
    assert look is not None
    rig.jump(look)
    rig.settle(case)
    assert len(rig.tap.messages) == 1


def test_a_server_that_cannot_say_what_its_replica_has_lets_nothing_leave(
    make_app: MakeApp, pair: tuple[Server, Server]
) -> None:
    """Its own file was switched off since the start, so WAITAOF is an error there: no answer is not a yes."""
    primary, _ = pair
    rig = rig_on(make_app, primary)
    primary.ask("CONFIG", "SET", "appendonly", "no")
    case = rig.open()
    rig.reserve(case)
    rig.deliver(case)
    assert rig.tap.messages == []
    assert rig.kinds(case)[-1] == "AttemptUnavailable"


def test_what_left_is_on_the_replica(make_app: MakeApp, pair: tuple[Server, Server]) -> None:
    """A replica that lags is waited for: killed at the moment of the call, it has `sending` on its disk."""
    primary, replica = pair
    rig = rig_on(make_app, primary)
    case = rig.open()
    rig.reserve(case)
    rig.tap.before = replica.kill

    def lag() -> None:
        replica.freeze()
        Timer(0.3, replica.thaw).start()

    rig.providers.got = lag  # rendered, and not begun
    rig.deliver(case)
    assert len(rig.tap.messages) == 1
    primary.kill()
    replica.start()
    replica.ask("REPLICAOF", "NO", "ONE")
    heir = Rig(make_app(REDIS_URL=replica.url, BROKER_URL=""))
    assert heir.kinds(case)[-1] == "AttemptBegun"
    heir.lose_leases()
    heir.settle(case)
    assert heir.tap.messages == []


def test_no_replica_is_waited_for_where_none_is_wanted(make_app: MakeApp, pair: tuple[Server, Server]) -> None:
    """`STORE_REPLICAS=0` is an answer, too."""
    primary, replica = pair
    rig = rig_on(make_app, primary, STORE_REPLICAS="0")
    replica.kill()
    rig.settle(rig.open())
    assert len(rig.tap.messages) == 1


def test_memories_count_where_no_disk_can(make_app: MakeApp, make_server: MakeServer) -> None:
    """Servers that keep no append-only file: the replica has it in memory before the call, or there is none."""
    primary = make_server(*NOTHING)
    replica = make_server(*NOTHING, "--replicaof", "127.0.0.1", str(primary.port))
    in_step(replica)
    rig, heir = rig_on(make_app, primary), Rig(make_app(REDIS_URL=replica.url, BROKER_URL=""))
    case = rig.open()
    rig.reserve(case)
    seen: list[str] = []
    rig.tap.before = lambda: seen.append(heir.kinds(case)[-1])
    rig.deliver(case)
    assert seen == ["AttemptBegun"]
    replica.kill()
    other = rig.open(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    rig.reserve(other)
    rig.deliver(other)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ALWAYS, []),
        (NOTHING, ["store.not_durable", "an append-only file (appendonly yes)", "may go twice"]),
    ],
    ids=["durable", "not"],
)
def test_a_start_says_what_cannot_be_promised(
    make_app: MakeApp,
    make_server: MakeServer,
    capsys: pytest.CaptureFixture[str],
    settings: tuple[str, ...],
    said: list[str],
) -> None:
    """Before the first message, what is missing and what that may do; of a store that is as it should be, nothing."""
    rig_on(make_app, make_server(*settings))
    printed = "".join(capsys.readouterr())
    assert [words for words in said if words not in printed] == []
    assert ("store." in printed) == bool(said)


@pytest.mark.parametrize("guarded", [False, True])
def test_a_store_that_writes_without_its_replicas_is_named(
    make_app: MakeApp, pair: tuple[Server, Server], capsys: pytest.CaptureFixture[str], guarded: bool
) -> None:
    """Where replicas count, `min-replicas-to-write` should too."""
    primary, _ = pair
    primary.ask("CONFIG", "SET", "min-replicas-to-write", int(guarded))
    rig_on(make_app, primary)
    assert ("store.unguarded" in "".join(capsys.readouterr())) == (not guarded)


@pytest.mark.parametrize("value", ["-1", "10", "one", "1.5", "²"])
def test_a_number_of_replicas_that_is_none_is_refused(value: str) -> None:
    """By its name."""
    with pytest.raises(ConfigurationError, match=r"^STORE_REPLICAS: expected a number from 0 to 9$"):
        environment({"REDIS_URL": "redis://store", "STORE_REPLICAS": value})


# ---- the order, as it passed on the wires


@pytest.mark.parametrize("replicas", [0, 1])
def test_the_disk_answers_before_the_provider_hears_the_first_byte(
    make_app: MakeApp, pair: tuple[Server, Server], replicas: int
) -> None:
    """Recorded byte by byte: `begin`, behind it WAITAOF on the same connection, both answered; then the provider."""
    primary, _ = pair
    recorder = Recorder()
    with (
        Sandbox() as sandbox,
        recorder.wire("store", primary.port) as store,
        recorder.wire("provider", int(sandbox.sendgrid_url.rpartition(":")[2])) as provider,
    ):
        environ = {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": f"http://127.0.0.1:{provider}"}
        url = f"redis://127.0.0.1:{store}/0"
        app = make_app(at=MORNING, speed=1, REDIS_URL=url, STORE_REPLICAS=str(replicas), BROKER_URL="", **environ)
        rig = Rig(app)
        case = rig.open()
        rig.reserve(case)
        rig.deliver(case)
        assert rig.kinds(case)[-1] == "AttemptAccepted"
        app.close()
    begun = recorder.first("store", b"AttemptBegun")
    asked = recorder.first("store", b"WAITAOF", since=begun)
    assert (asked.connection, asked.towards) == (begun.connection, True)
    assert begun.data.index(b"AttemptBegun") < begun.data.index(b"WAITAOF") if asked is begun else asked.at > begun.at
    kept = b"*2\r\n:1\r\n:%d\r\n" % replicas
    acknowledged = next(at for at, said in recorder.answers(asked) if b"ok\r\n" in said and said.endswith(kept))
    called = recorder.first("provider")
    assert begun.at <= asked.at < acknowledged < called.at
