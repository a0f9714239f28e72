"""Where the servers are, as the environment says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from channels.base import ConfigurationError
from channels.settings import http_url, secret

#: A key that can be guessed signs nothing.
SHORTEST_KEY = 32
_IN_A_PATH = re.compile(rf"[A-Za-z0-9_-]{{{SHORTEST_KEY},}}")


@dataclass(frozen=True, slots=True)
class Environment:
    """`redis_url`: the store; `broker_url`: the queue's server, or empty for the store's next database.

    `public_url`: where providers and debtors reach our web doors, without a last slash. `secret_keys`: what debtors'
    links are signed with, the newest first; those before it are still read. `event_key`: what verifies SendGrid's
    events; `inbound_secret`: what the path of the door for emails ends with. Empty texts mean "not set".
    """

    redis_url: str = field(default="", repr=False)  # it may hold a password
    broker_url: str = field(default="", repr=False)
    public_url: str = ""
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    event_key: str = ""
    inbound_secret: str = field(default="", repr=False)
    config: Path = Path("config")


def environment(environ: Mapping[str, str]) -> Environment:
    """What REDIS_URL, BROKER_URL, PUBLIC_URL, RELANCE_SECRET_KEY (and _PREVIOUS), RELANCE_CONFIG,
    SENDGRID_WEBHOOK_PUBLIC_KEY and SENDGRID_INBOUND_SECRET say.

    Each may be a file's content, as REDIS_URL_FILE.

    Raises channels.base.ConfigurationError for a file that cannot be read, for a URL that is none, for a queue's server
    without a store, and for a queue in the store's own database.
    """
    redis_url, broker_url = _server(environ, "REDIS_URL"), _server(environ, "BROKER_URL")
    if broker_url and not redis_url:
        raise ConfigurationError("BROKER_URL is set but REDIS_URL is not: the queue would have no store beside it")
    _check_apart(redis_url, broker_url)
    return Environment(
        redis_url=redis_url,
        broker_url=broker_url,
        public_url=_public_url(secret(environ, "PUBLIC_URL")),
        secret_keys=_secret_keys(environ),
        event_key=secret(environ, "SENDGRID_WEBHOOK_PUBLIC_KEY"),
        inbound_secret=_path_secret(environ, "SENDGRID_INBOUND_SECRET"),
        config=Path(secret(environ, "RELANCE_CONFIG") or "config"),
    )


def _secret_keys(environ: Mapping[str, str]) -> tuple[str, ...]:
    names = ("RELANCE_SECRET_KEY", "RELANCE_SECRET_KEY_PREVIOUS")
    newest, before = (secret(environ, name) for name in names)
    for name, key in zip(names, (newest, before), strict=True):
        if key and len(key) < SHORTEST_KEY:
            raise ConfigurationError(f"{name}: expected at least {SHORTEST_KEY} characters")
    if before and not newest:
        raise ConfigurationError(f"{names[1]} is set but {names[0]} is not")
    return tuple(key for key in (newest, before) if key)


def _path_secret(environ: Mapping[str, str], name: str) -> str:
    value = secret(environ, name)
    if value and not _IN_A_PATH.fullmatch(value):
        raise ConfigurationError(f"{name}: expected {SHORTEST_KEY} or more letters, digits, - and _")
    return value


def _server(environ: Mapping[str, str], name: str) -> str:
    if not (value := secret(environ, name)):
        return ""
    from worker.store import check_url  # only what has a store waits for its client to be imported

    check_url(value, name)
    return value


def _check_apart(redis_url: str, broker_url: str) -> None:
    """The queue's upkeep walks through every key of its database, and nobody else is served meanwhile."""
    if not broker_url:
        return
    from worker.store import same_database

    if same_database(redis_url, broker_url):
        raise ConfigurationError(
            "REDIS_URL and BROKER_URL name the same database: give the queue another one or another server, "
            "or leave BROKER_URL out"
        )


def _public_url(value: str) -> str:
    """Paths are appended to it, so nothing may follow its own path."""
    if not value:
        return ""
    url = urlsplit(http_url(value, "PUBLIC_URL"))
    if url.query or url.fragment:
        raise ConfigurationError("PUBLIC_URL: expected a URL without ? and #")
    return value.rstrip("/")
