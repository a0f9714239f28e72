"""What is wrong with a template, said so that its author can find it: file, line, what was expected; never data."""

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from traceback import walk_tb

from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError

from worker.render.facts import FACT_TYPES

#: Every name a template may use: what a misspelt one is compared with.
_NAMES = frozenset(
    {
        "language", "debtor", "consumer", "public", "creditor", "help", "lines", "claims", "total", "pay_url", "today",
        "deadline", "firmer", "reference", "earlier", "notice", "letter", "aloud", "say", "block", "paragraphs",
        "subject", "text", "full", "short", "remittance", "qr", "page_url", "can_reply", "brief", "page",
    }
    | {field.name for fact in FACT_TYPES for field in fields(fact)}
)  # fmt: skip


class WordingError(Exception):
    """A message cannot be worded.

    `template` is the file ("templates/fr/courtesy/email.txt"), `line` where in it (None: the whole file), `problem`
    what was expected. None of them ever holds data of a case.
    """

    def __init__(self, template: str, line: int | None, problem: str) -> None:
        super().__init__(f"{template}: line {line}: {problem}" if line else f"{template}: {problem}")
        self.template = template
        self.line = line
        self.problem = problem


@contextmanager
def wording_errors(folder: Path) -> Iterator[None]:
    """The one place where Jinja's errors, and those of what a template calls, become ours."""
    try:
        yield
    except WordingError:
        raise
    except TemplateSyntaxError as error:
        raise WordingError(_short(folder, error.filename or ""), error.lineno, str(error.message)) from None
    except Exception as error:
        template, line = _place(folder, error)
        raise WordingError(template, line, _problem(error)) from None


def _place(folder: Path, error: Exception) -> tuple[str, int | None]:
    """The innermost template frame: Jinja rewrites tracebacks to the template's own file and line."""
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    inside = [(name, line) for name, line in frames if Path(name).is_relative_to(folder)]
    if not inside:
        return folder.name, None
    return _short(folder, inside[-1][0]), inside[-1][1]


def _short(folder: Path, filename: str) -> str:
    path = Path(filename)
    return str(Path(folder.name) / path.relative_to(folder)) if path.is_relative_to(folder) else folder.name


def _problem(error: Exception) -> str:
    """Only Jinja's own sentences about names are repeated; any other text may hold data."""
    if isinstance(error, TemplateNotFound):
        return f"missing template '{error.name}'"
    if not isinstance(error, UndefinedError):
        return type(error).__name__
    name = re.search(r"^'([\w.]+)' is undefined|attribute '(\w+)'$", str(error.message))
    if name is None:
        return "an unknown name is used"
    return _unknown(name[1] or name[2])


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _NAMES, n=1)
    return f"'{name}' is undefined" + (f"; did you mean '{near[0]}'?" if near else "; the names are in README.md")
