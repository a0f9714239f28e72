"""A random story is written at one moment and read in at a later one: what it forgot does not happen twice."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import MakeApp
from tests.worker.rig import MORNING, Rig, outbox
from tests.worker.test_stories import CHAPTERS, Story

from .kit import backup, go_back


class Forgetful(Story):
    """A story whose store is lost on the way, and read back from an older backup."""

    def __init__(self, rig: Rig, strategy: str, reachable: str, folder: Path) -> None:
        self.folder, self.kept = folder, list[str]()
        super().__init__(rig, strategy, reachable)

    def writes(self, _: None) -> None:
        """A backup is made."""
        self.kept = backup(self.rig.app)

    def loses(self, _: None) -> None:
        """The store is lost, and that backup read in.

        Only what its providers took can be known then: a call that nobody took may be made again, and a task, which no
        provider keeps, be opened again. How often somebody was called since is forgotten.
        """
        if not self.kept:
            return
        go_back(self.rig, self.kept)
        took = {line["attempt"] for line in outbox(self.folder)}
        self.went = {message: attempt for message, attempt in self.went.items() if attempt in took}
        self.calls = {}


PARTS = st.lists(CHAPTERS, min_size=2, max_size=8)


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """The shipped strategies, and the outbox."""
    return Rig(make_app(at=MORNING, speed=1))


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    strategy=st.sampled_from(["b2b", "b2b", "b2c", "public", "direct_notice"]),
    reachable=st.sampled_from(["email and phone", "email and phone", "email", "phone"]),
    parts=st.tuples(PARTS, PARTS, PARTS),
)
def test_no_story_that_is_forgotten_breaks_a_promise(
    rig: Rig, tmp_path: Path, strategy: str, reachable: str, parts: tuple[list[tuple[str, Any]], ...]
) -> None:
    """Written after the first part, lost after the second: whatever a provider took then it is not given again, and all
    that must hold of a case holds: its snapshot is the fold of its history, it is never lost, nobody is chased who is
    not to be."""
    for key in rig.app.client.scan_iter("relance:{demo}*", count=1000):
        rig.app.client.delete(key)
    (tmp_path / "var/outbox/messages.jsonl").unlink(missing_ok=True)
    before, since, after = parts
    story = Forgetful(rig, strategy, reachable, tmp_path)
    story.tell([*before, ("writes", None), *since, ("loses", None), *after])
