"""A try that was given up as not sent, and went after all: what is written down of it."""

from collections.abc import Iterable
from datetime import datetime

from worker.dunning.events import (
    AttemptAccepted,
    AttemptBegun,
    AttemptFound,
    AttemptReappeared,
    AttemptReleased,
    Event,
    ReceiptArrived,
)
from worker.dunning.model import Case


def reappearance(
    case: Case, number: int, history: Iterable[Event], *, at: datetime, provider_id: str = "", by: str = ""
) -> list[Event]:
    """The message was said, by that try. Nothing, where it was not given up, or is known to have gone.

    What was made in its place and has not gone, as far as anybody knows, is not waited for: a reservation is given
    back; a call that may have gone counts as given up in its turn, and may turn up too. One that has gone stands: the
    debtor got it twice.
    """
    found, told = case.find_given_up(number), list(history)
    own = [event for event in told if getattr(event, "attempt", None) == number]
    if found is None or any(isinstance(event, AttemptAccepted | AttemptFound | ReceiptArrived) for event in own):
        return []
    _, send = found
    if any(_is_it(event, send.attempt, provider_id) for event in told):
        return []
    events: list[Event] = []
    if send.status == "reserved":
        events.append(AttemptReleased(at=at, attempt=send.attempt, why="an earlier try had gone"))
    reappeared = AttemptReappeared(
        at=at,
        attempt=number,
        provider=next((event.provider for event in own if isinstance(event, AttemptBegun)), ""),
        provider_id=provider_id,
        by=by,
        displaced=send.attempt if send.status in ("sending", "uncertain", "rejected") else 0,
    )
    return [*events, reappeared]


def _is_it(event: Event, latest: int, provider_id: str) -> bool:
    """Was that very one found in the provider's list, by the latest try, when the store did not know of it?"""
    return isinstance(event, AttemptFound) and (event.attempt, event.provider_id) == (latest, provider_id)
