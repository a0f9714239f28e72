"""What relance says to a creditor's billing system, and asks of it: one POST, signed, bounded in time and in size."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from channels.base import ChannelError, ConfigurationError
from channels.settings import demand, is_loopback, secret
from channels.signature import signed
from worker.config import Config, StillDue, Webhook

if TYPE_CHECKING:  # takes its time to import; only who asks shall pay it
    from channels.http import Answer, Http

#: Bytes of an answer that are read.
LIMIT = 64 * 1024
NOTHING: Mapping[str, str] = MappingProxyType({})


class NoAnswer(Exception):
    """There is none that can be used; `code` is a status, or the name of what went wrong."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Upstream:
    """The creditors' billing systems. Shared by threads."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], rehearsed: Callable[[], bool] = lambda: False
    ) -> None:
        self._config = config
        self._environ = environ
        self._rehearsed = rehearsed

    def post(
        self, to: Webhook | StillDue, body: bytes, timeout: timedelta, headers: Mapping[str, str] = NOTHING
    ) -> "Answer":
        """The answer, whatever it says; redirects are not followed. Raises NoAnswer.

        A rehearsal may have begun on the store after this process did: hence the question each time.
        """
        if not _is_here(to) and self._rehearsed():
            raise NoAnswer("rehearsal")
        try:
            key = demand(self._environ, to.secret_env) if to.secret_env else ""
        except ConfigurationError:
            raise NoAnswer("configuration") from None
        seal = signed(key, body, time.time()) if key else {}
        said = {"Content-Type": "application/json", "User-Agent": "relance", **headers, **seal}
        try:
            return _client(timeout.total_seconds()).request("POST", to.url, body, said)
        except ChannelError as error:
            raise NoAnswer(error.code) from None

    def faults(self) -> dict[str, str]:
        """What cannot work, by creditor and key, and why."""
        found = {}
        for place, to in self._places():
            try:
                if to.secret_env and not secret(self._environ, to.secret_env):
                    found[place] = f"{to.secret_env} is not set"
            except ConfigurationError as error:
                found[place] = str(error)
        return found

    def demand(self, key: str) -> None:
        """Raises ConfigurationError where a creditor's `webhook` or `still_due`, whichever it is, cannot work."""
        found = [f"{place}: {says}" for place, says in self.faults().items() if place.endswith(f".{key}")]
        if found:
            raise ConfigurationError("; ".join(found))

    def real(self) -> list[str]:
        """Those that are not on this machine, which a rehearsal must not tell anything."""
        return [place for place, to in self._places() if not _is_here(to)]

    def _places(self) -> Iterator[tuple[str, Webhook | StillDue]]:
        for name, creditor in self._config.creditors.items():
            for key, to in (("webhook", creditor.webhook), ("still_due", creditor.still_due)):
                if to:
                    yield f"creditors.{name}.{key}", to


def _is_here(to: Webhook | StillDue) -> bool:
    return is_loopback(urlsplit(to.url).hostname or "")


@cache
def _client(timeout: float) -> "Http":
    """Connections for calls that take no longer than that, in seconds; a process has a handful of such lengths."""
    from channels.http import Http

    return Http(timeout / 2, timeout / 2, limit=LIMIT)
