"""`relance export`, `import`: all that the store knows, to a file and back."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from worker.cli.show import Json, demand_known, open_app, print_done

if TYPE_CHECKING:
    from worker.app import App
    from worker.backup.export import Exported
    from worker.backup.restore import Restored

Creditors = Annotated[list[str] | None, typer.Option("--creditor", help="Only this one's; may be given several times.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("export")(export)
    app.command("import")(import_)


def export(
    creditor: Creditors = None,
    output: Annotated[
        str,
        typer.Option(metavar="FILE", help="Made for your eyes only (0600), whole or not at all; - is standard output."),
    ] = "-",
) -> None:
    """Write all that the store knows, as JSON lines, while everything runs.

    It holds personal data, and addresses that must not be used: encrypt it, and keep it no longer than the store itself
    would. The queue is not in it. With --creditor, nor is what is kept beside creditors: rejected jobs, and what people
    wrote that was not heard yet.
    """
    from worker.backup.export import export as write
    from worker.operations import known_creditors

    app = open_app()
    for name in creditor or ():
        demand_known(name, known_creditors(app))
    with _written(output) as to:
        done = write(app, creditor or None, to)
    typer.echo(f"{done.lines} lines, {len(done.cases)} cases", err=True)
    _warn_of_queues(app)
    _complain(done)


@contextmanager
def _written(name: str) -> Iterator[Callable[[str], object]]:
    """Takes lines; a file appears under its name once it is whole and on disk."""
    if name == "-":
        yield typer.echo
        return
    draft = Path(f"{name}.part")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            yield lambda line: file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(name)
    except OSError as error:
        from worker.operations import NotPossible

        raise NotPossible(f"{name}: cannot be written ({type(error).__name__})") from None


def _warn_of_queues(app: "App") -> None:
    from worker.queues import FACTS, INBOUND, REMINDERS

    waiting = sum(app.broker.waiting(REMINDERS, FACTS, INBOUND).values())
    if waiting:
        typer.echo(
            f"{waiting} jobs and receipts wait in the queue: they are in the store once they are taken", err=True
        )


def _complain(done: "Exported") -> None:
    for name in done.unread:
        typer.echo(f"{name}: its history is damaged, it is not in the file", err=True)
    for kind, count in done.unknown.items():
        typer.echo(f"{count} keys of a kind that this version does not know ({kind}) are not in the file", err=True)
    if done.unread or done.unknown:
        raise typer.Exit(1)


def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `relance export` wrote; - for standard input.")],
    creditor: Creditors = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When the store was copied that the file was written from, if not then: ISO."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a backup in, whole or not at all, for creditors that this store knows nothing of.

    Stop what takes jobs and answers first. Each creditor is left paused: have upstream send again what it knows since
    the backup, payments first, then `relance resume`. From then on every message that may have gone after the backup is
    looked for at its provider before it is sent. Interrupted, it may be run again with the same file.
    """
    from worker.backup.restore import restore

    with _read(file) as lines:
        app = open_app()
        done = restore(app, lines, creditor or None, _moment(since))
    for name in done.differed:
        typer.echo(f"{name}: its snapshot was not what its history says; the history stands", err=True)
    for name in done.no_strategy:
        typer.echo(f"strategies/{name}.yaml is missing: open cases follow it, and fail without", err=True)
    _tell(app, done, as_json)


def _moment(text: str | None) -> datetime | None:
    from worker.operations import NotPossible

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise NotPossible(f"{text!r} is not a time with its offset from UTC, such as 2026-11-28T03:00+00:00")
    return found


@contextmanager
def _read(name: str) -> Iterator[IO[bytes]]:
    """The file, or a copy of standard input that nobody else sees: it is read twice."""
    from worker.operations import NotPossible

    if name == "-":
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
            yield copy
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise NotPossible(f"{name}: cannot be read ({type(error).__name__})") from None
    with file:
        yield file


def _tell(app: "App", done: "Restored", as_json: bool) -> None:
    names, since = done.before + done.creditors, done.since or done.header.at
    fields = ("cases", "events", "open", "held", "uncertain")
    counts = {name: getattr(done, name) for name in fields}
    if as_json:
        print_done(True, "", creditors=names, before=done.before, **counts, since=since, differed=done.differed)
        return
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if done.before:
        typer.echo(f"read in by an earlier run: {', '.join(done.before)}")
    for line in _next(app, names, since):
        typer.echo(line)


def _next(app: "App", names: list[str], since: datetime) -> list[str]:
    """What is to be done now, and who is asked from then on."""
    from worker.seeking import who_can_tell

    answers = [(name, channel, who_can_tell(app, name, channel)) for name in names for channel in app.config.channels]
    return [
        f"Nothing is known after {since.isoformat(timespec='seconds')}. Have upstream send again what it knows since:",
        "payments and holds first, then all open invoices. Jobs that were taken before are not taken twice.",
        "What may have gone since is looked for before it is sent:",
        *(f"  {name}: {channel}: {who}" for name, channel, who in answers),
        "Until you let go of it, all of this is paused:",
        *(f"  relance resume --creditor {name}" for name in names),
    ]
