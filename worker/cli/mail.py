"""`relance inbound-mail`: what a mail server hands over, one mail at a time."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from worker.app import App

#: sysexits.h's EX_TEMPFAIL: a mail server keeps the mail and tries again for days.
LATER = 75


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(inbound_mail)


def inbound_mail(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            "--recipient",
            envvar="ORIGINAL_RECIPIENT",
            help="Who it came to, as the envelope says; else its headers.",
        ),
    ] = "",
    mbox: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Take every mail of a mailbox file, instead.")
    ] = None,
) -> None:
    """Take a mail from standard input, from a mail server's pipe: a debtor's answer, or a bounce.

    Exits with 0 once it is taken, kept for a person, or nothing to take; with 75 whenever that is not so, and the mail
    server tries again. Never with a code that would send it back: an answer to a bounce begins a loop.
    """
    from channels.base import ConfigurationError
    from worker.cli.show import open_app
    from worker.config import ConfigError

    mails = _mails(mbox) if mbox else [_standard_input()]
    try:
        app = open_app()
        for raw in mails:
            typer.echo(_taken(app, raw, to))
    except (ConfigError, ConfigurationError) as error:
        typer.echo(f"not now: {error}", err=True)
        raise typer.Exit(LATER) from None
    except Exception as error:  # whatever is wrong here, the mail is not the worse for it
        typer.echo(f"not now: {type(error).__name__}", err=True)
        raise typer.Exit(LATER) from None


def _taken(app: "App", raw: bytes, to: str) -> str:
    from channels.base import Reply
    from channels.mail_in import Unreadable, read_mail
    from worker.inbox import hand_in_mail, set_aside_mail

    if not raw.strip():
        return "nothing to take: empty"
    try:
        found = read_mail(raw, recipients=[to] if to else [])
    except Unreadable as why:
        set_aside_mail(app, raw, str(why))
        return f"set aside: {why} (see `relance rejected list`)"
    if found is None:
        return "nothing to take: a report on no message of ours, or a read receipt"
    hand_in_mail(app, found)
    return "taken: a reply" if isinstance(found, Reply) else f"taken: {found.what}, {found.attempt}"


def _standard_input() -> bytes:
    """As much as is looked at; the rest is read too, for a mail server takes a pipe that closes early for a failure."""
    from channels.mail_in import LOOKED_AT

    raw = sys.stdin.buffer.read(LOOKED_AT)
    while sys.stdin.buffer.read(1 << 20):
        pass
    return raw


def _mails(file: Path) -> Iterator[bytes]:
    """Each mail of a mailbox file, without the line "From " that begins it."""
    import mailbox

    with closing(mailbox.mbox(file, create=False)) as box:
        for key in box.iterkeys():
            yield box.get_bytes(key)
