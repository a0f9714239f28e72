"""One SMTP conversation of which every step ends at the deadline, and which knows whether the body has begun."""

import io
import re
import smtplib
import socket
import ssl
from contextlib import suppress
from typing import Any

from channels.deadline import Deadline, Reader, dial, send_all

#: Seconds that a farewell may take; the message is accepted or not by then.
FAREWELL = 1.0


class Session(smtplib.SMTP):
    """Times are in seconds; the whole conversation takes no more than `connect` + `read` + `FAREWELL`."""

    def __init__(self, hello: str, context: ssl.SSLContext, connect: float, read: float) -> None:
        self._connecting = Deadline(connect)
        self._whole = Deadline(connect + read)
        self._context = context
        self._implicit_tls = False
        self.body_begun = False
        super().__init__(local_hostname=hello)

    def open(self, host: str, port: int, tls: bool) -> tuple[int, bytes]:
        """Connect and read the greeting. Raises OSError or SMTPException."""
        self._implicit_tls = tls
        self._host = host  # what STARTTLS checks the certificate against
        return self.connect(host, port)

    def body(self, content: bytes) -> tuple[int, bytes]:
        """Write the message (lines end in CRLF) and its final dot; returns the server's verdict."""
        self.body_begun = True
        dotted = re.sub(rb"(?m)^\.", b"..", content)
        self.send((dotted if dotted.endswith(b"\r\n") else dotted + b"\r\n") + b".\r\n")
        return self.getreply()

    def leave(self) -> None:
        """Say goodbye, shortly, and hang up. Raises nothing."""
        self._whole = Deadline(FAREWELL)
        with suppress(OSError, smtplib.SMTPException):
            if self.sock is not None:
                self.docmd("QUIT")
        self.close()

    def send(self, s: Any) -> None:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        send_all(self.sock, s.encode(self.command_encoding) if isinstance(s, str) else s, self._whole)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            raw = self.sock.makefile("rb", buffering=0)
            self.file = io.BufferedReader(Reader(self.sock, raw, self._whole))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        sock = dial(host, port, self._connecting)
        sock.settimeout(self._connecting.left())
        return self._context.wrap_socket(sock, server_hostname=host) if self._implicit_tls else sock
