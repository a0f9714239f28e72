"""`relance enqueue`, `schema`, `rejected`: what upstream sends, and what could not be taken."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from worker.cli.show import Json, open_app, print_done, print_json, print_table

if TYPE_CHECKING:
    import dramatiq

    from worker.app import App
    from worker.rejected import RejectedJob

JobId = Annotated[str, typer.Argument(metavar="ID", help="As in `relance rejected list`.")]

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
    as_json: Json = False,
) -> None:
    """Take jobs in, one a line. Bad rows are named, good rows are committed before this returns.

    `--check` needs no store.
    """
    from worker.jobs import BadJob

    accept = _validator() if check else _taker(open_app(), queue=queue)
    good, repeated, bad = 0, 0, list[str]()
    with _lines(jobs) as lines:
        for number, line in lines:
            try:
                before = accept(_payload(line))
                good, repeated = good + (not before), repeated + before
            except BadJob as error:
                bad += (problems := [f"line {number}: {problem}" for problem in error.problems])
                typer.echo("\n".join(problems), err=True)
    rows = len({problem.partition(":")[0] for problem in bad})
    verb = "good" if check else "taken"
    again = f", {repeated} taken before" if repeated else ""
    counts = {verb: good} if check else {verb: good, "repeated": repeated}
    print_done(as_json, f"{good} {verb}{again}, {rows} bad", **counts, bad=rows, problems=bad)
    if bad:
        raise typer.Exit(1)


def _validator() -> Callable[[object], bool]:
    """Says of a good job that it was not taken before, as far as can be known without a store."""
    from worker import config
    from worker.config.environment import environment
    from worker.jobs import parse

    loaded = config.load(environment(os.environ).config, os.environ)

    def accept(payload: object) -> bool:
        parse(payload, loaded, now=datetime.now(UTC))
        return False

    return accept


def _taker(app: "App", *, queue: bool) -> Callable[[object], bool]:
    """Takes a job, and says whether it had been taken before."""
    from worker.intake import take
    from worker.jobs import parse
    from worker.operations import remember_creditors

    remember_creditors(app)

    def accept(payload: object) -> bool:
        job = parse(payload, app.config, now=app.clock.real())
        if queue and job.type == "reminder_due":
            app.broker.enqueue(_message(payload))
            return False
        return take(app, payload, enqueued_at=datetime.now(UTC)).repeated

    return accept


def _payload(line: bytes) -> object:
    from worker.jobs import BadJob

    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadJob(["not UTF-8"]) from None
    except (ValueError, RecursionError):
        raise BadJob(["not JSON"]) from None


def _message(payload: object) -> "dramatiq.Message[None]":
    import dramatiq

    from worker.queues import REMINDERS

    kwargs = {"job": payload}
    return dramatiq.Message(queue_name=REMINDERS, actor_name="reminder_due", args=(), kwargs=kwargs, options={})


@contextmanager
def _lines(name: str) -> Iterator[Iterator[tuple[int, bytes]]]:
    """The non-empty lines of a file with their numbers, under a progress bar when somebody watches."""
    if name == "-":
        yield _counted(sys.stdin.buffer)
        return
    path = Path(name)
    if not path.is_file():
        raise typer.BadParameter(f"{name}: no such file")
    hidden = not sys.stderr.isatty()
    with (
        path.open("rb") as file,
        typer.progressbar(length=path.stat().st_size, file=sys.stderr, hidden=hidden) as bar,
    ):
        yield _counted(file, bar.update)


def _counted(file: IO[bytes], tell: Callable[[int], object] = lambda _: None) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, start=1):
        tell(len(line))
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
def rejected_show(job_id: JobId, as_json: Json = False) -> None:
    """Print the payload of one, as it arrived. It holds personal data."""
    found = _rejected(open_app(), job_id)
    payload = found.payload.decode(errors="backslashreplace")
    print_done(as_json, payload, id=found.id, at=found.at, queue=found.queue, reason=found.reason, payload=payload)


@rejected.command("retry")
def rejected_retry(job_id: JobId, as_json: Json = False) -> None:
    """Take it in again, as it is. It leaves the list if that works; its own `as_of`, or when it arrived, stands."""
    from worker.intake import take
    from worker.jobs import BadJob
    from worker.rejected import RejectedJobs

    app = open_app()
    entry = _rejected(app, job_id)
    try:
        payload, enqueued_at = _job_of(entry.payload)
        taken = take(app, payload, enqueued_at=enqueued_at or entry.at)
    except BadJob as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None
    RejectedJobs(app.client).drop(job_id)
    print_done(as_json, "taken", taken=job_id, cases=taken.cases)


def _job_of(data: bytes) -> tuple[object, datetime | None]:
    """The job in what arrived: a dramatiq message, or the bare object."""
    from worker.jobs import BadJob

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise BadJob(["not JSON: it can only be dropped"]) from None
    if isinstance(found, dict) and isinstance(found.get("kwargs"), dict) and "job" in found["kwargs"]:
        return found["kwargs"]["job"], _stamped(found.get("message_timestamp"))
    return found, None


def _stamped(milliseconds: object) -> datetime | None:
    """When a message says it was enqueued; None for what is no time."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if isinstance(milliseconds, int) else None
    except (ValueError, OverflowError, OSError):
        return None


@rejected.command("drop")
def rejected_drop(job_id: JobId, as_json: Json = False) -> None:
    """Forget it."""
    from worker.rejected import RejectedJobs

    app = open_app()
    _rejected(app, job_id)
    RejectedJobs(app.client).drop(job_id)
    print_done(as_json, "dropped", dropped=job_id)


def _rejected(app: "App", job_id: str) -> "RejectedJob":
    from worker.operations import NotPossible
    from worker.rejected import RejectedJobs

    found = RejectedJobs(app.client).get(job_id)
    if found is None:
        raise NotPossible(f"there is no rejected job {job_id!r} (see `relance rejected list`)")
    return found
