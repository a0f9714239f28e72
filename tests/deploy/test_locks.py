"""What is installed is pinned, to the same bytes everywhere: what runs in one file, what tests it in another."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

LOCKS = {"runs": ROOT / "requirements.lock", "tests": ROOT / "tests" / "requirements.lock"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _text(lock: str) -> str:
    return LOCKS[lock].read_text()


def pins(lock: str) -> dict[str, str]:
    """The versions in it, by name."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", _text(lock), re.MULTILINE))


def demanded(lines: list[str]) -> dict[str, Requirement]:
    """What `pyproject.toml` demands, by name."""
    return {str(canonicalize_name(one.name)): one for one in map(Requirement, lines)}


@pytest.mark.parametrize(
    ("lock", "lines"), [("runs", PROJECT["dependencies"]), ("tests", PROJECT["optional-dependencies"]["dev"])]
)
def test_everything_demanded_is_pinned(lock: str, lines: list[str]) -> None:
    """At a version that `pyproject.toml` allows; `make lock` brings the two together."""
    found = pins(lock)
    wrong = [str(one) for name, one in demanded(lines).items() if not one.specifier.contains(found.get(name, "0"))]
    assert wrong == []


def test_what_tests_is_not_what_runs() -> None:
    """No test tool, linter or benchmark's peer is deployed: of what we name ourselves, just what runs is there."""
    named = re.findall(
        r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==(?:(?!^[a-z]).)*?relance \(pyproject", _text("runs"), re.M | re.S
    )
    assert set(named) == demanded(PROJECT["dependencies"]).keys()


def test_both_agree() -> None:
    """What both need is tested at the version that runs."""
    runs, tests = pins("runs"), pins("tests")
    assert {name: runs[name] for name in runs.keys() & tests.keys()} == {
        name: tests[name] for name in runs.keys() & tests.keys()
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_is_to_bytes(lock: str) -> None:
    """Each has its hashes, and none says where its file was got: that is the machine's business."""
    blocks = re.split(r"^(?=[a-z0-9.-]+==)", _text(lock), flags=re.MULTILINE)[1:]
    assert blocks
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"https?://|file://|^-", _text(lock), re.MULTILINE) == []
