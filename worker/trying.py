"""One try at one message, and giving it back: what those share who may find that it is not to be called for now."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.app import App
from worker.cases import Conflict, Seen
from worker.dunning.events import AttemptReleased, Event
from worker.dunning.model import Send, StepRun, attempt_id
from worker.look import commit_of

#: Why a reservation is given back, where it would be of no use to make it again at once: a configuration is being
#: rolled out; a provider's list cannot be read.
CHANGED, UNREAD = "configuration changed", "nobody can tell yet whether it went before"
#: Another server has taken the store over (`continuity.py`): nothing is sent for a while.
REPLACED = "the store was replaced"
PAUSING, RELEASE_PAUSE = (CHANGED, UNREAD), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Try:
    """One try at one message: the case as just read, the reservation, the ladder time it happens at, and by whom.

    The provider is chosen here, not when the attempt is reserved: who sends has the credentials, a scheduler need not.
    `server` is the store's as it was known before anything was asked: a pause that somebody else in this process hears
    of in between is of another server, and that one refuses the try.
    """

    seen: Seen
    run: StepRun
    send: Send
    now: datetime
    server: str
    provider: str = ""

    @property
    def attempt(self) -> str:
        """Our id of it."""
        return attempt_id(self.seen.case, self.send.attempt)


def release(app: App, trying: Try, why: str) -> None:
    """Give the reservation back: nobody has called. The case is looked at again."""
    released = AttemptReleased(at=trying.now, attempt=trying.send.attempt, why=why)
    store(app, trying, released, again=_again(app, trying, why))


def _again(app: App, trying: Try, why: str) -> datetime | None:
    """From when on, in ladder time, it is of use to reserve the message again; None: at once."""
    if why == REPLACED:
        return app.clock.ladder_after(app.continuity.pause_left())
    return trying.now + RELEASE_PAUSE if why in PAUSING else None


def store(app: App, trying: Try, *events: Event, again: datetime | None = None) -> None:
    """Write down what became of a reservation that nobody calls for; the case is looked at `again` then, or at once."""
    try:
        app.cases.commit(commit_of(trying.seen, events, trying.now, again))
    except Conflict:
        return  # whoever wrote first has made the case be looked at, or its lease runs out
