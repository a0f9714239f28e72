"""The parts, put together: what every entry point and actor is given."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import redis

from channels.base import ConfigurationError
from worker import config as configuration
from worker.broker import SafeBroker, make_broker
from worker.calendar import calendar_for
from worker.cases import Cases, Seen
from worker.clock import Clock, open_clock, read_origin
from worker.config import Config
from worker.config.environment import Environment, environment
from worker.dunning.decision import Around
from worker.embedded import Urls, running
from worker.links import Links
from worker.providers import Providers
from worker.render import Wordings
from worker.store import connect, next_database
from worker.upstream import Upstream

#: Where the embedded servers live, below the folder a command is run in.
VAR = Path("var")
TEMPLATES = Path(__file__).parent.parent / "templates"


class NothingRuns(Exception):
    """There is no store to talk to."""


def servers(environment: Environment) -> Urls:
    """Where the store and the broker are: as the environment says, else the embedded servers that run here.

    Without BROKER_URL the broker takes the store's server, next database. Raises NothingRuns.
    """
    if environment.redis_url:
        return Urls(environment.redis_url, environment.broker_url or next_database(environment.redis_url))
    found = running(VAR)
    if found is None:
        raise NothingRuns("nothing runs here: start `relance up` or set REDIS_URL")
    return found


@dataclass(slots=True)
class Rehearsal:
    """What an operator asked of the clock: where it starts, how fast it runs."""

    at: datetime | None = None
    speed: float | None = None

    @property
    def wanted(self) -> bool:
        """Is it one?"""
        return self.at is not None or self.speed is not None


class Setup:
    """What is configured here: enough to word and to carry a message, without a store.

    Raises ConfigError and ConfigurationError.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ = os.environ if environ is None else environ
        self.environment: Environment = environment(self.environ)
        self.config: Config = configuration.load(self.environment.config, self.environ)
        self.providers = Providers(self.config, self.environ)
        self.upstream = Upstream(self.config, self.environ)

    @cached_property
    def links(self) -> Links | None:
        """Debtors' links; none without an address to lead to or a key to sign with."""
        public, keys = self.environment.public_url, self.environment.secret_keys
        return Links(public, keys) if public and keys else None

    @cached_property
    def wordings(self) -> Wordings:
        """The templates."""
        return Wordings(TEMPLATES)


class App(Setup):
    """One process's parts. Raises what Setup raises, NothingRuns, and redis errors when the store cannot be had."""

    def __init__(self, environ: Mapping[str, str] | None = None, rehearsal: Rehearsal | None = None) -> None:
        super().__init__(environ)
        self.urls = servers(self.environment)
        self.client: redis.Redis = connect(self.urls.redis_url)
        self.cases = Cases(self.client)
        self.providers = Providers(self.config, self.environ, self._rehearsed)
        self.upstream = Upstream(self.config, self.environ, self._rehearsed)
        asked = rehearsal or Rehearsal()
        if asked.wanted:
            self._refuse(self._outside())  # before the clock is in the store, from where it never leaves
        opened = open_clock(self.client, asked.at, asked.speed)
        self.clock: Clock = opened[0]
        self.clock_heeded: bool = opened[1]

    @cached_property
    def broker(self) -> SafeBroker:
        """dramatiq's broker; its own database or server."""
        return make_broker(self.urls.broker_url, self.client)

    def close(self) -> None:
        """Give the connections back."""
        self.client.close()
        if "broker" in vars(self):
            self.broker.client.close()
            self.broker.once.close()

    def around(self, seen: Seen) -> Around:
        """What a decision about the case depends on besides it."""
        debtor = seen.case.debtor
        calendar = calendar_for(debtor.country, debtor.subdivision)
        return Around(calendar=calendar, contacts=seen.contacts, paused=seen.paused)

    def refuse_real_providers(self) -> None:
        """A store that ever held a rehearsal's clock must never reach real people. Raises ConfigurationError."""
        if self.clock.rehearsal:
            self._refuse(self._outside())

    def _rehearsed(self) -> bool:
        return read_origin(self.client) is not None

    def _outside(self) -> list[str]:
        return [*self.providers.real(), *self.upstream.real()]

    def _refuse(self, real: list[str]) -> None:
        if real:
            raise ConfigurationError(
                f"a rehearsal's clock, and {', '.join(real)} reach real people or systems: "
                "use a sandbox (TWILIO_BASE_URL, SENDGRID_BASE_URL, SMTP_URL on loopback) or another store"
            )
