"""A Dockerfile and its context, read as far as ours needs it."""

import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from tests.conftest import ROOT

DOCKERFILE = ROOT / "Dockerfile"


class Instruction(NamedTuple):
    """One of them: `COPY`, and what follows."""

    word: str
    rest: str

    def words(self) -> list[str]:
        """What follows, as a shell splits it, without options."""
        return [word for word in shlex.split(self.rest) if not word.startswith("--")]

    def option(self, name: str) -> str:
        """The value of `--name=value`; empty without it."""
        return next((w.partition("=")[2] for w in shlex.split(self.rest) if w.startswith(f"--{name}=")), "")


def instructions() -> list[Instruction]:
    """All of them, continued lines joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def stages() -> dict[str, list[Instruction]]:
    """By name, in order; the last one, which is the image, has none: "". The first of each is its FROM."""
    found: dict[str, list[Instruction]] = {}
    for instruction in instructions():
        if instruction.word == "FROM":
            _, *name = re.split(r"\s+AS\s+", instruction.rest)
            found[name[0] if name else ""] = []
        found[list(found)[-1]].append(instruction)
    return found


def context() -> Iterator[Path]:
    """The files that a build is given, below ROOT: what `.dockerignore` leaves, of its last matching line."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    for top in sorted(ROOT.iterdir()):
        if top.name.startswith(".") or top.name in ("var", "build", "dist"):
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not _ignored(path.relative_to(ROOT), rules):
                yield path


def _ignored(path: Path, rules: list[str]) -> bool:
    ignored = False
    for rule in rules:
        pattern = rule.removeprefix("!")
        names = [str(parent) for parent in (path, *path.parents)]
        if any(fnmatch(name, pattern) or fnmatch(f"./{name}", pattern) for name in names):
            ignored = not rule.startswith("!")
    return ignored
