"""What the commands share: opening the parts, printing for people or for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from worker.app import App, Setup

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str, typer.Option("--by", envvar="RELANCE_OPERATOR", help="Who does it; written into the history.")]


def open_app() -> "App":
    """The parts, for a command; whoever uses them is told when the stop button is pressed."""
    from worker import logs
    from worker.app import App
    from worker.operations import paused, spread_pauses

    logs.configure(level=30)
    app = App()
    spread_pauses(app)
    for creditor, scopes in paused(app).items():
        typer.secho(f"PAUSED for {creditor}: {', '.join(scopes)} (see `relance resume`)", fg="yellow", err=True)
    return app


def open_setup() -> "Setup":
    """The parts, where there is a store; else what is configured."""
    from worker.app import NothingRuns, Setup

    try:
        return open_app()
    except NothingRuns:
        return Setup()


def demand_known(name: str | None, known: Iterable[str]) -> None:
    """Raises NotPossible for a name that the configuration does not have; None passes."""
    from worker.operations import NotPossible

    if name is not None and name not in known:
        raise NotPossible(f"{name!r} is not known; known: {', '.join(known)}")


def demand_locale(name: str | None) -> str | None:
    """The locale in its one form. Raises NotPossible for one without words; None passes."""
    from worker import fields
    from worker.operations import NotPossible

    try:
        return name and fields.locale(name)
    except ValueError as error:
        raise NotPossible(f"{name!r} is {error}") from None


def print_json(value: object) -> None:
    """As JSON, on standard output: moments as in ISO 8601, durations in seconds, money as decimal texts."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, default=_text))


def print_done(as_json: bool, words: str, **fields: object) -> None:
    """What a command did: a line for people, the fields for programs."""
    if as_json:
        print_json(fields)
    else:
        typer.echo(words)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """As a table on a terminal, as tab-separated lines elsewhere; `empty` is said when there is no row."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        typer.echo(empty)
        return
    console = Console()
    if not console.is_terminal:
        typer.echo("\n".join("\t".join(row) for row in [list(columns), *cells]))
        return
    table = Table(*columns)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
