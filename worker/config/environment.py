"""Where the servers are, as the environment says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from channels.base import ConfigurationError
from channels.settings import http_url, secret


@dataclass(frozen=True, slots=True)
class Environment:
    """`redis_url`: the store; `broker_url`: the queue's server, or empty for the store's next database.

    `public_url`: where providers and debtors reach our web doors, without a last slash. Empty texts mean "not set".
    """

    redis_url: str = ""
    broker_url: str = ""
    public_url: str = ""
    config: Path = Path("config")


def environment(environ: Mapping[str, str]) -> Environment:
    """What REDIS_URL, BROKER_URL, PUBLIC_URL and RELANCE_CONFIG say; each may be a file's content, as REDIS_URL_FILE.

    Raises channels.base.ConfigurationError for a file that cannot be read and for a PUBLIC_URL that is no address.
    """
    return Environment(
        redis_url=secret(environ, "REDIS_URL"),
        broker_url=secret(environ, "BROKER_URL"),
        public_url=_public_url(secret(environ, "PUBLIC_URL")),
        config=Path(secret(environ, "RELANCE_CONFIG") or "config"),
    )


def _public_url(value: str) -> str:
    """Paths are appended to it, so nothing may follow its own path."""
    if not value:
        return ""
    url = urlsplit(http_url(value, "PUBLIC_URL"))
    if url.query or url.fragment:
        raise ConfigurationError("PUBLIC_URL: expected a URL without ? and #")
    return value.rstrip("/")
