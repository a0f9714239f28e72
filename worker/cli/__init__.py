"""`relance`: one file per family of commands. Each imports what it needs when it runs, so that help is instant."""

import sys

import typer

from worker.cli import cases, control, jobs, run

app = typer.Typer(
    name="relance",
    help="Chases unpaid invoices politely, and stops the moment the debtor pays or answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
run.add_to(app)
jobs.add_to(app)
cases.add_to(app)
control.add_to(app)


def main() -> None:
    """The entry point: what goes wrong for a reason that can be named is said in one line.

    Exit codes: 0 done; 1 something given is wrong (configuration, a job, a case); 2 cannot run here.
    """
    from channels.base import ConfigurationError
    from worker.app import NothingRuns
    from worker.config import ConfigError
    from worker.embedded import EmbeddedError
    from worker.operations import NotPossible
    from worker.store import AWAY

    try:
        app()
    except ConfigError as error:
        _say(error.problems)
        sys.exit(1)
    except NotPossible as error:
        _say([str(error)])
        sys.exit(1)
    except (NothingRuns, ConfigurationError, EmbeddedError) as error:
        _say([str(error)])
        sys.exit(2)
    except AWAY as error:
        _say([f"the store does not answer: {type(error).__name__}"])
        sys.exit(2)


def _say(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
