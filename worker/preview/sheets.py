"""What a strategy says, step by step, as the worker itself would word it for an example that nobody answers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from channels.base import ConfigurationError, Message
from worker.app import Setup
from worker.call import scene_of, words
from worker.dunning.answers import Answer
from worker.dunning.call_menu import Place, sentences
from worker.dunning.model import StepRun
from worker.dunning.strategy import Step
from worker.example import Example, example_of
from worker.messages import NothingToSay, prepare, wording_of
from worker.plan import Rung, Stage, stages
from worker.render import Wording

#: One invoice; several of them, one part-paid, and a credit note; one invoice after a promise was broken.
Variant = Literal["one", "several", "promise"]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The words of a channel, and in which variants of the example they are these. `message` is None for a task.

    Of a task that holds the email's words, to be sent by hand, `letter` is that email's wording.
    `call` is what a call says at each place, to whoever picks up.
    """

    variants: tuple[Variant, ...]
    wording: Wording
    message: Message | None
    letter: Wording | None
    call: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """A channel that a step may go by, and its words; without any where the creditor has no sender for it."""

    channel: str
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step: when the example takes it (None: never), its own channels, and those that may stand in for them."""

    step: Step
    rung: Rung | None
    own: tuple[Way, ...]
    fallback: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A strategy, for one kind of debtor."""

    example: Example
    steps: tuple[ShownStep, ...]

    @property
    def id(self) -> str:
        """Tells it from the others on the page."""
        return f"{self.example.strategy.name}-{self.example.kind}"

    @property
    def dated(self) -> bool:
        """Have its steps days? Those of a strategy driven by jobs have none of their own."""
        return self.example.strategy.driven_by == "ladder"


def chapters(
    setup: Setup, strategies: Iterable[str], due_on: date, *, creditor: str | None = None, locale: str | None = None
) -> list[Chapter]:
    """A chapter for each strategy and kind of debtor it is written for. Raises WordingError.

    `creditor` and `locale` default to those who use the strategy, and to their language.
    """
    return [
        _chapter(setup, example_of(setup.config, name, due_on, creditor=creditor, kind=kind, locale=locale))
        for name in strategies
        for kind in setup.config.strategies[name].debtors
    ]


def _chapter(setup: Setup, example: Example) -> Chapter:
    found = _variants(example)
    return Chapter(example, tuple(_step(setup, example, step, found) for step in example.strategy.steps))


def _variants(example: Example) -> dict[Variant, dict[str, Stage]]:
    """The stage at which each variant takes each step. Where each invoice has a case of its own, several are as one."""
    alone, several = example, replace(example, several=example.strategy.group_by == "debtor")
    found = [{stage.rung.step: stage for stage in reversed(stages(e.strategy, e.case()))} for e in (alone, several)]
    promise = {name: _after_a_promise(stage) for name, stage in found[0].items()}
    return {"one": found[0], "several": found[1], "promise": promise}


def _after_a_promise(stage: Stage) -> Stage:
    run = stage.case.run(stage.rung.step, stage.anchor)
    return replace(stage, case=stage.case.with_run(replace(run, firmer=True))) if run else stage


def _step(setup: Setup, example: Example, step: Step, variants: dict[Variant, dict[str, Stage]]) -> ShownStep:
    found = {name: by_step[step.name] for name, by_step in variants.items() if step.name in by_step}
    own = step.channels or ("task",)  # the file that whoever takes the case over is given
    spare = tuple(channel for channel in example.strategy.contact.fallback if channel not in own and not step.handover)
    rung = found["one"].rung if "one" in found else None
    return ShownStep(step, rung, _ways(setup, step, own, found), _ways(setup, step, spare, found))


def _ways(setup: Setup, step: Step, channels: Iterable[str], found: dict[Variant, Stage]) -> tuple[Way, ...]:
    return tuple(Way(channel, _sheets(setup, step, channel, found)) for channel in channels)


def _sheets(setup: Setup, step: Step, channel: str, found: dict[Variant, Stage]) -> tuple[Sheet, ...]:
    """Variants whose words are the same share a sheet."""
    sheets: dict[str, Sheet] = {}
    for variant, stage in found.items():
        try:
            sheet = _sheet(setup, step, channel, variant, stage)
        except (ConfigurationError, NothingToSay):
            continue
        known = sheets.get(sheet.wording.digest)
        sheets[sheet.wording.digest] = replace(known, variants=(*known.variants, variant)) if known else sheet
    return tuple(sheets.values())


def _sheet(setup: Setup, step: Step, channel: str, variant: Variant, stage: Stage) -> Sheet:
    if channel == "task":
        task = wording_of(setup, stage.case, step, stage.anchor, "task", stage.at, example=True)
        email = wording_of(setup, stage.case, step, stage.anchor, "email", stage.at, example=True)
        return Sheet((variant,), task, None, email if email.text in task.text else None)
    run = stage.case.run(step.name, stage.anchor)
    if run is None:
        raise NothingToSay
    prepared = prepare(setup, stage.case, run, channel, 1, stage.at, example=True)
    call = _call(setup, stage, run) if channel == "voice" else ()
    return Sheet((variant,), prepared.wording, prepared.message, None, call)


def _call(setup: Setup, stage: Stage, run: StepRun) -> tuple[tuple[str, str], ...]:
    """Each place of a call, the first day promised where a date is read back."""
    days = scene_of(setup, stage.case, stage.at).days
    said = Answer(kind="promise", source="call", ref="", on=days[0].on) if days else None
    places: list[Place] = ["greeting", "menu", "date", "promised"] if days else ["greeting", "menu"]
    return tuple((place, words(setup, stage.case, run, stage.at, sentences(place), said)) for place in places)
