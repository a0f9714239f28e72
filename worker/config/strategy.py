"""A strategy as its YAML file says it, and the value the rules work with."""

from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from worker.config import grammar
from worker.config.creditor import Block
from worker.config.frozen import Frozen
from worker.config.names import ChannelName
from worker.dunning.model import DebtorKind
from worker.dunning.strategy import AnswerRules, ContactRules, Step, Strategy, When, Window
from worker.problems import Place, Problem

_REACHING = ("email", "sms", "voice")
_BACKOFF = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))


def _listed(value: object) -> object:
    """One thing stands for a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


Days = Annotated[int, BeforeValidator(lambda value: grammar.days(str(value)))]
Whens = Annotated[tuple["WhenText", ...], BeforeValidator(_listed), Field(min_length=1)]
WhenText = Annotated[When, BeforeValidator(lambda value: grammar.when(str(value)))]
HoursText = Annotated[tuple[time, time], BeforeValidator(lambda value: grammar.hours(str(value)))]
CapText = Annotated[tuple[int, int], BeforeValidator(lambda value: grammar.cap(str(value)))]
WaitText = Annotated[timedelta, BeforeValidator(lambda value: grammar.wait(str(value)))]
Weekdays = Annotated[frozenset[int], BeforeValidator(lambda value: grammar.weekdays(_joined(value)))]
Amount = Annotated[Decimal, Field(ge=0, max_digits=15, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


def _joined(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


class WindowFile(Frozen):
    """`{days: mon-fri, hours: ["09:00-12:00"], holidays: false}`."""

    days: Weekdays
    hours: Annotated[tuple[HoursText, ...], BeforeValidator(_listed), Field(min_length=1)]
    holidays: bool = False

    @model_validator(mode="after")
    def _hours_apart(self) -> Self:
        grammar.in_order(self.hours)
        return self

    def value(self) -> Window:
        """What the rules use."""
        return Window(self.days, grammar.in_order(self.hours), self.holidays)


class ContactFile(Frozen):
    """When and how often debtors may be contacted."""

    window: WindowFile
    windows: Mapping[ChannelName, WindowFile] = Field(default_factory=dict)
    min_gap: Days = 3
    late_after: Days = 7
    fallback: tuple[ChannelName, ...] | None = None
    caps: Mapping[ChannelName, CapText] = Field(default_factory=dict)

    def value(self, fallback: tuple[str, ...]) -> ContactRules:
        """What the rules use; `fallback` is for a file that names none."""
        return ContactRules(
            window=self.window.value(),
            windows={channel: window.value() for channel, window in self.windows.items()},
            min_gap_days=self.min_gap,
            fallback=fallback if self.fallback is None else self.fallback,
            late_after_days=self.late_after,
            caps=dict(self.caps),
        )


class Needs(Frozen):
    """What must be so before a step is taken: a person's approval, at least that much owed."""

    approval: bool = False
    amount: Amount = Decimal(0)


class StepFile(Frozen):
    """A rung. `notice` is the step's own name unless said otherwise."""

    name: Name
    when: Whens
    channel: ChannelName | None = None
    channels: tuple[ChannelName, ...] = ()
    first_of: tuple[ChannelName, ...] = ()
    notice: Name | None = None
    tone: int = Field(default=0, ge=0, le=4)
    deadline: Days | None = None
    needs: Needs = Needs()
    handover: Name | None = None
    attempts: int = Field(default=3, ge=1, le=4)

    @property
    def reaches(self) -> tuple[str, ...]:
        """Its channels, however they are written."""
        return (self.channel,) if self.channel else self.channels or self.first_of

    @model_validator(mode="after")
    def _one_way_out(self) -> Self:
        ways = [bool(way) for way in (self.channel, self.channels, self.first_of, self.handover)]
        if sum(ways) != 1:
            raise ValueError("needs exactly one of: channel, channels, first_of, handover")
        if self.handover and self.deadline is not None:
            raise ValueError("a handover asks for nothing any more: it has no deadline")
        if len(set(self.reaches)) != len(self.reaches):
            raise ValueError("names a channel twice")
        return self

    def value(self) -> Step:
        """What the rules use."""
        return Step(
            name=self.name,
            when=self.when,
            notice=self.notice or self.name,
            channels=self.reaches,
            first=bool(self.first_of),
            tone=self.tone,
            deadline=self.deadline,
            approval=self.needs.approval,
            min_amount=self.needs.amount,
            handover=self.handover or "",
            attempts=self.attempts,
        )


