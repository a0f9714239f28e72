"""The Dockerfile's own steps, run in a folder, without a container engine. What stands for what:

* A stage's file system is a folder, and every absolute path below `/opt`, `/srv` and `/tmp` in a step lies in it. Each
  stage has the same folder while it runs, as each has the same `/` in an engine: programs remember where they are.
* The base image is a venv of the Python that runs the tests; its `python` comes first on PATH.
* `groupadd` and `useradd` write down what they are told instead of changing this machine. Where the tests do not run
  as root, `install` changes no owner, and the result is run by the same user instead of the image's.
* Read-only is a matter of permissions: nobody may write to the result but where the image says so.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from tests.conftest import ROOT
from tests.deploy.dockerfile import Instruction, context, stages

IS_ROOT = os.geteuid() == 0
#: How this machine reaches its package index is the machine's business.
_PIPS = ("PIP_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "http_", "https_")


class Image:
    """The result, and what the image says about running it. `place` is an empty folder that its user may enter."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "root"
        self.base = place / "base"
        self.accounts = place / "accounts"
        self.workdir = "/"
        self.environ: dict[str, str] = {}
        self.user = ""
        self.entrypoint: list[str] = []
        self.command: list[str] = []

    def at(self, path: str) -> Path:
        """Where that path of the image is; one that is not absolute is below its working folder."""
        return self.root / str(Path(self.workdir, path)).lstrip("/")

    def build(self) -> None:
        """Run all stages; then nobody may write to the result, but its user to what is its own."""
        venv.create(self.base, with_pip=True)
        self._stand_in()
        found = stages()
        for name in found.keys() - {"base"} - {""}:
            self._stage([*found["base"], *found[name]])
            self.root.rename(self.place / name)
        self._stage([*found["base"], *found[""]])
        self._protect(~0o222)

    def remove(self) -> None:
        """Leave nothing of it."""
        self._protect(~0, 0o200)
        shutil.rmtree(self.place)

    def files(self) -> dict[Path, int]:
        """Everything in it but what its user may write, and when it was changed last."""
        return {path: path.lstat().st_mtime_ns for path in self._all() if not path.is_relative_to(self.at("var"))}

    def _all(self) -> Iterator[Path]:
        yield self.root
        yield from self.root.rglob("*")

    def _protect(self, keep: int, add: int = 0) -> None:
        for path in self._all():
            if path != self.at("var") and not path.is_symlink():
                path.chmod(path.stat().st_mode & keep | add)

    def _stand_in(self) -> None:
        """What a step may call that must not touch this machine."""
        for name in ("groupadd", "useradd"):
            _program(self.base / "bin" / name, f'echo {name} "$@" >> {self.accounts}')
        if not IS_ROOT:
            script = 'exec /usr/bin/install $(echo "$@" | sed -E "s/--(owner|group) [0-9]+//g")'
            _program(self.base / "bin" / "install", script)

    def _stage(self, steps: Iterable[Instruction]) -> None:
        (self.root / "tmp").mkdir(parents=True)
        self.workdir, self.environ = "/", {}
        for step in steps:
            self._do(step)

    def _do(self, step: Instruction) -> None:
        match step.word:
            case "RUN":
                self._run(step.rest)
            case "COPY":
                self._copy(step)
            case "WORKDIR":
                self.workdir = step.rest
                self.at("").mkdir(parents=True, exist_ok=True)
            case "ENV":
                self.environ |= dict(word.split("=", 1) for word in step.words())
            case "USER":
                self.user = step.rest
            case "ENTRYPOINT":
                self.entrypoint = json.loads(step.rest)
            case "CMD":
                self.command = json.loads(step.rest)
            case "FROM" | "LABEL" | "STOPSIGNAL":
                pass
            case other:
                raise AssertionError(f"{other}: say here what it means")

    def _run(self, script: str) -> None:
        index = {name: value for name, value in os.environ.items() if name.startswith(_PIPS)}
        command = ["/bin/sh", "-euc", self._mapped(script)]
        done = subprocess.run(
            command, cwd=self.at(""), env=self.variables() | index, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"

    def _copy(self, step: Instruction) -> None:
        *sources, target = step.words()
        for source in sources:
            destination = self.at(target)
            if origin := step.option("from"):
                shutil.copytree(
                    self.place / origin / source.lstrip("/"), destination, symlinks=True, dirs_exist_ok=True
                )
                continue
            inner = {path.relative_to(ROOT / source): path for path in context() if path.is_relative_to(ROOT / source)}
            assert inner, f"COPY {source}: the context does not have it"
            if (ROOT / source).is_file() and target.endswith("/"):
                destination /= Path(source).name
            for path, file in inner.items():
                (destination / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, destination / path)

    def _mapped(self, text: str) -> str:
        return re.sub(r"(?<![\w./])/(?=(opt|srv|tmp)\b)", f"{self.root}/", text)

    def variables(self) -> dict[str, str]:
        """The environment of a step, or of what is run: the image's own, and nothing of this machine's."""
        path = f"{self.base / 'bin'}:/usr/bin:/bin"
        found = {name: self._mapped(value).replace("$PATH", path) for name, value in self.environ.items()}
        return {"PATH": path, "HOME": "/", **found}

    def start(self, *arguments: str, log: IO[bytes], **environ: str) -> "subprocess.Popen[bytes]":
        """Run the entrypoint with these arguments, as the image's user, in its folder."""
        program = shutil.which(self.entrypoint[0], path=self.variables()["PATH"])
        assert program
        command = [*self._as_user(), program, *self.entrypoint[1:], *arguments]
        return subprocess.Popen(command, cwd=self.at(""), env=self.variables() | environ, stdout=log, stderr=log)

    def _as_user(self) -> list[str]:
        """The image's user, who can gain no privileges; where this machine's Python is root's own, it may be read."""
        if not IS_ROOT:
            return []
        user, group = self.user.split(":")
        homes = (Path(sys.base_prefix), *Path(sys.base_prefix).parents)
        kept = "-all" if all(home.stat().st_mode & 0o001 for home in homes) else "-all,+dac_read_search"
        capabilities = [f"--{kind}={kept}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
        return ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", *capabilities]

    def says(self, *arguments: str, **environ: str) -> str:
        """What a command prints; it must succeed."""
        with tempfile.TemporaryFile() as log:
            code = self.start(*arguments, log=log, **environ).wait(120)
            log.seek(0)
            text = log.read().decode()
        assert code == 0, text
        return text


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
