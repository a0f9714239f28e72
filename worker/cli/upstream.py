"""`relance api-key`: what goes between relance and the billing system."""

from typing import Annotated

import typer

from worker.cli.show import Json, demand_known, print_done


def add_to(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command("api-key")(api_key)


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
