"""Every way in which the contract file says that a client's connection can break, broken for real."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from channels.base import Channel, ChannelError, Unavailable, Uncertain
from tests.channels import peers
from tests.channels.peers import closed_port, peer
from tests.channels.samples import EMAIL, SMS, contract, sendgrid, twilio
from tests.channels.test_smtp_email import script, smtp

ROWS: dict[str, list[str]] = contract("provider_errors.json")["client_exceptions"]
Situation = Callable[[], ChannelError]


def failing(channel: Channel) -> ChannelError:
    """The error that a send ends in."""
    with pytest.raises(ChannelError) as caught:
        channel.send(SMS if type(channel).__name__ == "TwilioSms" else EMAIL)
    return caught.value


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose queue of connections is full, so that the next one is not even taken."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def unheard(make: Callable[[str], Channel]) -> ChannelError:
    """The connection is never taken."""
    with deaf() as port:
        return failing(make(f"http://127.0.0.1:{port}"))


def refused(make: Callable[[str], Channel]) -> ChannelError:
    """Nobody listens."""
    return failing(make(f"http://127.0.0.1:{closed_port()}"))


def nowhere(make: Callable[[str], Channel]) -> ChannelError:
    """No such host."""
    return failing(make("http://nowhere.invalid"))


def without_tls(make: Callable[[str], Channel]) -> ChannelError:
    """TLS is asked of a server that speaks none."""
    with peer(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        return failing(make(f"https://127.0.0.1:{port}"))


def against(behave: Callable[[socket.socket], None], make: Callable[[str], Channel]) -> ChannelError:
    """A server that takes the request and then breaks."""
    with peer(behave) as port:
        return failing(make(f"http://127.0.0.1:{port}"))


def in_phase(phase: str) -> ChannelError:
    """An SMTP server that hangs up."""
    with peer(script({phase: None})) as port:
        return failing(smtp(f"smtp://127.0.0.1:{port}"))


SMS_BY = partial(twilio, "twilio_sms")
NEVER_SENT: list[list[Situation]] = [
    [partial(unheard, SMS_BY)],
    [partial(break_, SMS_BY) for break_ in (refused, nowhere, without_tls)],
    [partial(break_, sendgrid) for break_ in (refused, nowhere, without_tls)],
    [partial(in_phase, phase) for phase in ("banner", "EHLO", "MAIL", "RCPT", "DATA")],
]
AMBIGUOUS: list[list[Situation]] = [
    [partial(against, peers.hang, SMS_BY)],
    [partial(against, behave, SMS_BY) for behave in (peers.drop, peers.reset)],
    [partial(against, behave, SMS_BY) for behave in (peers.cut, peers.garble)],
    [partial(against, behave, sendgrid) for behave in (peers.hang, peers.drop, peers.cut)],
    [partial(against, peers.reset, sendgrid)],
    [partial(in_phase, "body")],
    # A process that dies writes nothing down; its attempt's lease says "uncertain" for it.
    [],
]


@pytest.mark.parametrize(("row", "situations"), list(zip(ROWS["never-sent (safe to retry)"], NEVER_SENT, strict=True)))
def test_what_was_never_sent_is_unavailable(row: str, situations: list[Situation]) -> None:
    """Each row of the contract's never-sent list may be tried again."""
    errors = [situation() for situation in situations]
    assert all(isinstance(error, Unavailable) and error.why == "down" for error in errors), row


@pytest.mark.parametrize(("row", "situations"), list(zip(ROWS["ambiguous"], AMBIGUOUS, strict=True)))
def test_what_is_ambiguous_is_uncertain(row: str, situations: list[Situation]) -> None:
    """Each row of the contract's ambiguous list is never tried again blindly."""
    errors = [situation() for situation in situations]
    assert all(isinstance(error, Uncertain) for error in errors), row
