"""Where the doors listen, and serving them."""

import socket
from collections.abc import Callable
from threading import Event, Thread

import structlog
import uvicorn

from channels.base import ConfigurationError
from channels.settings import secret
from worker.app import App
from worker.store import hurry, until_it_answers
from worker.web.doors import create

#: How long the port is not bound while the servers are asked what must be known of them, in seconds.
HEAD_START = 2.0
#: Requests under way when the doors close have so many seconds for their answers; then they are cut.
ANSWER_WITHIN = 22

_log = structlog.get_logger("relance.web")


def serve(app: App, stop: Event, begin: Callable[[], None], answer_within: int = ANSWER_WITHIN) -> None:
    """Serve on WEB_PORT (8000) of WEB_HOST (loopback) until `stop` is set and what was asked is answered.

    `begin` is what comes first once the servers are there. They may be away for long: the port is bound all the same,
    and whoever knocks is answered 503, so that they come again.

    Raises ConfigurationError for a port that is none, or taken, and what `begin` raises.
    """
    host, port = listens_on(app)
    for client in (app.client, app.broker.client):
        hurry(client)  # a provider that gives up, after 15 s, has heard nothing; one that hears 503 comes again
    config = uvicorn.Config(
        create(app),
        log_config=None,
        access_log=False,
        forwarded_allow_ips=_proxies(app),
        timeout_graceful_shutdown=answer_within,
    )
    server = uvicorn.Server(config)
    beginning = _Beginning(begin, server)
    beginning.start()
    beginning.join(HEAD_START)
    beginning.demand()
    try:
        listener = socket.create_server((host, port), backlog=server.config.backlog)
    except OSError as error:
        raise ConfigurationError(f"WEB_PORT: cannot listen on {host}:{port}: {error.strerror or error}") from None
    # On a thread that is not the main one, uvicorn leaves signals alone; a second SIGTERM it would not heed.
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    _log.info("web.started", host=host, port=port)
    while thread.is_alive() and not stop.wait(0.1):
        pass
    server.should_exit = True
    thread.join()
    beginning.demand()
    _log.info("web.stopped")


class _Beginning(Thread):
    """What comes first, done as soon as the servers are there; what is wrong with them ends the serving."""

    def __init__(self, begin: Callable[[], None], server: uvicorn.Server) -> None:
        super().__init__(daemon=True)
        self._begin, self._server = begin, server
        self._fault: Exception | None = None

    def run(self) -> None:
        """Wait for the servers as long as it takes."""
        try:
            until_it_answers(self._begin)
        except Exception as error:
            self._fault, self._server.should_exit = error, True

    def demand(self) -> None:
        """Raises what was wrong, if anything was."""
        if self._fault:
            raise self._fault


def _proxies(app: App) -> str:
    """Whose word on a client's address counts."""
    return secret(app.environ, "FORWARDED_ALLOW_IPS") or "127.0.0.1"


def listens_on(app: App) -> tuple[str, int]:
    """WEB_HOST and WEB_PORT, or their files' content. Raises ConfigurationError for a port that is none."""
    port = secret(app.environ, "WEB_PORT") or "8000"
    if not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
        raise ConfigurationError("WEB_PORT: expected a number from 1 to 65535")
    return secret(app.environ, "WEB_HOST") or "127.0.0.1", int(port)
