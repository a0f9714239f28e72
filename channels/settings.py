"""What the settings of all providers have in common: where secrets live, how long a call may take, what is a sandbox.

A provider's entry in the configuration never holds a secret; it names the environment variables that do.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from channels.base import ConfigurationError

#: Seconds by which a call may outlast its own timeouts: a name to look up, threads that wait for a processor.
SLACK = 2.0
#: Follows a URL that Twilio is to report to, so that it tries again whatever went wrong; by itself it hardly does.
AGAIN = "#rc=3&rp=all"
#: A pool of senders, where one name or number is expected. A name may begin with the same letters: "MG Motors".
MESSAGING_SERVICE = re.compile(r"MG[0-9a-f]{32}")


def _variable(name: str) -> str:
    """Whoever writes a secret where its variable's name belongs must not read it again in a message of ours."""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        raise ValueError("expected the name of an environment variable, in capitals, and not its value")
    return name


#: The name of the environment variable that holds something, or whose `_FILE` twin points to a file with it.
Variable = Annotated[str, AfterValidator(_variable)]


class ProviderSettings(BaseModel):
    """The root of every adapter's settings: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TimedSettings(ProviderSettings):
    """Settings of a provider that is called over the network. Times are in seconds.

    `read_timeout` is for everything after connecting: writing the request and reading the whole answer.
    """

    connect_timeout: float = Field(default=5.0, gt=0, le=60)
    read_timeout: float = Field(default=15.0, gt=0, le=120)

    @property
    def bound(self) -> float:
        """An upper bound of one call, in seconds."""
        return self.connect_timeout + self.read_timeout + SLACK


class TwilioSettings(TimedSettings):
    """What the two Twilio channels share: the variables that hold the account, its token, and another base URL.

    `list_days`: how many days back the account's lists of messages and calls reach. Twilio's own is 13 months, unless
    the account's settings say fewer, or its records are deleted.
    """

    account_sid_env: Variable = "TWILIO_ACCOUNT_SID"
    auth_token_env: Variable = "TWILIO_AUTH_TOKEN"  # noqa: S105 the name of a variable
    base_url_env: Variable = "TWILIO_BASE_URL"
    list_days: int = Field(default=390, ge=1, le=400)

    def required(self) -> list[str]:
        """The variables without which no call can be made."""
        return [self.account_sid_env, self.auth_token_env]


def secret(environ: Mapping[str, str], name: str) -> str:
    """The value of the variable `name`, or of the file that `<name>_FILE` points to; empty when neither is set.

    Spaces and line ends around it are left out. Raises ConfigurationError, which names the variable and quotes nothing:
    both are set, or the file cannot be read or is empty, or there is more than a line.
    """
    value, path = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if value and path:
        raise ConfigurationError(f"{name} and {name}_FILE are both set; expected one of them")
    source = f"{name}_FILE" if path else name
    found = _content(path, source) if path else value
    if not found.isprintable():
        raise ConfigurationError(f"{source}: expected one line of printable text")
    return found


def _content(path: str, source: str) -> str:
    try:
        content = Path(path).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        says = "there is no such file"
    except PermissionError:
        says = f"the file may not be read by user {os.geteuid()}"
    except (OSError, ValueError) as error:
        says = f"the file cannot be read ({type(error).__name__})"
    else:
        if content:
            return content
        says = "the file is empty"
    raise ConfigurationError(f"{source}: {says}")


def demand(environ: Mapping[str, str], name: str) -> str:
    """As `secret`, but raises ConfigurationError when there is no value."""
    value = secret(environ, name)
    if not value:
        raise ConfigurationError(f"{name} is not set (nor {name}_FILE)")
    return value


def is_loopback(host: str) -> bool:
    """Does this host name or address mean this very machine?"""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def http_url(value: str, source: str) -> str:
    """The URL `value` itself, once checked; `source` names the variable or setting it came from.

    Raises ConfigurationError, which never quotes the value: URLs may hold passwords.
    """
    try:
        url = urlsplit(value)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(f"{source}: expected a URL like https://host or http://host:port")
    return value


def base_url(environ: Mapping[str, str], name: str, own: str) -> str:
    """Where to call: the URL in the variable `name`, or `own`, the provider's.

    Raises ConfigurationError for a malformed URL, and for the provider's own host without TLS.
    """
    url = http_url(secret(environ, name) or own, name).rstrip("/")
    if belongs_to(url, own) and urlsplit(url).scheme != "https":
        raise ConfigurationError(f"{name}: the provider's own host must be called over https")
    return url


def belongs_to(url: str, own: str) -> bool:
    """Is `url` on the provider's own domain (`own` without its first label), whichever region?"""
    domain = (urlsplit(own).hostname or "").partition(".")[2]
    return (urlsplit(url).hostname or "").endswith(f".{domain}")
