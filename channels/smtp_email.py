"""Email over SMTP, one command at a time, so that it is always known whether the body had begun to leave."""

import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from channels.base import Accepted, ChannelError, ConfigurationError, Message
from channels.mime import compose, mailbox, message_id
from channels.outcome import Word, failure
from channels.settings import TimedSettings, Variable, demand, is_loopback
from channels.smtp_session import Session

Phase = Literal["greeting", "sender", "recipient", "data", "body"]

#: What a 5xx means, by what it answers; a 4xx means "not now" everywhere, the answer to the body included.
REFUSED: dict[Phase, tuple[Word, str]] = {
    "greeting": ("account", "the server does not serve us"),
    "sender": ("account", "the sender is refused"),
    "recipient": ("address", "the recipient is refused"),
    "data": ("content", "the message is refused"),
    "body": ("content", "the message is refused"),
}
# What an RFC 3463 status says of a refused recipient: 5.7.x is about permission (a relay that does not know us refuses
# every recipient, and none of them is bad), 5.1.7 and 5.1.8 are about the sender.
_SENDER = (b"5.1.7", b"5.1.8")
_ENHANCED = re.compile(rb"\s*(5\.\d{1,3}\.\d{1,3})(?!\d)")
_BLOCKED = re.compile(rb"block|black ?list|dnsbl|\brbl\b|listed (?:at|by|in|on)\b|spamhaus|spamcop|reputation", re.I)
_MAILBOX = re.compile(rb"\S*@\S*")
_PORTS = {"smtps": 465, "starttls": 587, "plain": 25}


@dataclass(frozen=True, slots=True)
class Server:
    """Where to deliver: `tls` from the first byte, or by STARTTLS, or not at all."""

    host: str
    port: int
    tls: Literal["smtps", "starttls", "plain"]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def parse_url(value: str, source: str) -> Server:
    """`smtp://user:password@host:port?starttls=1` or `smtps://...`; user and password are percent-decoded.

    STARTTLS is required by default where a password would leave this machine. Raises ConfigurationError, which names
    `source` and never quotes the value.
    """
    try:
        url = urlsplit(value)
        host, port = url.hostname or "", url.port
        query = parse_qs(url.query, strict_parsing=bool(url.query))
        alone = not url.path.strip("/") and not url.fragment  # else a bare "/" or "#" has cut a password in two
        valid = url.scheme in ("smtp", "smtps") and host and alone and not (set(query) - {"starttls"})
    except ValueError:
        valid = False
    if not valid:
        raise ConfigurationError(f"{source}: expected smtp://user:password@host:port?starttls=1 or smtps://...")
    user, password = unquote(url.username or ""), unquote(url.password or "")
    wanted = query.get("starttls", ["1" if user and not is_loopback(host) else "0"])[0] == "1"
    tls: Literal["smtps", "starttls", "plain"] = "smtps" if url.scheme == "smtps" else "starttls" if wanted else "plain"
    return Server(host, port or _PORTS[tls], tls, user, password)


class SmtpEmail:
    """Hands an email to an SMTP server, a connection per message."""

    class Settings(TimedSettings):
        """`url_env` names the variable that holds the server's URL; `hello` is how we introduce this host."""

        url_env: Variable = "SMTP_URL"
        hello: str = ""
        read_timeout: float = 30.0

    channels: ClassVar[tuple[str, ...]] = ("email",)

    def __init__(self, server: Server, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self._hello = settings.hello or _own_name()
        self._tls = ssl.create_default_context()
        self.real = not is_loopback(server.host)
        self.bound = settings.bound

    @staticmethod
    def required(settings: Settings) -> list[str]:
        """The variables it cannot work without."""
        return [settings.url_env]

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "SmtpEmail":
        """Raises ConfigurationError for a missing or malformed URL."""
        return cls(parse_url(demand(environ, settings.url_env), settings.url_env), settings)

    def send(self, message: Message) -> Accepted:
        """Deliver; accepted under the server's queue id, or the Message-ID where it tells none."""
        content = compose(message)
        envelope = mailbox(message.sender, "content"), mailbox(message.to)
        session = Session(self._hello, self._tls, self._settings.connect_timeout, self._settings.read_timeout)
        try:
            reply = self._deliver(session, envelope, content)
        except ChannelError:
            raise
        except Exception as error:
            raise _broken(error, session.body_begun) from None
        finally:
            session.leave()
        return Accepted(_queue_id(reply) or message_id(message))

    def _deliver(self, session: Session, envelope: tuple[str, str], content: bytes) -> bytes:
        _expect(2, "greeting", session.open(self._server.host, self._server.port, self._server.tls == "smtps"))
        self._introduce(session)
        _expect(2, "sender", session.mail(envelope[0]))
        _expect(2, "recipient", session.rcpt(envelope[1]))
        _expect(3, "data", session.docmd("DATA"))
        return _expect(2, "body", session.body(content))

    def _introduce(self, session: Session) -> None:
        if self._server.tls == "starttls":
            session.ehlo_or_helo_if_needed()
            if not session.has_extn("starttls"):
                raise failure("account", "STARTTLS", "the server offers no TLS")
            _expect(2, "greeting", session.starttls(context=self._tls))
        session.ehlo_or_helo_if_needed()
        if self._server.user:
            session.login(self._server.user, self._server.password)


def _own_name() -> str:
    """This host's name if it is a full one; looking one up could wait for a name server for long."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def _expect(hundred: int, phase: Phase, reply: tuple[int, bytes]) -> bytes:
    code, text = reply
    if code // 100 != hundred:
        raise _refusal(phase, code, text)
    return text


def _refusal(phase: Phase, code: int, text: bytes) -> ChannelError:
    if code // 100 == 4:
        return failure("throttle" if code == 452 else "down", str(code), "not now")
    if code // 100 == 5:
        return failure(*_permanent(phase, code, text))
    word: Word = "uncertain" if phase == "body" else "down"
    return failure(word, str(code), "a reply that was not understood")


def _permanent(phase: Phase, code: int, text: bytes) -> tuple[Word, str, str]:
    word, title = _recipient(code, text) if phase == "recipient" else REFUSED[phase]
    return word, str(code), title


def _recipient(code: int, text: bytes) -> tuple[Word, str]:
    """Many 5xx to a recipient are about us or about today; an address is marked only where nothing says so."""
    found = _ENHANCED.match(text)
    status = found[1] if found else b""
    if status.startswith(b"5.7.") or status in _SENDER or code in (521, 530, 535, 538):
        return "account", "the server does not take mail from us"
    if status.startswith(b"5.2.") or (code == 552 and not status.startswith(b"5.1.")):
        return "down", "the mailbox takes nothing now"
    if not status.startswith(b"5.1.") and _BLOCKED.search(_MAILBOX.sub(b"", text)):
        return "account", "we are on a block list"
    return REFUSED["recipient"]


def _broken(error: Exception, begun: bool) -> ChannelError:
    code: Any = getattr(error, "smtp_code", None)
    if begun:
        return failure("uncertain", type(error).__name__, "the connection broke after the body had begun to leave")
    if isinstance(code, int) and code > 0:
        return _refusal("greeting", code, b"")
    if isinstance(error, smtplib.SMTPNotSupportedError) or type(error) is smtplib.SMTPException:
        return failure("account", type(error).__name__, "the server offers no way to log in")
    return failure("down", type(error).__name__, "the connection broke before the body")


def _queue_id(reply: bytes) -> str:
    found = re.search(rb"queued as ([A-Za-z0-9.-]{4,64})", reply)
    return found[1].decode() if found else ""
