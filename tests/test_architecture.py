"""What keeps the shape of the whole: who imports what, one file per provider, one catalogue of log events."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from channels.registry import KINDS
from tests.conftest import ROOT
from worker.dunning import events
from worker.dunning.events import Event
from worker.logs import event_name

WORKER, CHANNELS = ROOT / "worker", ROOT / "channels"
SOURCES = sorted([*WORKER.rglob("*.py"), *CHANNELS.rglob("*.py")])
#: What structlog's loggers are called on.
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", sorted((WORKER / "dunning").glob("*.py")), ids=lambda path: path.name)
def test_the_rules_import_nothing(path: Path) -> None:
    """The standard library and the rules themselves, so that they can be read, and tested, alone."""
    strange = [
        name
        for name in imported(path)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("worker.dunning")
    ]
    assert strange == []


@pytest.mark.parametrize("path", sorted((WORKER / "dunning").glob("*.py")), ids=lambda path: path.name)
def test_the_rules_read_no_clock_and_no_file(path: Path) -> None:
    """`now` is an argument of theirs, and the rest is too."""
    called = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert called & {"now", "utcnow", "monotonic", "open", "read_text", "environ"} <= {"now"}
    assert not re.search(r"(datetime|date|time)\.(now|today|utcnow|time)\(", path.read_text())


def test_a_provider_is_one_file_and_one_line() -> None:
    """Every kind has a file of its own beside the registry, which holds its class."""
    files = [target.partition(":")[0] for target in KINDS.values()]
    assert len(set(files)) == len(KINDS)
    for kind, module in zip(KINDS, files, strict=True):
        assert module == f"channels.{kind}"
        assert (CHANNELS / f"{kind}.py").is_file()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_anyone_reads(path: Path) -> None:
    """A file has one reason to change, and is read in one sitting."""
    assert len(path.read_text().splitlines()) < 400


# ---- the catalogue of log events


def table(heading: str) -> list[list[str]]:
    """The cells of the table of worker/README.md that begins so, row by row."""
    _, found, rest = (WORKER / "README.md").read_text().partition(heading)
    assert found, f"worker/README.md has no table {heading}"
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows]


def codes(cell: str) -> set[str]:
    """What is in backticks."""
    return set(re.findall(r"`([^`]+)`", cell))


def catalogued() -> dict[str, set[str]]:
    """The events of the catalogue, and their fields."""
    return {name: codes(fields) for names, _, fields in table("| event | when |") for name in codes(names)}


class Line(NamedTuple):
    """A log line that the code writes: its level, its event, its fields."""

    level: str
    event: str
    fields: frozenset[str]


def logged(path: Path) -> Iterator[Line]:
    """The lines that a file logs by itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in ("_log", "log") and node.args:
                fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg)
                for name in _names(node.args[0]):
                    yield Line(node.func.attr, name, fields)


def _names(name: ast.expr) -> Iterator[str]:
    """A name as it stands; only the names of a case's events are put together."""
    if isinstance(name, ast.Constant):
        yield str(name.value)
    else:
        assert ast.unparse(name) == "event_name(type(event))"


LINES = [line for path in SOURCES for line in logged(path)]


def test_every_log_event_is_in_the_catalogue_and_the_other_way_round() -> None:
    """Whoever reads the logs finds each name explained, and no explanation of what is never logged."""
    of_cases = {event_name(kind) for kind in vars(events).values() if isinstance(kind, type) and kind in _kinds()}
    assert catalogued().keys() == of_cases | {line.event for line in LINES}


def test_the_catalogue_names_the_fields_of_what_is_logged() -> None:
    """Whoever searches the logs by a field finds it there."""
    fields: dict[str, set[str]] = {}
    for line in LINES:
        fields.setdefault(line.event, set()).update(line.fields)
    found = catalogued()
    assert {name: found[name] for name in fields} == fields


def test_every_alarm_is_in_the_runbook_and_the_other_way_round() -> None:
    """Whoever is woken by a line finds what it means and what to do, and no advice on what never wakes anybody."""
    alarms = {(line.event, line.level) for line in LINES if line.level not in ("debug", "info")}
    rows = table("| event | level |")
    assert {(name, level) for names, level, *_ in rows for name in codes(names)} == alarms
    assert all(len(row) == 4 and row[2] and row[3] for row in rows)


def _kinds() -> set[type[Event]]:
    return set(Event.__subclasses__())


def test_log_events_are_noun_and_verb() -> None:
    """`attempt.accepted`: what it is about, and what became of it."""
    for line in LINES:
        assert re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", line.event)
