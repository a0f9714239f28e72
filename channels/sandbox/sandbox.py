"""The three servers together, in this process or as a program of their own."""

import json
import signal
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from channels.sandbox.clock import Clock
from channels.sandbox.contracts import Contracts
from channels.sandbox.control import Controls
from channels.sandbox.email_activity import EmailActivity
from channels.sandbox.event_webhook import EventWebhook
from channels.sandbox.faults import Fault, Faults, load_faults
from channels.sandbox.http_host import Desk, HttpHost
from channels.sandbox.journal import Entry, Journal
from channels.sandbox.listings import Listing, Listings, load_listings
from channels.sandbox.outside import Doors, Outside
from channels.sandbox.people import Heard, Mail, People, Sms
from channels.sandbox.reactions import Reaction, Reactions, load_reactions
from channels.sandbox.sendgrid import SendGrid
from channels.sandbox.smtp_host import SmtpHost
from channels.sandbox.twilio import Twilio

Host = TypeVar("Host", HttpHost, SmtpHost)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The only credentials to let in, provider by provider; None lets any in (and SMTP then asks for none).

    `twilio` is account sid and auth token, `sendgrid` an API key, `smtp` user and password.
    """

    twilio: tuple[str, str] | None = None
    sendgrid: str | None = None
    smtp: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """Where to listen; 0 means any free port."""

    twilio: int = 0
    sendgrid: int = 0
    smtp: int = 0


class Sandbox:
    """Servers that speak like Twilio, SendGrid and an SMTP host, on 127.0.0.1, from construction to `close`.

    `log` is a file to append JSON lines to; `validate` a folder with the providers' OpenAPI files, against which every
    request is then held; `tls` turns the HTTP URLs into https and has SMTP offer STARTTLS; `latency` is in seconds.
    `doors` are where events and answers are posted; receipts of SMS and calls go where each request says.
    `seed` decides which messages an order's `share` picks; `clock_offset` is how many seconds the providers' clock is
    ahead; with `email_activity` the SendGrid account has that add-on.
    Raises `OSError` when a port is taken or a file cannot be opened.
    """

    def __init__(
        self,
        log: Path | None = None,
        validate: Path | None = None,
        tls: ssl.SSLContext | None = None,
        latency: float = 0.0,
        *,
        faults: Sequence[Fault] = (),
        reactions: Sequence[Reaction] = (),
        listings: Sequence[Listing] = (),
        doors: Doors | None = None,
        credentials: Credentials | None = None,
        ports: Ports | None = None,
        seed: int = 0,
        clock_offset: float = 0.0,
        email_activity: bool = False,
    ) -> None:
        known, at = credentials or Credentials(), ports or Ports()
        contracts = Contracts(validate) if validate else None
        self._faults = Faults(faults, seed)
        follows, lags = Reactions(reactions, seed), Listings(listings, seed)
        with ExitStack() as stack:
            self._journal = Journal(log)
            stack.callback(self._journal.close)
            self._outside = Outside(self._journal, follows, doors or Doors(), lags, Clock(clock_offset))
            stack.callback(self._outside.background.close)
            outside, twilios = self._outside, Twilio(self._outside, known.twilio)
            self._events, self._people = EventWebhook(outside), People(outside, twilios.account_of)
            sendgrids = SendGrid(outside, self._events, EmailActivity(outside, open=email_activity), known.sendgrid)
            controls = Controls(outside, self._faults, self._events, self._people)
            desk = Desk(outside, controls, latency, contracts)
            twilio = _opened(stack, HttpHost(twilios, desk, at.twilio, tls))
            sendgrid = _opened(stack, HttpHost(sendgrids, desk, at.sendgrid, tls))
            smtp = _opened(stack, SmtpHost(desk, at.smtp, tls, known.smtp))
            stack.callback(self._outside.closing.set)
            self._stack = stack.pop_all()
        self.twilio_url, self.sendgrid_url, self.smtp_url = twilio.url, sendgrid.url, smtp.url

    @property
    def urls(self) -> dict[str, str]:
        """The three URLs by provider."""
        return {"twilio": self.twilio_url, "sendgrid": self.sendgrid_url, "smtp": self.smtp_url}

    def accepted(self) -> list[Entry]:
        """What was accepted so far, oldest first, as the log has it."""
        return self._journal.accepted()

    def fault(self, fault: Fault) -> None:
        """Order a fault, after those already ordered."""
        self._faults.order(fault)

    def react(self, reaction: Reaction) -> None:
        """Order what becomes of messages from now on, after the reactions already ordered."""
        self._outside.reactions.order(reaction)

    def list_late(self, listing: Listing) -> None:
        """Have what is accepted from now on appear in lists only later, after the orders already given."""
        self._outside.listings.order(listing)

    def report_to(self, doors: Doors) -> None:
        """Post events and answers there from now on."""
        self._outside.doors = doors

    @property
    def public_key(self) -> str:
        """What verifies the batches of events, as SendGrid shows it."""
        return self._events.public_key

    def sms_from(self, sender: str, body: str, **more: Any) -> Heard:
        """Have a person write an SMS, and wait for the answer; `more` are the other fields of `Sms`.

        Raises `LookupError` where there is no door, nobody to answer, or no token to sign with.
        """
        return self._people.sms(Sms(sender=sender, body=body, **more))

    def mail_from(self, sender: str, text: str, **more: Any) -> Heard:
        """Have a person answer an email, and wait until it is taken; `more` are the other fields of `Mail`.

        Raises `LookupError` where there is no door, or no email to answer and no `to`.
        """
        return self._people.mail(Mail(sender=sender, text=text, **more))

    def clear(self) -> None:
        """Forget the ordered faults, reactions and late lists. What was accepted stays, and appears when it was to."""
        self._faults.clear()
        self._outside.reactions.clear()
        self._outside.listings.clear()

    def close(self) -> None:
        """Stop all servers, cut their connections, wait for their threads; may be called again."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened(stack: ExitStack, host: Host) -> Host:
    stack.callback(host.close)
    return host


def serve(
    *,
    log: Path | None = None,
    validate: Path | None = None,
    faults: Path | None = None,
    reactions: Path | None = None,
    listings: Path | None = None,
    doors: Doors | None = None,
    latency: float = 0.0,
    ports: Ports | None = None,
    seed: int = 0,
    clock_offset: float = 0.0,
    email_activity: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; print one JSON line with the URLs when ready. For the main thread only.

    `faults`, `reactions` and `listings` are JSON or YAML files. Raises what `Sandbox` and their loaders raise.
    """
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    sandbox = Sandbox(
        log,
        validate,
        latency=latency,
        faults=load_faults(faults) if faults else [],
        reactions=load_reactions(reactions) if reactions else [],
        listings=load_listings(listings) if listings else [],
        doors=doors,
        ports=ports,
        seed=seed,
        clock_offset=clock_offset,
        email_activity=email_activity,
    )
    with sandbox:
        sys.stdout.write(json.dumps(sandbox.urls) + "\n")
        sys.stdout.flush()
        stopped.wait()
