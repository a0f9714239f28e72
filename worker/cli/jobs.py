"""`relance enqueue`, `schema`, `rejected`: what upstream sends, and what could not be taken."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.show import Json, open_app, print_json, print_table

if TYPE_CHECKING:
    import dramatiq

    from worker.app import App
    from worker.rejected import RejectedJob

rejected = typer.Typer(help="Jobs that could not be taken: kept whole, with the reason.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(enqueue)
    app.command()(schema)
    app.add_typer(rejected, name="rejected")


def enqueue(
    jobs: Annotated[str, typer.Argument(help="A file with one JSON object a line, or - for standard input.")],
    check: Annotated[bool, typer.Option("--check", help="Validate only.")] = False,
    queue: Annotated[
        bool,
        typer.Option("--queue", help="Put reminders into the queue, as upstream does, instead of committing them."),
    ] = False,
) -> None:
    """Take jobs in, one a line. Bad rows are named, good rows are committed before this returns."""
    from worker.jobs import BadJob

    app = open_app()
    bad = taken = 0
    with _lines(jobs) as lines:
        for number, line in lines:
            try:
                _take(app, line, check=check, queue=queue)
                taken += 1
            except BadJob as error:
                bad += 1
                for problem in error.problems:
                    typer.echo(f"line {number}: {problem}", err=True)
    verb = "good" if check else "taken"
    typer.echo(f"{taken} {verb}, {bad} bad")
    if bad:
        raise typer.Exit(1)


def _take(app: "App", line: str, *, check: bool, queue: bool) -> None:
    from worker.intake import take
    from worker.jobs import BadJob, parse

    try:
        payload = json.loads(line)
    except (ValueError, RecursionError):
        raise BadJob(["not JSON"]) from None
    job = parse(payload, app.config, now=app.clock.real())
    if check:
        return
    if queue and job.type == "reminder_due":
        app.broker.enqueue(_message(payload))
        return
    take(app, payload, enqueued_at=datetime.now(UTC))


def _message(payload: dict[str, object]) -> "dramatiq.Message[None]":
    import dramatiq

    from worker.queues import FACTS, REMINDERS

    kind = str(payload.get("type"))
    queue = REMINDERS if kind == "reminder_due" else FACTS
    return dramatiq.Message(queue_name=queue, actor_name=kind, args=(), kwargs={"job": payload}, options={})


@contextmanager
def _lines(name: str) -> Iterator[Iterator[tuple[int, str]]]:
    """The non-empty lines of a file with their numbers, under a progress bar when somebody watches."""
    if name == "-":
        yield ((number, line) for number, line in enumerate(sys.stdin, start=1) if line.strip())
        return
    path = Path(name)
    if not path.is_file():
        raise typer.BadParameter(f"{name}: no such file")
    hidden = not sys.stderr.isatty()
    with (
        path.open(encoding="utf-8", errors="surrogateescape") as file,
        typer.progressbar(length=path.stat().st_size, file=sys.stderr, hidden=hidden) as bar,
    ):
        yield _counted(file, bar)


def _counted(file: IO[str], bar: Any) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, start=1):
        bar.update(len(line.encode(errors="surrogateescape")))
        if line.strip():
            yield number, line


def schema(kind: Annotated[str, typer.Argument(metavar="TYPE", help="reminder_due, payment_received, ...")]) -> None:
    """Print the JSON Schema of a type of job."""
    from worker.jobs import SCHEMAS, json_schema

    if kind not in SCHEMAS:
        typer.echo(f"{kind!r} is not a type of job; known: {', '.join(SCHEMAS)}", err=True)
        raise typer.Exit(1)
    print_json(json_schema(kind))


@rejected.command("list")
def rejected_list(as_json: Json = False) -> None:
    """List them, oldest first."""
    from worker.rejected import RejectedJobs

    found = list(RejectedJobs(open_app().client).all())
    if as_json:
        print_json(
            [{"id": j.id, "at": j.at, "queue": j.queue, "reason": j.reason, "bytes": len(j.payload)} for j in found]
        )
        return
    rows = [(j.id, j.at.isoformat(timespec="seconds"), j.queue, j.reason, len(j.payload)) for j in found]
    print_table(("id", "at", "queue", "reason", "bytes"), rows, "No job was rejected.")


@rejected.command("show")
def rejected_show(job_id: str) -> None:
    """Print the payload of one, as it arrived. It holds personal data."""
    typer.echo(_rejected(open_app(), job_id).payload.decode(errors="backslashreplace"))


@rejected.command("retry")
def rejected_retry(job_id: str) -> None:
    """Take it in again, as it is. It leaves the list if that works; its own `as_of`, or when it arrived, stands."""
    from worker.intake import take
    from worker.jobs import BadJob
    from worker.rejected import RejectedJobs

    app = open_app()
    entry = _rejected(app, job_id)
    try:
        payload, enqueued_at = _job_of(entry.payload)
        take(app, payload, enqueued_at=enqueued_at or entry.at)
    except BadJob as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None
    RejectedJobs(app.client).drop(job_id)
    typer.echo("taken")


def _job_of(data: bytes) -> tuple[object, datetime | None]:
    """The job in what arrived: a dramatiq message, or the bare object."""
    from worker.jobs import BadJob

    try:
        found = json.loads(data)
    except ValueError:
        raise BadJob(["not JSON: it can only be dropped"]) from None
    if isinstance(found, dict) and isinstance(found.get("kwargs"), dict) and "job" in found["kwargs"]:
        stamp = found.get("message_timestamp")
        return found["kwargs"]["job"], datetime.fromtimestamp(stamp / 1000, UTC) if isinstance(stamp, int) else None
    return found, None


@rejected.command("drop")
def rejected_drop(job_id: str) -> None:
    """Forget it."""
    from worker.rejected import RejectedJobs

    app = open_app()
    _rejected(app, job_id)
    RejectedJobs(app.client).drop(job_id)
    typer.echo("dropped")


def _rejected(app: "App", job_id: str) -> "RejectedJob":
    from worker.operations import NotPossible
    from worker.rejected import RejectedJobs

    found = RejectedJobs(app.client).get(job_id)
    if found is None:
        raise NotPossible(f"there is no rejected job {job_id!r} (see `relance rejected list`)")
    return found
