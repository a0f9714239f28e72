"""The same promises under TLS, as the providers are really called, with a certificate made for the test."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from channels.base import Accepted, ChannelError, Unavailable, Uncertain
from tests.certificate import write_certificate
from tests.channels.peers import SOON, peer, read_request, trickle
from tests.channels.samples import EMAIL, SMS, twilio
from tests.channels.test_smtp_email import WELL, smtp

CREATED = b'HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n{"sid": "SM1"}'


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS, whose certificate OpenSSL is told to trust, as an operator would tell it."""
    write_certificate(tmp_path / "pair.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pair.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "pair.pem")
    return context


@contextmanager
def secured(connection: socket.socket, context: ssl.SSLContext) -> Iterator[socket.socket]:
    """The connection under TLS."""
    with context.wrap_socket(connection, server_side=True) as secure:
        yield secure


def test_a_connection_under_tls_is_verified_and_kept_alive(tls: ssl.SSLContext) -> None:
    """Two messages, one handshake."""
    handshakes: list[int] = []

    def behave(connection: socket.socket) -> None:
        with secured(connection, tls) as secure:
            handshakes.append(1)
            for _ in range(2):
                read_request(secure)
                secure.sendall(CREATED)

    with peer(behave) as port:
        channel = twilio("twilio_sms", f"https://127.0.0.1:{port}", connect_timeout=2)
        assert [channel.send(SMS), channel.send(SMS)] == [Accepted("SM1")] * 2
    assert handshakes == [1]


def test_a_certificate_for_another_name_was_not_sent_to(tls: ssl.SSLContext) -> None:
    """Whoever cannot prove to be the provider gets no request."""

    def behave(connection: socket.socket) -> None:
        with secured(connection, tls):
            pass

    with peer(behave) as port, pytest.raises(Unavailable) as caught:
        twilio("twilio_sms", f"https://localhost:{port}", connect_timeout=2).send(SMS)
    assert (caught.value.why, caught.value.code) == ("down", "SSLCertVerificationError")


def test_a_trickling_answer_under_tls_ends_at_the_bound(tls: ssl.SSLContext) -> None:
    """A byte now and then restarts no clock under TLS either."""

    def behave(connection: socket.socket) -> None:
        with secured(connection, tls) as secure:
            trickle(secure)

    with peer(behave) as port:
        started = time.monotonic()
        with pytest.raises(Uncertain):
            twilio("twilio_sms", f"https://127.0.0.1:{port}").send(SMS)
        assert time.monotonic() - started < SOON


@pytest.mark.parametrize("scheme", ["smtps://127.0.0.1:{port}", "smtp://127.0.0.1:{port}?starttls=1"])
def test_email_travels_under_tls(tls: ssl.SSLContext, scheme: str) -> None:
    """From the first byte, or by STARTTLS: either way the server proves its name, and takes the message."""

    def converse(secure: socket.socket) -> None:
        with secure.makefile("rb") as lines:
            for line in lines:
                verb = line[:4].decode().upper()
                secure.sendall(WELL.get(verb, "221 bye").encode() + b"\r\n")
                if verb == "DATA":
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    secure.sendall(WELL["body"].encode() + b"\r\n")

    def behave(connection: socket.socket) -> None:
        if "starttls" in scheme:
            connection.sendall(b"220 ready\r\n")
            connection.recv(1000)
            connection.sendall(b"250-hello\r\n250 STARTTLS\r\n")
            connection.recv(1000)
            connection.sendall(b"220 go\r\n")
        with secured(connection, tls) as secure:
            if "starttls" not in scheme:
                secure.sendall(b"220 ready\r\n")
            converse(secure)

    with peer(behave) as port:
        channel = smtp(scheme.format(port=port), connect_timeout=2, read_timeout=2)
        assert channel.send(EMAIL) == Accepted("4Xyz12")
        with pytest.raises(ChannelError):
            smtp(scheme.format(port=port).replace("127.0.0.1", "localhost")).send(EMAIL)
