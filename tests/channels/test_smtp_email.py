"""SMTP, phase by phase: what the server says at each, and what is left when it hangs up at each."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from channels import registry
from channels.base import Accepted, Channel, ChannelError, ConfigurationError, Message, Rejected, Unavailable, Uncertain
from channels.smtp_email import parse_url
from tests.channels.peers import SOON, closed_port, drip, peer
from tests.channels.samples import EMAIL, ILLUSTRATED, PDF, PICTURE, PRIVATE

PHASES = ("banner", "EHLO", "MAIL", "RCPT", "DATA", "body")
WELL = {
    "banner": "220 ready",
    "EHLO": "250 hello",
    "MAIL": "250 ok",
    "RCPT": "250 ok",
    "DATA": "354 go",
    "body": "250 2.0.0 Ok: queued as 4Xyz12",
}


def smtp(url: str, **settings: Any) -> Channel:
    """An SMTP channel that calls `url`, impatiently unless told otherwise."""
    chosen = registry.settings_for("smtp_email", {"connect_timeout": 1.5, "read_timeout": 1.5} | settings)
    return registry.build("smtp_email", chosen, {"SMTP_URL": url})


def script(replies: dict[str, str | None]) -> Callable[[socket.socket], None]:
    """A server that says `replies` phase by phase; None hangs up there, "..." says nothing more, "~" trickles."""

    def say(connection: socket.socket, phase: str) -> None:
        reply = (WELL | replies)["EHLO" if phase == "HELO" else phase]
        if reply is None:
            raise ConnectionAbortedError
        if reply == "...":
            connection.recv(1)
        elif reply == "~":
            connection.sendall(b"250-")
            drip(connection)
        connection.sendall(f"{reply}\r\n".encode())

    def behave(connection: socket.socket) -> None:
        say(connection, "banner")
        with connection.makefile("rb") as lines:
            for line in lines:
                verb = line[:4].decode().upper()
                if verb == "QUIT":
                    connection.sendall(b"221 bye\r\n")
                    return
                say(connection, verb)
                if verb == "DATA" and (WELL | replies)["DATA"] == "354 go":
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    say(connection, "body")

    return behave


def refusal(replies: dict[str, str | None], message: Message = EMAIL) -> ChannelError:
    """The error that a server with these replies leads to."""
    with peer(script(replies)) as port, pytest.raises(ChannelError) as caught:
        smtp(f"smtp://127.0.0.1:{port}").send(message)
    assert not any(word.lower() in str(caught.value).lower() for word in PRIVATE), "a person's data in an error"
    return caught.value


@pytest.mark.parametrize(
    ("phase", "reply", "kind", "why"),
    [
        ("banner", "554 no service", Unavailable, "account"),
        ("banner", "421 busy", Unavailable, "down"),
        ("EHLO", "550 who are you", Unavailable, "account"),
        ("MAIL", "451 4.3.0 later", Unavailable, "down"),
        ("MAIL", "553 5.1.8 sender unknown", Unavailable, "account"),
        ("MAIL", "530 5.7.0 authenticate first", Unavailable, "account"),
        ("RCPT", "450 4.2.0 greylisted", Unavailable, "down"),
        ("RCPT", "452 4.5.3 too many", Unavailable, "throttle"),
        ("RCPT", f"550 5.1.1 <{EMAIL.to}> unknown", Rejected, "address"),
        ("RCPT", "550 no such user", Rejected, "address"),
        ("RCPT", "553 5.1.3 bad syntax", Rejected, "address"),
        ("RCPT", "550 5.1.1 unknown, or blocked", Rejected, "address"),
        ("RCPT", "550 <block@reputation.test> unknown", Rejected, "address"),
        ("RCPT", "552 5.1.1 unknown", Rejected, "address"),
        ("RCPT", "550 5.1.10 null MX", Rejected, "address"),
        ("RCPT", "552 mailbox full", Unavailable, "down"),
        ("RCPT", "552 5.2.2 mailbox full", Unavailable, "down"),
        ("RCPT", "550 5.2.2 mailbox full", Unavailable, "down"),
        ("RCPT", "554 5.7.1 relay access denied", Unavailable, "account"),
        ("RCPT", "552 5.7.1 not you", Unavailable, "account"),
        ("RCPT", "553 5.1.8 sender's domain", Unavailable, "account"),
        ("RCPT", "553 5.1.7 sender's syntax", Unavailable, "account"),
        ("RCPT", "550 blocked using list", Unavailable, "account"),
        ("RCPT", "554 Your host is listed at dnsbl.test", Unavailable, "account"),
        ("RCPT", "550 5.0.0 poor reputation", Unavailable, "account"),
        ("RCPT", "521 no mail from you", Unavailable, "account"),
        ("DATA", "451 later", Unavailable, "down"),
        ("DATA", "554 no", Rejected, "content"),
        ("body", "451 4.3.0 later", Unavailable, "down"),
        ("body", "452 4.3.1 no space", Unavailable, "throttle"),
        ("body", "554 5.7.1 spam", Rejected, "content"),
        ("body", "552 5.3.4 too big", Rejected, "content"),
        ("body", "354 go on", Uncertain, None),
    ],
)
def test_each_reply_means_what_its_phase_makes_of_it(
    phase: str, reply: str, kind: type[ChannelError], why: str | None
) -> None:
    """A refusal blames the account, the address or the content by where it is said; a 4xx means later everywhere."""
    error = refusal({phase: reply})
    assert (type(error), getattr(error, "why", None), error.code) == (kind, why, reply[:3])


@pytest.mark.parametrize("how", [None, "..."], ids=["hangs up", "falls silent"])
@pytest.mark.parametrize("phase", PHASES)
def test_what_breaks_before_the_body_was_not_sent_and_after_is_uncertain(phase: str, how: str | None) -> None:
    """The body's first byte is the border: a server that is lost before it has nothing, one lost after it may."""
    error = refusal({phase: how})
    if phase == "body":
        assert isinstance(error, Uncertain)
    else:
        assert (type(error), getattr(error, "why", None)) == (Unavailable, "down")