class AnswersFile(Frozen):
    """How far a debtor can settle things alone; beyond it a person decides."""

    promise_within: Annotated[Days, Field(ge=1, le=90)] = 30
    instalments: int = Field(default=6, ge=2, le=12)
    first_instalment_within: Annotated[Days, Field(ge=1, le=90)] = 30

    def value(self) -> AnswerRules:
        """What the rules use."""
        return AnswerRules(
            promise_days=self.promise_within,
            instalments=self.instalments,
            first_days=self.first_instalment_within,
        )


class StrategyFile(Frozen):
    """A whole file. `debtors` are the kinds it is written for: a creditor may use it for no other."""

    name: str
    description: Block = ""
    debtors: tuple[DebtorKind, ...] = Field(min_length=1)
    group_by: Literal["debtor", "invoice"] = "debtor"
    driven_by: Literal["ladder", "jobs"] = "ladder"
    min_amount: Amount = Decimal(0)
    backoff: tuple[WaitText, ...] = Field(default=_BACKOFF, min_length=1)
    answers: AnswersFile = AnswersFile()
    contact: ContactFile
    ladder: tuple[StepFile, ...] = Field(min_length=1)

    @property
    def reaches(self) -> frozenset[str]:
        """Every channel it may send on."""
        return frozenset(channel for step in self.ladder for channel in step.reaches) | set(self._fallback())

    def value(self, digest: str) -> Strategy:
        """What the rules use."""
        return Strategy(
            name=self.name,
            steps=tuple(step.value() for step in self.ladder),
            contact=self.contact.value(self._fallback()),
            description=self.description,
            debtors=self.debtors,
            driven_by=self.driven_by,
            group_by=self.group_by,
            min_amount=self.min_amount,
            backoff=self.backoff,
            answers=self.answers.value(),
            digest=digest,
        )

    def _fallback(self) -> tuple[str, ...]:
        """Those of email, sms and voice that the ladder itself uses, unless the file names others."""
        if self.contact.fallback is not None:
            return self.contact.fallback
        used = {channel for step in self.ladder for channel in step.reaches}
        return tuple(channel for channel in _REACHING if channel in used)


def faults(file: StrategyFile) -> Iterator[Problem]:
    """What is wrong with the ladder as a whole, each step being right in itself."""
    for index, step in enumerate(file.ladder):
        above = file.ladder[:index]
        place: Place = ("ladder", index)
        if step.name in {other.name for other in above}:
            yield Problem((*place, "name"), f"{step.name!r} is the name of a step above; a step is known by its name")
        if step.handover and step is not file.ladder[-1]:
            yield Problem((*place, "handover"), "a handover ends the ladder; no step can come after it")
        for when in step.when:
            yield from _unreachable((*place, "when"), when, above)


def _unreachable(place: Place, when: When, above: tuple[StepFile, ...]) -> Iterator[Problem]:
    if when.origin == "previous" and not above:
        yield Problem(place, "'previous' needs a step above")
    if when.origin == "previous_deadline" and not any(step.deadline is not None for step in above):
        yield Problem(place, "'previous deadline' needs a step above that has a deadline")
    if when.origin == "due" and (latest := _latest(when, above)) and latest.days > when.days:
        yield Problem(place, f"comes before a step above it, which waits for day {latest.days:+} from the due date")


def _latest(when: When, above: tuple[StepFile, ...]) -> When | None:
    """The latest day, counted the same way, that any step above waits for."""
    same = [other for step in above for other in step.when if (other.origin, other.business) == ("due", when.business)]
    return max(same, key=lambda other: other.days, default=None)
