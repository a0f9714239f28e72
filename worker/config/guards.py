"""What keeps messages back although their day has come: payments that nobody tells of, too many at once."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from worker.config import grammar
from worker.config.frozen import Frozen
from worker.config.grammar import Ramp


def _no_moment(value: timedelta) -> timedelta:
    """A feed is a matter of hours; a guard of seconds would stop everything at each breath."""
    if value < timedelta(minutes=5):
        raise ValueError("shorter than 5m")
    return value


def _in_a_day(value: Ramp) -> Ramp:
    if value.per > timedelta(days=1):
        raise ValueError("per longer than 24h")
    return value


Age = Annotated[timedelta, BeforeValidator(lambda value: grammar.age(str(value))), AfterValidator(_no_moment)]

RampText = Annotated[Ramp, BeforeValidator(lambda value: grammar.ramp(str(value))), AfterValidator(_in_a_day)]


class PaymentsFeed(Frozen):
    """How long the billing system may say nothing of payments before no claim is sent any more."""

    max_age: Age
