"""An SMTP host whose replies can be late, missing or wrong, to order."""

import asyncio
import secrets
import ssl
import threading
from email import message_from_bytes, policy
from typing import Any, AnyStr, cast

from aiosmtpd.smtp import SMTP, AuthResult

from channels.sandbox.faults import Fault
from channels.sandbox.http_host import HOST, Desk
from channels.sandbox.journal import Exchange, Message

#: What SMTP says where HTTP would answer with a status.
AT_RCPT = {
    "429": "450 4.7.1 Too many messages, try again later",
    "503": "421 4.3.2 Service not available, closing transmission channel",
    "refuse": "550 5.1.1 Recipient address rejected: user unknown",
}
FAILED = "451 4.3.0 Local error in processing"


class SmtpHost:
    """An SMTP server on 127.0.0.1 until `close`. Port 0 means any free one; with `tls` it offers STARTTLS."""

    def __init__(
        self,
        desk: Desk,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._talks: set[_Conversation] = set()
        rules = _Rules(desk, credentials)
        listening = self._loop.create_server(lambda: _Conversation(rules, self._talks, self._loop, tls), HOST, port)
        try:
            self._server = self._loop.run_until_complete(listening)
        except OSError:
            self._loop.close()
            raise
        self.url = f"smtp://{HOST}:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, cut every connection, and wait for the thread."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cut(self) -> None:
        for listener in self._server.sockets:  # closing now would leak what is only just being accepted
            self._loop.remove_reader(listener.fileno())
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for talk in tuple(self._talks):
                talk.cut()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._server.close()
        await self._server.wait_closed()


class _Conversation(SMTP):
    """One connection, and the transaction it is in."""

    def __init__(
        self, rules: "_Rules", talks: "set[_Conversation]", loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None
    ) -> None:
        self._talks = talks
        self.exchange: Exchange | None = None
        self.fault: Fault | None = None
        self.final = self.over = False
        super().__init__(
            rules,
            hostname="localhost",
            ident="sandbox",
            enable_SMTPUTF8=True,
            tls_context=tls,
            auth_require_tls=False,
            authenticator=rules.login,
            loop=loop,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._talks.add(self)
        self._wire = cast(asyncio.Transport, transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._talks.discard(self)
        self.forget("disconnected")
        super().connection_lost(error)

    async def push(self, status: AnyStr) -> None:
        """Send a reply; a final one ends the request, and 421 the connection."""
        await super().push(status)
        if self.final and self.exchange is not None:
            self.exchange.answered(int(status[:3]))
            self.final, self.over = False, True
        if isinstance(status, str) and status.startswith("421"):
            self._wire.close()

    def begin(self, exchange: Exchange) -> None:
        self.forget("abandoned")
        self.exchange, self.fault, self.final, self.over = exchange, None, False, False

    def forget(self, why: str) -> None:
        if self.exchange is not None and not self.over:
            self.exchange.dropped(why)
        self.over = True

    def cut(self) -> None:
        """Drop the connection; its handler ends by that."""
        self._wire.abort()

    async def vanish(self, why: str) -> str:
        """Close without a reply. Never returns: losing the connection cancels the handler."""
        self.forget(why)
        self._wire.close()
        await asyncio.get_running_loop().create_future()
        return FAILED


class _Rules:
    """The hooks aiosmtpd calls, each returning the reply."""

    def __init__(self, desk: Desk, credentials: tuple[str, str] | None) -> None:
        self._desk, self._credentials = desk, credentials

    def login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        pair = (given.login.decode(), given.password.decode())
        return AuthResult(success=self._credentials in (None, pair), handled=False)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds its hooks by these names
        self, server: _Conversation, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self._credentials is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        server.begin(self._desk.journal.open("smtp", "email"))
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds its hooks by these names
        self, server: _Conversation, _session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        fault = self._desk.controls.faults.on_send("email", address)
        if fault is not None and fault.kind in AT_RCPT:
            if server.exchange is not None:
                server.exchange.failed(address, "", fault)
            server.final = not envelope.rcpt_tos  # a transaction another recipient keeps alive is not over
            return AT_RCPT[fault.kind]
        server.fault, server.over = fault or server.fault, False  # a good recipient revives what a refusal ended
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: _Conversation, _session: Any, envelope: Any) -> str:  # noqa: N802
        fault, queue_id = server.fault, secrets.token_hex(6).upper()
        if server.exchange is not None:
            for message in _messages(queue_id, envelope):
                server.exchange.decide(message, fault)
        if fault is not None and fault.silent:
            await _hang(fault)
            return await server.vanish(fault.kind)
        await asyncio.sleep(self._desk.latency + (fault.delay if fault else 0.0))
        server.final = True
        return f"250 2.0.0 Ok: queued as {queue_id}" if fault is None or fault.kind == "late" else FAILED

    async def handle_exception(self, error: Exception) -> str:
        return f"{FAILED}: {type(error).__name__}"


async def _hang(fault: Fault) -> None:
    if fault.kind == "hang":  # losing the connection cancels the wait
        await asyncio.sleep(fault.seconds or 86_400)


def _messages(queue_id: str, envelope: Any) -> list[Message]:
    mail = message_from_bytes(envelope.content, policy=policy.default)
    part = mail.get_body(("plain",))
    text = part.get_content() if part else ""
    fields = {"attempt": "X-Relance-Attempt", "subject": "Subject", "message_id": "Message-ID", "reply_to": "Reply-To"}
    known = {field: str(mail.get(name, "")) for field, name in fields.items()}
    headers = {name: str(value) for name, value in mail.items()}
    sender = envelope.mail_from
    return [
        Message(channel="email", id=queue_id, to=to, sender=sender, text=text, headers=headers, **known)
        for to in envelope.rcpt_tos
    ]
