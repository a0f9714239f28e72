"""What the READMEs show is what happens: their commands are run, or exist; their files and links are there."""

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.core import TyperGroup

from tests.conftest import ROOT, MakeApp
from tests.worker.payloads import fact, reminder
from worker.cli import app as relance
from worker.codec import decode_event, encode_event
from worker.config import load
from worker.dunning.effects import EFFECTS
from worker.dunning.events import HoldPlaced
from worker.dunning.preflight import DEFECTS
from worker.dunning.strategy import HOLDS, HoldKind
from worker.embedded import Urls
from worker.intake import take
from worker.processes import run_worker
from worker.stream import since

README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Every page there is. What runs and what was installed leaves pages of its own in `var` and in hidden folders.
PAGES = sorted(
    path
    for top in ROOT.iterdir()
    if not top.name.startswith(".") and top.name not in ("var", "build", "dist")
    for path in ([top] if top.suffix == ".md" else top.rglob("*.md") if top.is_dir() else [])
)

#: Files that a page tells its reader to make.
EXAMPLES = ("creditors/acme", "fr_CA/")

#: What differs from one run, or one configuration, to the next: digests, times, seconds behind.
VARIES = re.compile(r"\b[0-9a-f]{12}\b|\b\d{4}-\d\d-\d\dT[\d:]+\+00:00|\b\d+ s behind")


class Shown(NamedTuple):
    """A session on a page: commands, each with its output. `kind`: `console` without a server, `console store` with."""

    page: Path
    kind: str
    commands: list[tuple[str, str]]

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.commands[0][0]}"


