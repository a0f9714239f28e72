"""`relance up`, `scheduler`, `worker`, `web`, `forward`, `watch`, `sandbox`, `demo`: the processes."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from worker.app import App

At = Annotated[
    datetime | None,
    typer.Option(
        "--at",
        formats=["%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"],
        help="Rehearse: the clock starts here (with offset).",
    ),
]
Speed = Annotated[float | None, typer.Option("--speed", min=0.001, help="Rehearse: ladder seconds per real second.")]
Processes = Annotated[int, typer.Option(min=1, help="Worker processes for each group of queues.")]
SkipIdle = Annotated[
    bool, typer.Option("--skip-idle", help="In a rehearsal, jump over stretches without anything to do.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    for command in (up, scheduler, worker, web, forward, watch, sandbox, demo):
        app.command()(command)


def up(at: At = None, speed: Speed = None, skip_idle: SkipIdle = False, processes: Processes = 1) -> None:
    """Run everything here: scheduler and workers, and the embedded servers unless REDIS_URL is set."""
    import os

    from worker import logs
    from worker.processes import Stop, stop_on_signals, stop_with_parent
    from worker.up import run_all

    logs.configure()
    stop_with_parent()
    stop = Stop()
    stop_on_signals(stop)
    run_all(dict(os.environ), stop, at=at, speed=speed, skip_idle=skip_idle, processes=processes)


def scheduler(at: At = None, speed: Speed = None, skip_idle: SkipIdle = False) -> None:
    """Run a scheduler: agenda, decide, reserve, queue. Any number may run."""
    from worker.operations import spread_pauses
    from worker.processes import stop_on_signals
    from worker.scheduler import Scheduler
    from worker.store import until_it_answers

    app = _open(at, speed)
    until_it_answers(lambda: spread_pauses(app))
    beat = until_it_answers(lambda: Scheduler(app, app.broker, skip_idle=skip_idle))
    stop_on_signals(beat.stop)
    beat.run()


def worker(
    queues: Annotated[
        str | None, typer.Option(help="Only these, separated by commas. Default: a process for each group.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads per process.")] = 8,
    processes: Processes = 1,
    at: At = None,
    speed: Speed = None,
) -> None:
    """Run workers. With --queues this process works on them; without, children for each channel and for jobs."""
    from threading import Event

    from worker.processes import Stop, run_worker, stop_on_signals
    from worker.up import run_workers

    if queues is not None and processes > 1:
        raise typer.BadParameter("with --queues there is one process, this one: start the command again for another")
    app = _open(at, speed)
    if queues is None:
        parent_stop = Stop()
        stop_on_signals(parent_stop)
        run_workers(app, parent_stop, threads=threads, processes=processes)
        return
    stop = Event()
    stop_on_signals(stop)
    app.refuse_real_providers()
    app.upstream.demand("still_due")
    run_worker(app, app.broker, queues.split(","), threads, stop)


def web() -> None:
    """Run the web doors, on WEB_PORT (8000) of loopback: for providers, debtors and billing systems."""
    from threading import Event

    from worker.app import App
    from worker.opening import prove
    from worker.processes import stop_on_signals
    from worker.web import serve

    def begin() -> None:
        prove(app)
        _say_started(app)

    _prepare()
    app, stop = App(lazy=True), Event()
    stop_on_signals(stop)
    serve(app, stop, begin)


def forward() -> None:
    """Hand the events of every creditor that has a webhook on to it. Any number may run."""
    from threading import Event

    from worker.forward import run
    from worker.processes import stop_on_signals

    stop = Event()
    app = _open(None, None)
    app.refuse_real_providers()
    app.upstream.demand("webhook")
    stop_on_signals(stop)
    run(app, stop)


def watch(
    until_ended: Annotated[bool, typer.Option("--until-ended", help="Stop when every case seen has ended.")] = False,
) -> None:
    """Print what happens as it happens, from the event stream alone. It holds personal data."""
    from worker.cli.show import open_app
    from worker.watch import follow_events

    follow_events(open_app(), until_ended=until_ended)


def sandbox(
    log: Annotated[
        Path | None, typer.Option(help="Where to log what the servers were asked and accepted (JSON lines).")
    ] = None,
    validate: Annotated[
        Path | None, typer.Option(help="Hold every request against the providers' OpenAPI files in this folder.")
    ] = None,
    faults: Annotated[Path | None, typer.Option(help="Faults to start with (YAML or JSON).")] = None,
    reactions: Annotated[
        Path | None, typer.Option(help="What becomes of messages once they are accepted (YAML or JSON).")
    ] = None,
    listings: Annotated[Path | None, typer.Option(help="What lists show only later (YAML or JSON).")] = None,
    public_url: Annotated[
        str, typer.Option(help="Where relance answers: receipts of email, and what people write, are posted below it.")
    ] = "",
    inbound_secret: Annotated[str, typer.Option(help="The last part of the inbound mail door's path.")] = "",
    latency: Annotated[float, typer.Option(help="Seconds each answer takes.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Decides which messages an order's share picks.")] = 0,
    clock_offset: Annotated[float, typer.Option(help="Seconds the providers' clock is ahead.")] = 0.0,
    email_activity: Annotated[
        bool, typer.Option("--email-activity", help="The SendGrid account has Email Activity.")
    ] = False,
    twilio_port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
    sendgrid_port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
    smtp_port: Annotated[int, typer.Option(help="0: any free one.")] = 0,
) -> None:
    """Run local servers that act like Twilio, SendGrid and an SMTP host, for staging; prints their URLs."""
    from channels.sandbox import Doors, Ports, serve
    from worker.processes import stop_with_parent

    stop_with_parent()
    ports = Ports(twilio_port, sendgrid_port, smtp_port)
    doors = Doors.under(public_url, inbound_secret) if public_url else None
    serve(
        log=log,
        validate=validate,
        faults=faults,
        reactions=reactions,
        listings=listings,
        doors=doors,
        latency=latency,
        ports=ports,
        seed=seed,
        clock_offset=clock_offset,
        email_activity=email_activity,
    )


def demo(
    log: Annotated[Path | None, typer.Option(help="Keep there what the sandbox was asked and accepted.")] = None,
) -> None:
    """Rehearse the ladder on example debtors, on throw-away servers and sandbox providers, and print what happens."""
    from worker.demo import run_demo
    from worker.processes import stop_with_parent

    stop_with_parent()
    raise typer.Exit(run_demo(log))


def _open(at: datetime | None, speed: float | None) -> "App":
    """The parts of a long-lived process, once its servers are there, and its first log line."""
    from worker.app import App, Rehearsal
    from worker.opening import opened

    _prepare()
    app = opened(lambda: App(rehearsal=Rehearsal(at, speed)))
    _say_started(app)
    return app


def _prepare() -> None:
    from worker import logs
    from worker.processes import stop_with_parent

    logs.configure()
    stop_with_parent()


def _say_started(app: "App") -> None:
    import structlog

    from worker.status import routes

    log = structlog.get_logger("relance.main")
    log.info(
        "process.started",
        clock="rehearsal" if app.clock.rehearsal else "real",
        config=app.config.digest,
        carries=routes(app.config, app.providers),
    )
    if not app.clock_heeded:
        log.warning("clock.ignored", reason="the store holds a clock already, and that one counts")
