"""What the tests share: real servers, one pair per test process, and parts put together on them."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
import redis
import structlog
from hypothesis import HealthCheck, settings

from worker.app import App, Rehearsal
from worker.embedded import Embedded, Urls

ROOT = Path(__file__).parent.parent

# Nothing in the suite is timed, no single example either: a busy machine proves nothing about the code.
settings.register_profile("relance", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relance")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Urls]:
    """The embedded servers, as `relance up` starts them."""
    with Embedded(tmp_path_factory.mktemp("var")) as urls:
        yield urls


@pytest.fixture
def store(servers: Urls) -> Urls:
    """The servers, empty."""
    for url in (servers.redis_url, servers.broker_url):
        with redis.Redis.from_url(url) as client:
            client.flushall()
    return servers


MakeApp = Callable[..., App]


@pytest.fixture
def make_app(store: Urls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeApp]:
    """Builds an App on the empty store: `make_app(at=..., speed=..., config=..., TWILIO_BASE_URL=...)`.

    Without further variables every channel falls to the outbox, which writes below the test's own folder.
    """
    monkeypatch.chdir(tmp_path)
    made: list[App] = []

    def make(
        *, at: datetime | None = None, speed: float | None = None, config: Path = ROOT / "config", **environ: str
    ) -> App:
        variables = {
            "REDIS_URL": store.redis_url,
            "BROKER_URL": store.broker_url,
            "RELANCE_CONFIG": str(config),
            **environ,
        }
        app = App(variables, Rehearsal(at, speed))
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture(autouse=True)
def as_if_nobody_logged() -> Iterator[None]:
    """Every test hears all that is logged: a command run in this process sets logging up, and hushes what is `info`."""
    structlog.reset_defaults()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