def blocks(kind: str, text: str = README) -> list[str]:
    """The fenced blocks of that kind, without their fences."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def sessions() -> Iterator[Shown]:
    """Every one, on every page."""
    for page in PAGES:
        for kind in ("console", "console store"):
            for block in blocks(kind, page.read_text(encoding="utf-8")):
                pairs = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
                yield Shown(page, kind, [(command, output) for command, _, output in pairs])


@pytest.mark.parametrize("shown", list(sessions()), ids=str)
def test_a_command_prints_what_is_shown(shown: Shown, store: Urls, tmp_path: Path) -> None:
    """Each command, run without credentials in a folder of its own, prints those very lines."""
    for name in ("config", "templates", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    environ = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "COLUMNS": "200",
    }
    if shown.kind == "console store":
        environ |= {"REDIS_URL": store.redis_url, "BROKER_URL": store.broker_url}
    for command, expected in shown.commands:
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert _steady(done.stdout + done.stderr) == _steady(expected)


def _steady(output: str) -> list[str]:
    """The lines that say something, without what varies."""
    return [line.rstrip() for line in VARIES.sub("-", output).splitlines() if line.strip()]


# ---- commands that are only named


def named(page: Path) -> Iterator[list[str]]:
    """The words of every `relance ...` on a page, in its prose, its tables and its blocks of code."""
    prose, code = list[str](), list[str]()
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        else:
            (code if fenced or line.startswith("    ") else prose).append(line)
    for span in re.findall(r"`([^`]+)`", "\n".join([*prose, *(line for line in code if "`" in line)])):
        yield from _relance(" ".join(span.split()))
    for line in code:
        yield from _relance(line.strip().removeprefix("$ "))


def _relance(line: str) -> Iterator[list[str]]:
    """The words behind `relance`, where the line is such a command, however it is reached."""
    found = re.match(r"(?:docker compose exec \w+ |make -C \S+ )?(?:\S*/)?relance (.*)", line)
    if found:
        words = shlex.split(found[1].partition(" | ")[0], comments=True)
        if words[:1] and re.fullmatch(r"[a-z-]+", words[0]):
            yield words


NAMED = [(page, words) for page in PAGES for words in named(page)]


@pytest.mark.parametrize(
    ("page", "words"), NAMED, ids=[f"{page.relative_to(ROOT)}: {' '.join(words)}" for page, words in NAMED]
)
def test_every_command_named_exists(page: Path, words: list[str]) -> None:
    """As a mention (`relance rejected list`) or in full, with every argument and option that it demands."""
    command, left = _command(words)
    if isinstance(command, TyperGroup) and left:
        pytest.fail(f"there is no command {left[0]!r}")
    if left:
        command.make_context(words[-len(left) - 1], left)  # raises for what the command does not take


def _command(words: Sequence[str]) -> tuple[Any, list[str]]:
    """The command, or the group of commands, that the words name, and the words behind its name."""
    command: Any = typer.main.get_command(relance)
    left = list(words)
    while isinstance(command, TyperGroup) and left and left[0] in command.commands:
        command = command.commands[left.pop(0)]
    return command, left


def test_commands_are_named() -> None:
    """The test above does not pass for want of commands: those of the table in the first README are among them."""
    mine = {tuple(words) for page, words in NAMED if page == ROOT / "README.md"}
    assert {("status",), ("rejected", "retry", "ID"), ("case", "release", "CASE", "--by", "NAME")} <= mine
    assert len({page for page, _ in NAMED}) > 3


def test_the_commands_of_the_table_speak_json() -> None:
    """All but three, as the line under the table says."""
    rows = README.partition("| to | type |")[2].partition("\n\n")[0]
    table = [span.split()[1:] for span in re.findall(r"`(relance [^`]+)`", rows)]
    speechless = [words for words in table if not any("--json" in p.opts for p in _command(words)[0].params)]
    replay = ["events", "replay", "CREDITOR", "--since", "2026-11-01"]
    assert speechless == [["watch"], ["export", "--output", "FILE"], replay]


# ---- files, links


def files(page: Path) -> set[str]:
    """What a page names as a file or a folder of ours: `cases.py`, `config/strategies/`."""
    spans = set(re.findall(r"`([^`\s]+)`", page.read_text(encoding="utf-8")))
    spans |= set(re.findall(r"^([\w./-]+/?)  ", page.read_text(encoding="utf-8"), re.MULTILINE))
    ending = re.compile(r"[\w./-]+(\.(py|lua|md|yaml|yml|jsonl|json|html|css|txt|conf|lock|toml)|/)")
    return {span for span in spans if ending.fullmatch(span) and not span.startswith(("/", "var/", *EXAMPLES))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_named_is_there(page: Path) -> None:
    """Below the page's own folder, or below the whole."""
    here = {path.relative_to(page.parent).as_posix() for path in page.parent.rglob("*") if ".venv" not in path.parts}
    missing = []
    for name in files(page):
        known = name.rstrip("/")
        if not ((ROOT / known).exists() or any(path == known or path.endswith(f"/{known}") for path in here)):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a page of ours, and to a heading on it."""
    for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        found = page.parent / target if target else page
        assert found.is_file(), target
        if heading:
            titles = re.findall(r"^#+ (.*)", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "folder", ["worker", "channels", "templates", "config", "tests", "channels/sandbox", "tests/bench"]
)
def test_every_folder_opens_with_a_page(folder: str) -> None:
    """A title, and what lives here, in a few lines."""
    title, empty, first, *_ = (ROOT / folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert empty == ""
    assert first


def test_every_file_of_the_worker_is_in_its_table() -> None:
    """Whoever looks for a file of `worker/` finds what it is for, and finds each file once."""
    text = (ROOT / "worker" / "README.md").read_text(encoding="utf-8")
    rows = text.partition("| file |")[2].partition("\n\n")[0].splitlines()[2:]
    table = [name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(table) == len(set(table))
    there = {path.name for path in (ROOT / "worker").iterdir() if path.suffix in (".py", ".lua") or path.is_dir()}
    assert set(table) == there - {"__init__.py", "__pycache__", "README.md"}


# ---- the first README


def test_the_snippet_reaches_the_queue_without_the_project(store: Urls, make_app: MakeApp, tmp_path: Path) -> None:
    """An interpreter that can import dramatiq and redis, and nothing of ours, enqueues the job that opens a case."""
    snippet, _ = blocks("python")
    site = next(path for path in sys.path if path.endswith("site-packages"))
    alone = tmp_path / "alone"
    alone.mkdir()
    for package in Path(site).iterdir():
        if package.name.partition("-")[0].lower() in {"dramatiq", "redis", "async_timeout"}:
            (alone / package.name).symlink_to(package)
    program = f"import sys; sys.path.insert(0, {str(alone)!r}); BROKER_URL = {store.broker_url!r}\n{snippet}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    app, stop = make_app(), threading.Event()
    worker = threading.Thread(target=run_worker, args=(app, app.broker, ["reminders"], 1, stop))
    worker.start()
    try:
        opened = threading.Event()
        for _ in range(200):
            if list(app.cases.case_ids("demo")) or opened.wait(0.05):
                break
    finally:
        stop.set()
        worker.join()
    (case_id,) = app.cases.case_ids("demo")
    found = app.cases.load(case_id)
    assert found is not None
    assert found.case.debtor.name == "Menuiserie des Halles"


def test_the_reader_in_the_readme_misses_no_event(make_app: MakeApp, store: Urls) -> None:
    """Killed while it handles one, and begun anew, it has handled all of them, in order, under the same ids."""
    app = make_app()
    for job in (reminder(), fact("payment_received", invoice="F-2026/001", amount="1", currency="EUR")):
        take(app, job, enqueued_at=datetime.now(UTC))
    known = [entry.id for entry in since(app.client, "demo", datetime.fromtimestamp(0, UTC))]
    _, snippet = blocks("python")
    program = f"""
