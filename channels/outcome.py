"""From one word of an adapter's table to the error it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal, cast, get_args

from channels.base import ChannelError, Rejected, RejectedWhy, Unavailable, UnavailableWhy, Uncertain

Word = Literal["address", "opted_out", "content", "throttle", "account", "down", "uncertain"]


def failure(word: Word, code: str, detail: str = "", retry_after: timedelta | None = None) -> ChannelError:
    """The error that `word` names; `retry_after` is kept where trying again makes sense."""
    if word == "uncertain":
        return Uncertain(code, detail)
    if word in get_args(RejectedWhy):
        return Rejected(cast(RejectedWhy, word), code, detail)
    return Unavailable(cast(UnavailableWhy, word), code, detail, retry_after)


@contextmanager
def writing() -> Iterator[None]:
    """Around all that turns a message into a request: what cannot be written was not sent, and is a content refusal."""
    try:
        yield
    except ChannelError:
        raise
    except Exception as error:  # libraries trip over odd text in ways that none of them documents
        raise Rejected("content", type(error).__name__, "the message cannot be written") from None
