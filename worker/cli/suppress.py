"""`relance suppress`: addresses that must not be used any more."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.show import By, Json, demand_known, open_app, print_done, print_json, print_table

if TYPE_CHECKING:
    from worker.app import App

suppress = typer.Typer(help="Addresses that must not be used any more.", no_args_is_help=True)

Creditor = Annotated[str, typer.Argument(metavar="CREDITOR", help="Whose debtors.")]
Channel = Annotated[str, typer.Argument(metavar="CHANNEL", help="email, sms or voice.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="A mailbox, or a number with its country code.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.add_typer(suppress, name="suppress")


def _open(creditor: str) -> "App":
    app = open_app()
    demand_known(creditor, app.config.creditors)
    return app


@suppress.command("list")
def suppress_list(creditor: Creditor, as_json: Json = False) -> None:
    """List them, with why and since when. It holds personal data."""
    from worker.suppression import COLUMNS, listed

    found = listed(_open(creditor), creditor)
    if as_json:
        print_json(found)
        return
    rows = [(entry.channel, entry.address, entry.why, entry.by, entry.since) for entry in found]
    print_table(COLUMNS, rows, "Nobody is on the list.")


@suppress.command("add")
def suppress_add(
    creditor: Creditor,
    channel: Channel,
    address: Address,
    by: By,
    why: Annotated[str, typer.Option(help="In a word or two.")] = "by hand",
    as_json: Json = False,
) -> None:
    """Put an address on the list: from now on nothing goes there."""
    from worker.suppression import add

    new = add(_open(creditor), creditor, channel, address, why=why, by=by)
    print_done(as_json, "added" if new else "it was on the list already", creditor=creditor, added=new)


@suppress.command("remove")
def suppress_remove(creditor: Creditor, channel: Channel, address: Address, by: By, as_json: Json = False) -> None:
    """Take an address off the list: the cases that know of it may use it again."""
    from worker.operations import NotPossible
    from worker.suppression import remove

    if not remove(_open(creditor), creditor, channel, address, by):
        raise NotPossible(f"it is not on the list (see `relance suppress list {creditor}`)")
    print_done(as_json, "removed", creditor=creditor, removed=True)


@suppress.command("export")
def suppress_export(creditor: Creditor) -> None:
    """Write the list to standard output, as CSV."""
    from worker.suppression import export

    export(_open(creditor), creditor, sys.stdout)


@suppress.command("import")
def suppress_import(
    creditor: Creditor,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV with channel and address, at least; - for standard input.")
    ],
    by: By,
    as_json: Json = False,
) -> None:
    """Add what a CSV says: all of it, or nothing where a line is wrong."""
    from worker.operations import NotPossible
    from worker.suppression import take_in

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotPossible(f"{file}: cannot be read ({type(error).__name__})") from None
    added, known = take_in(_open(creditor), creditor, text.splitlines(keepends=True), by)
    print_done(as_json, f"{added} added, {known} known already", creditor=creditor, added=added, known=known)
