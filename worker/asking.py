"""Under a pause of everything no case is looked at; of what was sent before it, providers are asked all the same.

What waits at a provider is called back when its case is paid, held or closed, and a doubt is settled. This only reads:
whoever asks writes down what was answered.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import cast

from worker.app import App
from worker.cases import Seen
from worker.clock import Every
from worker.commit import Keys
from worker.dunning.model import attempt_id, parse_attempt_id
from worker.dunning.questions import questions
from worker.silence import STOPPED

#: How often (real time), and how many cases are read at a time.
AGAIN, _BATCH = timedelta(seconds=15), 500


class Questions:
    """What is to be asked of the cases of paused creditors, every few seconds."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._again = defaultdict[str, Every](lambda: Every(AGAIN))

    def of(self, creditor: str, now: datetime) -> Iterator[tuple[str, str, str]]:
        """(channel, what, attempt id) of each question. Raises redis errors."""
        keys = Keys(creditor)
        if not self._again[creditor](self._app.clock.real()) or not any(self._app.client.hmget(keys.paused, *STOPPED)):
            return
        attempts = (attempt for key in (keys.uncertain, keys.queued) for attempt in self._all(key))
        names = sorted({parse_attempt_id(attempt)[0] for attempt in attempts})
        for start in range(0, len(names), _BATCH):
            for found in self._app.cases.see_each(names[start : start + _BATCH]):
                if isinstance(found, Seen):
                    for ask in questions(found.case, now):
                        yield ask.channel, ask.what, attempt_id(found.case, ask.attempt)

    def _all(self, key: str) -> list[str]:
        return cast("list[str]", self._app.client.zrange(key, 0, -1))
