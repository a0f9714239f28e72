"""The plumbing that Twilio's channels share: the SDK's client, on our own bounded connections."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.util import make_headers

from channels.base import Accepted, ChannelError, Sought, Unavailable, Uncertain
from channels.http import Http, retry_after
from channels.settings import TwilioSettings, base_url, belongs_to, demand
from channels.twilio_errors import meaning

T = TypeVar("T")

OWN_URL = "https://api.twilio.com"
#: How far back a list is read: the newest so many to one number are more than a debtor ever gets in a day.
LISTED = 200
#: A resource may bear a time so much before ours, the provider's clock being known to a second at best.
CLOCK_SLACK = timedelta(seconds=60)
#: Our clock may have been wrong by so much when a call began, and been set right since, or another host's may be asked
#: by: one that took its time from a battery is off by the hours of a zone until it is told better.
WRONG_CLOCK = timedelta(days=1)


class Transport(HttpClient):  # type: ignore[misc]  # the SDK has no types
    """Carries the SDK's requests over our pool: each bounded and made once, all products on one base URL.

    `base` replaces the scheme and host of every request; empty leaves the provider's own. The SDK's exceptions bear
    no headers, so `retry_after` keeps what the last answer on this thread asked for.
    """

    def __init__(self, http: Http, base: str = "") -> None:
        super().__init__(logging.getLogger("twilio.http_client"), is_async=False)
        self._http = http
        self._base = base
        self._last = threading.local()

    @property
    def retry_after(self) -> timedelta | None:
        return getattr(self._last, "retry_after", None)

    @property
    def ahead(self) -> timedelta:
        """By how much the provider's clock was ahead of ours when it last answered on this thread."""
        return getattr(self._last, "ahead", timedelta())

    def request(
        self,
        method: str,
        uri: str,
        *,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One HTTP exchange. `timeout` and `allow_redirects` are not ours to vary. Raises as `Http.request` does."""
        body = urlencode(data, doseq=True).encode() if data else None
        answer = self._http.request(method, self._url(uri, params), body, _headers(headers, auth))
        self._last.retry_after = retry_after(answer.headers)
        self._last.ahead = _ahead(answer.headers.get("Date", ""))
        return Response(answer.status, answer.text, answer.headers)

    def _url(self, uri: str, params: Mapping[str, object] | None) -> str:
        url = urlsplit(uri)
        query = "&".join(part for part in (url.query, urlencode(params or {}, doseq=True)) if part)
        rest = urlunsplit(("", "", url.path, query, ""))
        return (self._base or f"{url.scheme}://{url.netloc}") + rest


def _ahead(date: str) -> timedelta:
    try:
        return parsedate_to_datetime(date) - datetime.now(UTC)
    except (ValueError, TypeError):
        return timedelta()


def _headers(headers: Mapping[str, str] | None, auth: tuple[str, str] | None) -> dict[str, str]:
    credentials = make_headers(basic_auth=":".join(auth)) if auth else {}
    return {**(headers or {}), **credentials}


class _Created(Protocol):
    @property
    def sid(self) -> str | None: ...


class Listed(_Created, Protocol):
    """A message or a call in a list, newest first; Twilio tells nothing of the URLs it was given."""

    date_created: datetime | None
    status: Any


class Account:
    """A Twilio account, or a sandbox that speaks like it. Shared by threads; `client` is the SDK's own.

    Raises ConfigurationError when a credential is missing or the base URL is malformed.
    """

    def __init__(self, settings: TwilioSettings, environ: Mapping[str, str]) -> None:
        url = base_url(environ, settings.base_url_env, OWN_URL)
        self.real = belongs_to(url, OWN_URL)
        self.bound = settings.bound
        self.reach = timedelta(days=settings.list_days)
        self._transport = Transport(
            Http(settings.connect_timeout, settings.read_timeout), base="" if url == OWN_URL else url
        )
        self.client = Client(
            demand(environ, settings.account_sid_env),
            demand(environ, settings.auth_token_env),
            http_client=self._transport,
            environment={"_": ""},  # an empty one is falsy, and the SDK then reads region and edge from the process
        )

    def create(self, ask: Callable[[Client], _Created]) -> Accepted:
        """Make the one call that creates a message or a call, and translate whatever comes of it."""
        try:
            return Accepted(_sid(ask(self.client)))
        except ChannelError:
            raise
        except (TwilioRestException, TwilioServiceException) as error:
            raise meaning(error.status, _code(error.code), self._transport.retry_after) from None
        except Exception as error:  # an answer of success that cannot be read is one that may have been sent
            raise Uncertain(type(error).__name__, "the provider's answer cannot be read") from None

    def listed(self, ask: Callable[[Client], Sequence[Listed]], sought: Sought) -> list[Listed]:
        """What that call may have created, were our clock wrong when it began, the oldest first.

        Raises Unavailable where the list cannot be read.
        """
        found = self._ask(ask)
        unknown = [each for each in reversed(found) if each.sid not in sought.known]
        return [each for each in unknown if self._between(each, sought, WRONG_CLOCK)]

    def in_time(self, each: Listed, sought: Sought) -> bool:
        """Was it created when that call was made, our clock having been right?"""
        return self._between(each, sought, CLOCK_SLACK)

    def _between(self, each: Listed, sought: Sought, slack: timedelta) -> bool:
        """By the provider's clock, as it was ahead of ours when the list was read. A later try counts at any time."""
        if each.date_created is None:
            return False
        after = each.date_created - self._transport.ahead - sought.begun
        return after >= -slack and (sought.any_try or after <= timedelta(seconds=sought.bound) + slack)

    def cancelled(self, update: Callable[[Client], "Listed"], fetch: Callable[[Client], "Listed"]) -> bool:
        """Ask for it, and read from the answer whether it is: a call under way is left alone, with a 200.

        A refusal may be that of a second asking, the first one's answer having been lost: so look. Raises Unavailable
        where it could not be asked.
        """
        try:
            return str(update(self.client).status) == "canceled"
        except TwilioRestException as error:
            if error.status != 400:
                raise _unread(error, self._transport.retry_after) from None
        except Exception as error:
            raise _unread(error, self._transport.retry_after) from None
        return str(self._ask(fetch).status) == "canceled"

    def _ask(self, ask: Callable[[Client], T]) -> T:
        try:
            return ask(self.client)
        except Exception as error:  # the SDK raises in many ways, and none of them is an answer
            raise _unread(error, self._transport.retry_after) from None


def _unread(error: Exception, wait: timedelta | None) -> Unavailable:
    """To read a list, or to cancel, can be tried again however it failed."""
    if isinstance(error, ChannelError):
        return Unavailable("down", error.code, "the provider could not be asked")
    listed = error.args[1] if len(error.args) > 1 else None  # how the SDK says that a page could not be had
    status = getattr(error, "status", None) or getattr(listed, "status_code", None)
    code = str(getattr(error, "code", None) or status or type(error).__name__)
    return Unavailable(
        "account" if status in (401, 403) else "down", code, "the provider could not be asked", retry_after=wait
    )


def _sid(created: _Created) -> str:
    if not created.sid:
        raise ValueError("an answer of success without an id")
    return created.sid


def _code(code: Any) -> int | None:
    """Twilio's code as a number; the SDK hands over whatever the answer held."""
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else None