@pytest.mark.parametrize("phase", ["EHLO", "body"])
def test_a_trickling_reply_ends_at_the_bound(phase: str) -> None:
    """A byte now and then restarts no clock: the whole conversation ends within its bound."""
    started = time.monotonic()
    error = refusal({phase: "~"})
    assert time.monotonic() - started < SOON
    assert isinstance(error, Uncertain if phase == "body" else Unavailable)


def test_nobody_listening_is_unavailable() -> None:
    """Surely not sent."""
    with pytest.raises(Unavailable) as caught:
        smtp(f"smtp://127.0.0.1:{closed_port()}").send(EMAIL)
    assert (caught.value.why, caught.value.code) == ("down", "ConnectionRefusedError")


def test_accepted_under_the_servers_queue_id() -> None:
    """The queue id is what an operator greps for in the server's log."""
    with peer(script({})) as port:
        assert smtp(f"smtp://127.0.0.1:{port}").send(EMAIL) == Accepted("4Xyz12")


def test_a_farewell_that_hangs_changes_nothing() -> None:
    """Once the body is accepted the message is sent, however the server says goodbye."""

    def rude(connection: socket.socket) -> None:
        script({})(connection)
        time.sleep(0.1)

    with peer(rude) as port:
        assert smtp(f"smtp://127.0.0.1:{port}").send(EMAIL).provider_id == "4Xyz12"


class Mailbox:
    """Keeps what an aiosmtpd server receives."""

    def __init__(self) -> None:
        self.received: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 the library's name
        self.received.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 OK"

    def last(self) -> EmailMessage:
        """What came last, parsed."""
        return message_from_bytes(self.received[-1][2], policy=default)


def check_login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    """One user may log in, whose name and password need percent-encoding in a URL."""
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"u@ser", b"p:ss")
    return AuthResult(success=good, handled=False)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A real SMTP server and the port it listens on."""
    box = Mailbox()
    host = Controller(box, hostname="127.0.0.1", port=closed_port(), authenticator=check_login, auth_require_tls=False)
    host.start()
    yield box, host.port
    host.stop()


def test_the_email_arrives_as_it_was_written(mailbox: tuple[Mailbox, int]) -> None:
    """Accents, a line with one dot, both parts, the attachment's name, and every header come through unharmed."""
    box, port = mailbox
    smtp(f"smtp://127.0.0.1:{port}", read_timeout=5).send(replace(EMAIL, attachments=(PDF,)))
    sender, to, raw = box.received[0]
    assert (sender, to) == (EMAIL.sender, [EMAIL.to])
    assert max(len(line) for line in raw.splitlines()) < 998
    assert raw.isascii()
    mail = box.last()
    assert mail["Subject"] == EMAIL.subject
    assert (mail["From"].addresses[0].display_name, mail["To"].addresses[0].display_name) == (
        EMAIL.sender_name,
        EMAIL.to_name,
    )
    assert (mail["Reply-To"], mail["X-Relance-Attempt"]) == (EMAIL.reply_to, EMAIL.attempt)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == EMAIL.text + "\n"
    assert html.get_content().strip() == EMAIL.html
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type(), file.get_content()) == (
        PDF.filename,
        PDF.content_type,
        PDF.content,
    )


def test_a_picture_of_the_html_travels_beside_it(mailbox: tuple[Mailbox, int]) -> None:
    """Text or (HTML with its pictures), then files: the tree that every mail program shows as it was meant."""
    box, port = mailbox
    message = replace(ILLUSTRATED, attachments=(PICTURE, PDF, replace(PICTURE, content_id="other@relance")))
    smtp(f"smtp://127.0.0.1:{port}", read_timeout=5).send(message)
    mail = box.last()
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "image/png", "application/pdf",
    ]  # fmt: skip
    first, second = (part for part in mail.walk() if part.get_content_type() == "image/png")
    assert (first["Content-ID"], second["Content-ID"]) == (f"<{PICTURE.content_id}>", "<other@relance>")
    assert (first.get_content_disposition(), first.get_content()) == ("inline", PICTURE.content)
    assert [file.get_filename() for file in mail.iter_attachments()] == [PDF.filename]


