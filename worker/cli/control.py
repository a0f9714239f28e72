"""`relance check`, `ladder`, `status`, `pause`, `resume`: is it right, what will it do, how is it, stop."""

import os
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.show import Json, demand_known, open_app, print_done, print_json, print_table

if TYPE_CHECKING:
    from worker.app import App, Setup
    from worker.config import Config
    from worker.silence import Silence
    from worker.status import Status
    from worker.stream import Behind

Creditor = Annotated[str | None, typer.Option(help="Only this creditor's.")]
Channel = Annotated[str | None, typer.Option(help="Only this channel.")]
Strategy = Annotated[str | None, typer.Option(help="Only cases under this strategy.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    for command in (check, ladder, status, pause, resume):
        app.command()(command)


def check(as_json: Json = False) -> None:
    """Validate all configuration, cross references and templates; say who carries what, and what is not set."""
    from worker.fields import LANGUAGES
    from worker.render.check import check as check_wording
    from worker.status import lists, pages, routes, without

    here = _here(as_json)
    wording = check_wording(here.wordings, _notices(here.config), LANGUAGES, here.config.creditors)
    broken = [f"providers.{name}: cannot work: {says}" for name, says in here.providers.faults().items()]
    broken += [f"{place}: cannot work: {says}" for place, says in here.upstream.faults().items()]
    found = [
        *routes(here.config, here.providers),
        *lists(here.config, here.providers),
        *pages(here.environment),
    ]
    absent = without(here.environment, here.providers)
    if as_json:
        print_json({"config": here.config.digest, "problems": wording + broken, "routes": found, "without": absent})
    else:
        for line in wording + broken:
            typer.echo(line, err=True)
        for line in found + absent:
            typer.echo(line)
        typer.echo(verdict(here.config.digest, len(wording), len(broken)))
    if wording or broken:
        raise typer.Exit(1)


def _here(as_json: bool) -> "Setup":
    """What is configured; no store is needed. Faults are an answer too, and leave as JSON where that was asked for."""
    from channels.base import ConfigurationError
    from worker import config
    from worker.app import Setup

    try:
        return Setup()
    except (config.ConfigError, ConfigurationError) as error:
        problems = error.problems if isinstance(error, config.ConfigError) else [str(error)]
        if as_json:
            print_json({"problems": problems})
        raise config.ConfigError(problems) from None


def verdict(digest: str, wording: int, broken: int) -> str:
    """The last line of `check`: how many problems of each kind there are."""
    said = f"configuration {digest}: {wording} problem{'' if wording == 1 else 's'} in the wording"
    return f"{said}, {broken} connection{'' if broken == 1 else 's'} cannot work" if broken else said


def _notices(loaded: "Config") -> dict[str, tuple[str, ...]]:
    """A fallback can send any step by any channel, so every notice must have words for each."""
    steps = [step for strategy in loaded.strategies.values() for step in strategy.steps]
    return {step.notice: ("email", "sms", "voice", "task") for step in steps if step.notice}


def ladder(
    name: Annotated[str, typer.Argument(metavar="STRATEGY", help="A file in strategies/, without its ending.")],
    due: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The due date of the example.")],
    amount: Annotated[str, typer.Option(help="What is owed.")] = "1000",
    as_json: Json = False,
) -> None:
    """Print a strategy's steps with the dates they would have for an invoice that nobody answers. Needs no store."""
    from worker import config
    from worker.config.environment import environment
    from worker.operations import NotPossible
    from worker.plan import example

    loaded = config.load(environment(os.environ).config, os.environ)
    demand_known(name, loaded.strategies)
    try:
        found = example(loaded, name, due_on=due.date(), amount=Decimal(amount))
    except InvalidOperation:
        raise NotPossible(f"{amount!r} is not an amount") from None
    except ValueError as error:
        raise NotPossible(str(error)) from None
    if as_json:
        print_json(found)
        return
    rows = [
        (r.on.strftime("%a %Y-%m-%d"), r.step, r.tone, ", ".join(r.channels), r.deadline or "", r.note) for r in found
    ]
    print_table(("date", "step", "tone", "channels", "pay by", ""), rows, "No step would be taken.")


def status(as_json: Json = False) -> None:
    """One screen: lag, queues, what is uncertain, paused or of no creditor, the clock, the providers."""
    from worker.status import status as now

    found = now(open_app())
    if as_json:
        print_json(found)
        return
    print_table(("", ""), _rows(found), "")


def _rows(found: "Status") -> list[tuple[str, str]]:
    next_look = found.next_look.isoformat(timespec="minutes") if found.next_look else "none"
    pauses = "; ".join(f"{name}: {', '.join(scopes)}" for name, scopes in found.paused.items())
    return [
        ("clock", f"{found.clock}, {found.now.isoformat(timespec='seconds')}"),
        ("configuration", found.config),
        ("agenda", f"{found.lag.total_seconds():.0f} s behind, next look {next_look}"),
        ("in flight", str(found.in_flight)),
        ("queues", ", ".join(f"{name} {count}" for name, count in found.queues.items())),
        ("uncertain", str(found.uncertain)),
        ("rejected jobs", str(found.rejected)),
        ("open tasks", str(found.tasks)),
        ("paused", pauses or "nothing"),
        ("silent", "; ".join(f"{name}: {_late(each)}" for name, each in found.silent.items()) or "nothing"),
        *(("in line", f"{name}: {count} cases, which go one after another") for name, count in found.in_line.items()),
        *(("no file", f"{name}: nobody looks at its open cases ({n})") for name, n in found.orphaned.items()),
        *(("webhook", f"{name}: {_behind(each)}") for name, each in found.webhooks.items()),
        *(("carries", line) for line in found.routes),
    ]


def _late(found: "Silence") -> str:
    return f"{found.messages} did not go, the first of {found.since.isoformat(timespec='minutes')}"


def _behind(found: "Behind | None") -> str:
    if found is None:
        return "nothing goes out, and nothing is kept for it: no forwarder has run"
    since = f", the oldest of {found.since.isoformat(timespec='seconds')}" if found.since else ""
    lost = f"; {found.trimmed} more are lost" if found.trimmed else ""
    return f"{found.entries} events behind{since}{lost}"


def pause(creditor: Creditor = None, channel: Channel = None, strategy: Strategy = None, as_json: Json = False) -> None:
    """The stop button: from the next `begin` on nothing goes out, until `relance resume`. Without options: nothing."""
    from worker import operations

    app = open_app()
    names, scope = _scope(app, creditor, channel, strategy)
    operations.pause(app, names, scope, everywhere=creditor is None)
    words = f"paused: {scope} for {', '.join(names)}; calls already begun may still arrive"
    print_done(as_json, words, paused=scope, creditors=names)


def resume(
    creditor: Creditor = None, channel: Channel = None, strategy: Strategy = None, as_json: Json = False
) -> None:
    """Lift a pause: the same options as it was given."""
    from worker import operations

    app = open_app()
    names, scope = _scope(app, creditor, channel, strategy)
    if not operations.resume(app, names, scope, everywhere=creditor is None):
        others = sorted({found for scopes in operations.paused(app).values() for found in scopes})
        raise operations.NotPossible(
            f"{scope} was not paused for {', '.join(names)}; paused: {', '.join(others) or 'nothing'}"
        )
    words = f"resumed: {scope} for {', '.join(names)}; the cases are looked at again within five minutes"
    print_done(as_json, words, resumed=scope, creditors=names)


def _scope(app: "App", creditor: str | None, channel: str | None, strategy: str | None) -> tuple[list[str], str]:
    from worker.operations import NotPossible, scope_of

    demand_known(creditor, app.config.creditors)
    demand_known(channel, app.config.channels)
    demand_known(strategy, app.config.strategies)
    if channel and strategy:
        raise NotPossible("one of --channel and --strategy at a time")
    scope = scope_of(creditor=creditor, channel=channel, strategy=strategy)
    return [creditor] if creditor else list(app.config.creditors), scope
