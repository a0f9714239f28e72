"""`relance api-key`, `events`: what goes between relance and the billing system."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from worker.cli.show import Json, demand_known, open_app, print_done

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.app import App
    from worker.config import Webhook
    from worker.stream import Entry

events = typer.Typer(help="The event stream of a creditor.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("api-key")(api_key)
    app.add_typer(events, name="events")


def api_key(
    creditor: Annotated[str, typer.Argument(metavar="CREDITOR", help="Whose billing system it is for.")],
    as_json: Json = False,
) -> None:
    """Make a key for the HTTP door. It is shown once; the creditor's file gets its hash. Needs no store."""
    import hashlib
    import secrets

    from worker.app import Setup

    demand_known(creditor, Setup().config.creditors)
    key = f"relance_{secrets.token_urlsafe(32)}"
    known = f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    shown = f"It is not shown again. For creditors/{creditor}.yaml, its hash:\n\napi_keys:\n  - {known}"
    words = f"{key}\n\n{shown}"
    print_done(as_json, words, key=key, api_key=known, creditor=creditor)


@events.command("replay")
def events_replay(
    creditor: Annotated[str, typer.Argument(metavar="CREDITOR", help="Whose events.")],
    since: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M%z", "%Y-%m-%dT%H:%M:%S%z"],
            help="From then on, in real time: a day of the creditor's, or a moment with its offset.",
        ),
    ],
    to: Annotated[
        Literal["stdout", "webhook"], typer.Option(help="Print them, one JSON object a line, or POST them again.")
    ] = "stdout",
) -> None:
    """Hand a creditor's events on once more, oldest first, under their old ids. They hold personal data."""
    from worker.operations import NotPossible
    from worker.stream import first
    from worker.stream import since as events_since

    app = open_app()
    demand_known(creditor, app.config.creditors)
    who = app.config.creditors[creditor]
    if to == "webhook" and who.webhook is None:
        raise NotPossible(f"creditors/{creditor}.yaml has no webhook")
    start = since if since.tzinfo else since.replace(tzinfo=ZoneInfo(who.timezone))
    oldest = first(app.client, creditor)
    if oldest and oldest > start:
        typer.echo(f"the stream begins with {oldest.isoformat()}: what was before it is not there any more", err=True)
    found = events_since(app.client, creditor, start)
    if to == "webhook" and who.webhook:
        typer.echo(f"{_post(app, who.webhook, found)} events were taken", err=True)
        return
    for entry in found:
        typer.echo(entry.document())


def _post(app: "App", to: "Webhook", entries: "Iterator[Entry]") -> int:
    """How many were taken. Raises NotPossible at the first that was not."""
    from worker.forward import deliver
    from worker.operations import NotPossible

    count = 0
    for entry in entries:
        if code := deliver(app, to, entry):
            again = entry.at.replace(microsecond=0).isoformat()
            raise NotPossible(f"{count} events were taken, then one was not ({code}): go on with --since {again}")
        count += 1
    return count
