"""`relance inbound-mail`: what a mail server hands over, one mail at a time."""

import sys
from typing import Annotated

import typer

#: sysexits.h's EX_TEMPFAIL: a mail server keeps the mail and tries again for days.
LATER = 75


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(inbound_mail)


def inbound_mail(
    to: Annotated[
        str, typer.Option(envvar="ORIGINAL_RECIPIENT", help="Who it came to, as the envelope says; else its headers.")
    ] = "",
) -> None:
    """Take a mail from standard input, from a mail server's pipe: a debtor's answer, or a bounce.

    Exits with 0 once it is taken, or is nothing to take; with 75 whenever that is not so, and the mail server tries
    again. Never with a code that would send it back: an answer to a bounce begins a loop.
    """
    from channels.base import ConfigurationError
    from channels.mail_in import Unreadable
    from worker.config import ConfigError

    try:
        said = _taken(_standard_input(), to)
    except Unreadable as error:
        said = f"dropped: {error}"
    except (ConfigError, ConfigurationError) as error:
        typer.echo(f"not now: {error}", err=True)
        raise typer.Exit(LATER) from None
    except Exception as error:  # whatever is wrong here, the mail is not the worse for it
        typer.echo(f"not now: {type(error).__name__}", err=True)
        raise typer.Exit(LATER) from None
    typer.echo(said)


def _taken(raw: bytes, to: str) -> str:
    from channels.base import Reply
    from channels.mail_in import read_mail
    from worker.cli.show import open_app
    from worker.inbox import hand_in_receipt, hand_in_reply

    found = read_mail(raw, recipients=[to] if to else [])
    if found is None:
        return "nothing to take: a report on no message of ours, or a read receipt"
    if isinstance(found, Reply):
        hand_in_reply(open_app(), found)
        return "taken: a reply"
    hand_in_receipt(open_app(), found)
    return f"taken: {found.what}, {found.attempt}"


def _standard_input() -> bytes:
    """As much as is looked at; the rest is read too, for a mail server takes a pipe that closes early for a failure."""
    from channels.mail_in import LOOKED_AT

    raw = sys.stdin.buffer.read(LOOKED_AT)
    while sys.stdin.buffer.read(1 << 20):
        pass
    return raw
