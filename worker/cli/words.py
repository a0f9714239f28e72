"""`relance preview`, `send-test`: what debtors read and hear, before one of them does."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.show import Json, demand_known, demand_locale, open_setup, print_done, print_json

if TYPE_CHECKING:
    from worker.specimen import Specimen

#: Where the page goes unless told otherwise: beside what else is made here.
PAGE = Path("var/preview.html")

Strategy = Annotated[str | None, typer.Argument(metavar="STRATEGY", help="Only this one.")]
Locale = Annotated[str | None, typer.Option(help="The debtor's, such as fr_FR. Default: the creditor's.")]
Creditor = Annotated[str | None, typer.Option(help="Whose words. Default: the first creditor that uses the strategy.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(preview)
    app.command()(send_test)


def preview(
    strategy: Strategy = None,
    locale: Locale = None,
    creditor: Creditor = None,
    due: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The due date of the example. Default: today.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write the page; - for standard output.")] = PAGE,
    as_json: Json = False,
) -> None:
    """Write one page with everything a debtor could read or hear, step by step, for an example. Needs no store."""
    from worker.app import Setup
    from worker.operations import NotPossible
    from worker.preview import chapters, page

    setup = Setup()
    demand_known(strategy, setup.config.strategies)
    demand_known(creditor, setup.config.creditors)
    if as_json and str(out) == "-":
        raise NotPossible("one of --json and --out - at a time: both print on standard output")
    names = [strategy] if strategy else list(setup.config.strategies)
    due_on = due.date() if due else date.today()  # noqa: DTZ011  # the day on the operator's wall
    shown = chapters(setup, names, due_on, creditor=creditor, locale=demand_locale(locale))
    if str(out) == "-":
        typer.echo(page(setup, shown))
        return
    _write(out, page(setup, shown))
    print_done(as_json, str(out), page=str(out), strategies=names, config=setup.config.digest)


def _write(path: Path, document: str) -> None:
    """Into that file; its folder is made where missing. Raises NotPossible."""
    from worker.operations import NotPossible

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document, encoding="utf-8")
    except OSError as error:
        raise NotPossible(f"{path}: cannot be written: {error.strerror}") from None


def send_test(
    strategy: Annotated[str, typer.Argument(metavar="STRATEGY")],
    step: Annotated[str, typer.Argument(metavar="STEP")],
    to: Annotated[str, typer.Option(help="A mailbox or a phone number of your own.")],
    channel: Annotated[
        str | None, typer.Option(help="email, sms or voice. Default: email to a mailbox, sms to a number.")
    ] = None,
    locale: Locale = None,
    creditor: Creditor = None,
    as_json: Json = False,
) -> None:
    """Send a step's message to yourself, through the creditor's own provider, marked as a test. It concerns no case."""
    from dataclasses import asdict

    from worker.example import example_of
    from worker.specimen import CHANNELS, address, send_specimen

    setup = open_setup()
    demand_known(strategy, setup.config.strategies)
    demand_known(step, [known.name for known in setup.config.strategies[strategy].steps])
    demand_known(creditor, setup.config.creditors)
    demand_known(channel, CHANNELS)
    today = date.today()  # noqa: DTZ011  # the day on the operator's wall
    example = example_of(setup.config, strategy, today, creditor=creditor, locale=demand_locale(locale))
    by = channel or ("email" if "@" in to else "sms")
    found = send_specimen(setup, example, step, by, address(to, by, example.creditor.country), today)
    if as_json:
        print_json(asdict(found))
    else:
        typer.echo("\n  ".join([_said(found), *found.notes]))
    if found.outcome != "accepted":
        raise typer.Exit(1)


def _said(found: "Specimen") -> str:
    """What became of it, in a line."""
    code = f" ({found.code})" if found.code else ""
    named = f" as {found.provider_id}" if found.provider_id else ""
    return f"{found.outcome} by {found.provider}{named}{code}: {found.means}"
