"""What the table in worker/README.md says is lost, for every way a server can keep what it is given, is lost."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from channels.base import Unavailable
from tests.conftest import MakeApp
from worker.commit import Keys
from worker.dunning.events import AttemptBegun
from worker.dunning.model import Case

from .programs import until
from .rig import MORNING, Rig
from .valkeys import ALWAYS, EVERY_SECOND, NOTHING, SNAPSHOTS, Server


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with the settings that the test is given."""
    server = Server(tmp_path_factory.mktemp("s"), *request.param).start()
    yield server
    server.kill()


@pytest.fixture
def rig(server: Server, make_app: MakeApp) -> Rig:
    """Scheduler and worker on it, on a morning on which a first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1, REDIS_URL=server.url, BROKER_URL="", STORE_FAILOVER_PAUSE="1s"))


def sent(rig: Rig, case: Case) -> int:
    """How many messages have left by now."""
    rig.settle(case)
    return len(rig.tap.messages)


@pytest.mark.parametrize("server", [ALWAYS, EVERY_SECOND], ids=["always", "everysec"], indirect=True)
def test_a_file_that_is_appended_to_keeps_all_of_it(server: Server, rig: Rig) -> None:
    """The server is killed while a call is under way, and after it: its debtor gets one message."""
    case = rig.open()

    def crash() -> None:
        server.kill()
        server.start()

    rig.tap.after = crash
    rig.settle(case)
    history = rig.kinds(case)
    assert "AttemptAccepted" in history
    crash()
    assert rig.kinds(case) == history
    rig.lose_leases()
    rig.settle(case)
    assert len(rig.tap.messages) == 1


@pytest.mark.parametrize("server", [SNAPSHOTS], ids=["snapshots"], indirect=True)
def test_a_snapshot_forgets_what_was_sent_after_it(
    server: Server, rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message goes a second time, a pause later, where its provider has no list, and is written down and counted as
    a possible copy; that `begin` could not wait for a disk is said once a process.
    """
    rig.tap.finds = False
    case = rig.open()
    rig.app.client.save()
    rig.settle(case)
    server.kill()
    server.start()
    assert rig.kinds(case) == ["CaseOpened"]
    until(lambda: sent(rig, case) == 2)
    first, second = rig.tap.messages
    assert first.reference == second.reference
    assert [event.possible_copy for event in rig.history(case) if isinstance(event, AttemptBegun)] == [True]
    assert rig.app.client.hget(Keys("demo").counters, "possible_copies") == "1"
    assert "".join(capsys.readouterr()).count("store.not_durable") == 1


@pytest.mark.parametrize("server", [SNAPSHOTS], ids=["snapshots"], indirect=True)
def test_what_a_snapshot_forgot_is_found_at_its_provider(server: Server, rig: Rig) -> None:
    """Where there is a list it is asked before anything leaves: the debtor gets one message, the ladder goes on."""
    case = rig.open()
    rig.app.client.save()
    rig.settle(case)
    server.kill()
    server.start()
    assert rig.kinds(case) == ["CaseOpened"]
    until(lambda: sent(rig, case) and rig.kinds(case)[-1] == "AttemptFound")
    assert len(rig.tap.messages) == 1
    assert rig.next_look(case) is not None


@pytest.mark.parametrize("server", [SNAPSHOTS], ids=["snapshots"], indirect=True)
def test_nothing_leaves_while_that_list_cannot_be_read(server: Server, rig: Rig) -> None:
    """It is asked again a minute later, and then tells."""
    case = rig.open()
    rig.app.client.save()
    rig.settle(case)
    server.kill()
    server.start()
    rig.tap.unread = [Unavailable("throttle", "429")]
    until(lambda: sent(rig, case) and not rig.tap.unread)
    assert (len(rig.tap.messages), rig.kinds(case)[-1]) == (1, "AttemptReleased")
    rig.wait(timedelta(minutes=2))
    rig.settle(case)
    assert (len(rig.tap.messages), rig.kinds(case)[-1]) == (1, "AttemptFound")


@pytest.mark.parametrize("server", [NOTHING], ids=["nothing"], indirect=True)
def test_a_server_that_keeps_nothing_forgets_the_case(server: Server, rig: Rig) -> None:
    """The same job opens it anew, and its ladder begins again, when the pause is over; nobody can be asked here."""
    rig.tap.finds = False
    rig.settle(rig.open())
    server.kill()
    server.start()
    assert list(rig.app.cases.case_ids("demo")) == []
    case = rig.open()
    until(lambda: sent(rig, case) == 2)
