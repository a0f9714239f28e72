"""The Dockerfile: linted, and what it is given. `make image` runs its steps (`image.py`)."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.deploy.dockerfile import DOCKERFILE, context, instructions, stages
from tests.deploy.tools import tool

#: The image, and what its base says before it.
FINAL = [*stages()["base"], *stages()[""]]


def last(word: str) -> str:
    """What the image says last."""
    return next(i.rest for i in reversed(FINAL) if i.word == word)


def test_the_linter_is_content() -> None:
    """Every rule of hadolint, shellcheck's for the steps among them."""
    done = tool("hadolint", "--failure-threshold", "style", DOCKERFILE)
    assert (done.stdout, done.returncode) == ("", 0)


def test_it_runs_as_nobody_and_is_told_to_stop_in_the_way_we_listen_to() -> None:
    """A fixed user by its number, so that orchestrators can see that it is not root; SIGTERM; no shell in between."""
    user, group = last("USER").split(":")
    assert int(user) == int(group) > 1000
    assert last("STOPSIGNAL") == "SIGTERM"
    assert (json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))) == (["relance"], ["worker"])


def test_its_labels_say_what_the_project_says() -> None:
    """The version above all: it is what an operator looks at."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(
        label.removeprefix("org.opencontainers.image.").split("=")
        for label in next(i for i in FINAL if i.word == "LABEL").words()
    )
    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]
    assert project["description"].startswith(labels["description"][:30])


def test_it_is_built_for_the_python_that_was_locked() -> None:
    """A lock is made under one Python, and another may need other packages."""
    (python,) = [i.rest for i in instructions() if i.word == "FROM" and i.rest.startswith("python:")]
    for lock in ("requirements.lock", "tests/requirements.lock"):
        locked = (ROOT / lock).read_text().partition("pip-compile with Python ")[2].split()[0]
        assert python.startswith(f"python:{locked}.")


def test_the_context_is_what_the_steps_copy() -> None:
    """Every source is there, and nothing else is: no history, no secret, no test."""
    found = {path.relative_to(ROOT) for path in context()}
    sources = [
        Path(word) for i in instructions() if i.word == "COPY" and not i.option("from") for word in i.words()[:-1]
    ]
    for source in sources:
        assert any(path.is_relative_to(source) for path in found), source
    assert [path for path in found if not any(path.is_relative_to(source) for source in sources)] == []


@pytest.mark.parametrize("name", [".env", "secrets/TWILIO_AUTH_TOKEN", ".git/config", "var/outbox/messages.jsonl"])
def test_what_must_not_leave_is_no_part_of_the_context(name: str) -> None:
    """Whether it is there or not: the list names what is let in, not what is kept out."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert [rule for rule in rules if rule.startswith("!") and name.startswith(rule[1:])] == []
