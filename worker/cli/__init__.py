"""`relance`: one file per family of commands. Each imports what it needs when it runs, so that help is instant."""

from typing import Any

import typer
from typer.core import TyperGroup

from worker.cli import backup, cases, control, jobs, mail, run, suppress, upstream, words


class Commands(TyperGroup):
    """What goes wrong for a reason that can be named is said in one line.

    Exit codes: 0 done; 1 something given is wrong (configuration, a job, a case); 2 cannot run here.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        from channels.base import ConfigurationError
        from worker.app import NothingRuns
        from worker.backup.check import Unfit
        from worker.config import ConfigError
        from worker.embedded import EmbeddedError
        from worker.operations import NotPossible
        from worker.render import WordingError
        from worker.store import away

        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _leave(1, *error.problems)
        except (NotPossible, WordingError) as error:
            _leave(1, str(error))
        except (NothingRuns, ConfigurationError, EmbeddedError, Unfit) as error:
            _leave(2, str(error))
        except Exception as error:
            if not away(error):
                raise
            _leave(2, f"the store does not answer: {type(error).__name__}")


def _leave(code: int, *lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)
    raise typer.Exit(code)


app = typer.Typer(
    name="relance",
    cls=Commands,
    help="Chases unpaid invoices politely, and stops the moment the debtor pays or answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
run.add_to(app)
jobs.add_to(app)
mail.add_to(app)
cases.add_to(app)
control.add_to(app)
suppress.add_to(app)
words.add_to(app)
upstream.add_to(app)
backup.add_to(app)


def main() -> None:
    """The entry point."""
    app()
