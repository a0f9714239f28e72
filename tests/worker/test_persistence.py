"""What the table in worker/README.md says is lost, for every way a server can keep what it is given, is lost."""

from collections.abc import Iterator

import pytest

from tests.conftest import MakeApp
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
    """The message goes a second time, a pause later, where its provider has no list; that `begin` could not wait for a
    disk is said once a process.
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