def test_links_in_list_headers_stay_whole(mailbox: tuple[Mailbox, int]) -> None:
    """A link longer than a line is written as it is: encoded, no mail program would find it."""
    box, port = mailbox
    smtp(f"smtp://127.0.0.1:{port}", read_timeout=5).send(EMAIL)
    header = re.search(rb"List-Unsubscribe: ((?:.|\r\n )*)\r\n", box.received[0][2])
    assert header is not None
    assert header[1].replace(b"\r\n ", b" ").decode() == EMAIL.headers["List-Unsubscribe"]


def test_the_message_id_is_the_same_on_every_try(mailbox: tuple[Mailbox, int]) -> None:
    """Another attempt of a message bears the Message-ID of the first, so that a mailbox may drop the repeat."""
    box, port = mailbox
    channel = smtp(f"smtp://127.0.0.1:{port}", read_timeout=5)
    ids = []
    for message in (EMAIL, replace(EMAIL, attempt="atm_02"), replace(EMAIL, id="another")):
        channel.send(message)
        ids.append(box.last()["Message-ID"])
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@atelier.test>")


def test_it_logs_in_where_the_url_says_so(mailbox: tuple[Mailbox, int]) -> None:
    """User and password are percent-decoded; a refused password is the account's trouble."""
    box, port = mailbox
    smtp(f"smtp://u%40ser:p%3Ass@127.0.0.1:{port}", read_timeout=5).send(EMAIL)
    assert len(box.received) == 1
    with pytest.raises(Unavailable) as caught:
        smtp(f"smtp://u%40ser:wrong@127.0.0.1:{port}", read_timeout=5).send(EMAIL)
    assert (caught.value.why, caught.value.code) == ("account", "535")


def test_nothing_goes_out_in_clear_where_tls_was_asked_for(mailbox: tuple[Mailbox, int]) -> None:
    """A server that offers no STARTTLS gets neither password nor message."""
    box, port = mailbox
    with pytest.raises(Unavailable) as caught:
        smtp(f"smtp://127.0.0.1:{port}?starttls=1", read_timeout=5).send(EMAIL)
    assert (caught.value.why, caught.value.code, box.received) == ("account", "STARTTLS", [])


def test_tls_from_the_first_byte_is_verified(mailbox: tuple[Mailbox, int]) -> None:
    """A server that does not prove its name with TLS gets nothing."""
    box, port = mailbox
    with pytest.raises(Unavailable) as caught:
        smtp(f"smtps://127.0.0.1:{port}").send(EMAIL)
    assert (caught.value.why, caught.value.code, box.received) == ("down", ssl.SSLError.__name__, [])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"to": "claire@client.test>\r\nRCPT TO:<eve@else.test"}, "address"),
        ({"sender": "nobody"}, "content"),
        ({"subject": "Facture\r\nBcc: eve@else.test"}, "content"),
        ({"sender_name": "Atelier\nX: y"}, "content"),
        ({"headers": {"List-Unsubscribe": "<https://a.test>\r\nBcc: eve@else.test"}}, "content"),
        ({"headers": {"List-Unsubscribe": "<https://é.test>"}}, "content"),
        ({"text": "\ud800"}, "content"),
    ],
)
def test_what_would_break_out_of_its_place_is_refused_unsent(change: dict[str, Any], why: str) -> None:
    """Line breaks in names, subjects, addresses or headers never reach a server."""
    with pytest.raises(Rejected) as caught:
        smtp(f"smtp://127.0.0.1:{closed_port()}").send(replace(EMAIL, **change))
    assert caught.value.why == why


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://relay.atelier.test", 25, "plain"),
        ("smtp://u:p@relay.atelier.test", 587, "starttls"),
        ("smtp://u:p@relay.atelier.test?starttls=0", 25, "plain"),
        ("smtp://relay.atelier.test:2525?starttls=1", 2525, "starttls"),
        ("smtps://u:p@relay.atelier.test", 465, "smtps"),
        ("smtp://u:p@localhost", 25, "plain"),
    ],
)
def test_the_url_says_how_to_connect(url: str, port: int, tls: str) -> None:
    """A password leaves this machine under TLS unless the URL forbids it."""
    server = parse_url(url, "SMTP_URL")
    assert (server.port, server.tls) == (port, tls)


@pytest.mark.parametrize(
    "url",
    [
        "relay",
        "http://relay.test",
        "smtp://",
        "smtp://u:hunter2@h:x",
        "smtp://h?tls=1",
        "smtp://u:25/hunter2@h",
        "smtp://u:25#hunter2@h",
    ],
)
def test_a_url_that_cannot_work_is_refused_without_quoting_it(url: str) -> None:
    """The error names the variable; the URL may hold a password."""
    with pytest.raises(ConfigurationError, match="SMTP_URL") as caught:
        parse_url(url, "SMTP_URL")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("host", "real"), [("relay.atelier.test", True), ("127.0.0.1", False), ("localhost", False)])
def test_a_server_on_this_machine_is_a_sandbox(host: str, real: bool) -> None:
    """Only a server elsewhere is taken to reach real people."""
    assert smtp(f"smtp://{host}:2525").real is real