import os, sys
REDIS_URL, left = {store.redis_url!r}, int(sys.argv[1])
def handle(name, case, event):
    global left
    left -= 1
    print(name, flush=True)
    if left == 0:
        os._exit(0)
{snippet}"""
    handled = list[str]()
    for count in (2, 1, len(known) - 1):
        done = subprocess.run(
            [sys.executable, "-c", program, str(count)], capture_output=True, text=True, timeout=30, check=True
        )
        handled += done.stdout.split()
    assert len(known) > 2
    assert handled == [*known[:2], known[1], *known[1:]]


def test_an_event_in_the_readme_is_one_of_ours() -> None:
    """What upstream is shown reads and writes as what it will find in its stream."""
    (shown,) = blocks("json")
    event = decode_event(shown)
    assert json.loads(encode_event(event)) == json.loads(shown)
    assert isinstance(event, HoldPlaced)
    assert set(event.hold.defects) <= set(DEFECTS)


def test_every_answer_is_in_the_readme_with_what_it_does() -> None:
    """The table says of each answer which hold it places, how long that lasts, and whether a person is told."""
    rows = [[cell.strip() for cell in row[1:-1].split("|")] for row in README.splitlines() if row.startswith("| `")]
    told = {name: row for row in rows if len(row) == 4 for name in re.findall(r"`(\w+)`", row[0]) if name in EFFECTS}
    assert told.keys() == EFFECTS.keys()
    for name, effect in EFFECTS.items():
        _, hold, until, person = told[name]
        assert (hold.strip("`"), person == "yes") == (effect.hold, effect.task)
        if not effect.hold:
            continue
        assert all(words in until for words in lasts(HOLDS[effect.hold])), name


def lasts(kind: HoldKind) -> list[str]:
    """What must be said of how long such a hold lasts."""
    if kind.grace:
        undated = [f"{kind.business_days} without"] if kind.business_days else []
        return [f"its date, and {kind.grace} business days", *undated]
    return [f"{kind.business_days} business days"] if kind.business_days else ["a person releases it"]


def test_the_ladder_in_the_readme_is_the_one_that_ships() -> None:
    """The table's steps are those of `b2b`, in order, with their tones."""
    rows = re.findall(
        r"^\| (\w+) \| D [^|]*\|[^|]*\|\s*(\d?)\s*\||^\| (last_word) \|[^|]*\|[^|]*\| (\d) \|", README, re.M
    )
    shown = [(a or c, b or d) for a, b, c, d in rows]
    steps = load(ROOT / "config").strategies["b2b"].steps
    assert [name for name, _ in shown] == [step.name for step in steps]
    assert [tone for _, tone in shown if tone] == [str(step.tone) for step in steps if not step.handover]
