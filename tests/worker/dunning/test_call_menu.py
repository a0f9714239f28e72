"""What a call asks, and what each key does: every place and key, without a phone."""

from datetime import date, timedelta
from itertools import product
from typing import get_args

import pytest

from worker.calendar import calendar_for
from worker.dunning.answers import AnswerKind
from worker.dunning.call_menu import (
    ACTIONS,
    CHANGES,
    KEYS,
    MISTAKES,
    OFFERED,
    SENTENCES,
    Day,
    Here,
    Place,
    Press,
    Scene,
    Turn,
    clashes,
    days_to_promise,
    greeting,
    pressed,
)
from worker.dunning.effects import Limits

TODAY = date(2026, 4, 1)
DAYS = (Day("in_3_days", date(2026, 4, 7)), Day("in_7_days", date(2026, 4, 8)), Day("in_14_days", date(2026, 4, 15)))
SCENE = Scene(KEYS, DAYS, can_text=True)
PLACES: tuple[Place, ...] = get_args(Place)
MENU = Here("menu")


def keyed(*digits: str, scene: Scene = SCENE) -> list[Turn]:
    """The turns of a call in which these keys are pressed, one after the other."""
    turns = [greeting()]
    for digit in digits:
        here = turns[-1].then
        assert here is not None, f"the call was over before {digit!r}"
        turns.append(pressed(here, digit, scene))
    return turns


def said(*digits: str) -> list[tuple[AnswerKind, date | None, str]]:
    """What those keys say, as (kind, date, method)."""
    return [(turn.press.kind, turn.press.on, turn.press.method) for turn in keyed(*digits) if turn.press]


@pytest.mark.parametrize(
    ("digit", "kind"),
    [
        ("1", "link"),
        ("2", "already_paid"),
        ("4", "instalments"),
        ("5", "dispute"),
        ("6", "call_me"),
        ("7", "refusal"),
        ("8", "wrong_person"),
        ("0", "opt_out"),
    ],
)
def test_the_shipped_keys(digit: str, kind: str) -> None:
    """Each digit of the menu means what is told of it, once the person is confirmed, and only the link goes on."""
    assert [each for each, _, _ in said("1", digit)] == ["confirmed", kind]
    assert (keyed("1", digit)[-1].then is None) == (kind != "link")


@pytest.mark.parametrize(("digit", "day"), [("1", DAYS[0].on), ("2", DAYS[1].on), ("3", DAYS[2].on)])
def test_a_date_stands_as_soon_as_it_is_picked(digit: str, day: date) -> None:
    """3 and a date is a promise, whatever follows; then the means of payment is asked."""
    assert said("1", "3", digit)[1:] == [("promise", day, "")]
    assert keyed("1", "3", digit)[-1].says == ("promised", "method")
    assert said("1", "3", digit, "1")[2:] == [("method", None, "transfer")]
    assert said("1", "3", digit, "", "")[1:] == [("promise", day, "")]


def test_a_date_can_be_changed_and_changed_back() -> None:
    """9 asks again, and each choice has a name of its own: the first date picked again is not taken for a repeat."""
    turns = keyed("1", "3", "1", "9", "2", "9", "1")
    names = [turn.press.name for turn in turns if turn.press and turn.press.kind == "promise"]
    assert len(set(names)) == len(names) == 3
    assert said("1", "3", "1", "9", "2", "9", "1")[-1][1] == DAYS[0].on
    over = keyed("1", "3", *["1", "9"] * CHANGES, "1", "9")
    assert over[-1].then is None
    assert over[-1].press is None


def test_the_link_is_sent_once_a_call() -> None:
    """Pressing 1 again, or after other places, is the same wish."""
    presses = [
        turn.press for turn in keyed("1", "1", "1", "3", "9", "", "") if turn.press and turn.press.kind == "link"
    ]
    assert len({press.name for press in presses}) == 1


def test_nothing_pressed_is_said_once_more_and_then_goodbye() -> None:
    """At every place; whoever never confirmed is told which number to call, and nothing else."""
    for place in PLACES:
        first = pressed(Here(place), "", SCENE)
        assert first.then == Here(place, again=1)
        assert first.press is None
        assert first.then
        last = pressed(first.then, "", SCENE)
        assert (last.then, last.press) == (None, None)
        assert last.says == (("unheard",) if place == "greeting" else ("goodbye",))


def test_an_unknown_key_is_said_to_be_one() -> None:
    """The place follows; a phone that only ever sends nonsense is let go."""
    for place, digit in product(PLACES, "#*"):
        here: Here | None = Here(place)
        for _ in range(MISTAKES):
            assert here
            turn = pressed(here, digit, SCENE)
            assert turn.says[0] == "unknown"
            assert turn.press is None
            here = turn.then
        assert here
        assert pressed(here, digit, SCENE).then is None


def test_repeat_leads_to_the_very_same_place() -> None:
    """The same words from the same URL: pressing it twice posts the identical form."""
    for here in (Here("greeting"), MENU, Here("choices", again=1), Here("date", changes=2)):
        turn = pressed(here, KEYS["repeat"], SCENE)
        assert (turn.then, turn.press) == (here, None)


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_said_that_has_no_words(place: Place) -> None:
    """Every key everywhere: its sentences are known, the call goes on to a place there is, or ends."""
    for digit, again, changes in product(["", *"0123456789#*"], range(MISTAKES + 1), range(CHANGES + 1)):
        turn = pressed(Here(place, again, changes), digit, SCENE)
        assert turn.says
        assert set(turn.says) <= set(SENTENCES)
        assert turn.then is None or turn.then.at in OFFERED


def test_what_cannot_be_offered_has_no_key() -> None:
    """No SMS: no link. No day left to promise: said so, and the menu follows."""
    bare = Scene(KEYS, (), can_text=False)
    assert pressed(MENU, "1", bare).says[0] == "unknown"
    assert pressed(MENU, "3", bare) == Turn(("no_date", "choices"), Here("choices"))
    near = Scene(KEYS, DAYS[:1], can_text=True)
    assert pressed(Here("date"), "3", near).says[0] == "unknown"


def test_days_are_business_days_within_the_limits() -> None:
    """Saturday 4 April and Easter Monday are passed over; what would fall behind the last day is not offered."""
    calendar = calendar_for("FR", None)
    assert days_to_promise(Limits(TODAY, TODAY + timedelta(days=30), 6, TODAY), calendar) == DAYS
    assert days_to_promise(Limits(TODAY, TODAY + timedelta(days=7), 6, TODAY), calendar) == DAYS[:2]
    assert days_to_promise(Limits(TODAY, TODAY + timedelta(days=5), 6, TODAY), calendar) == ()


def test_keys_can_be_others() -> None:
    """The configuration says which; the menu goes by meaning."""
    keys = {**KEYS, "dispute": "7", "refusal": "5", "confirm": "2"}
    scene = Scene(keys, DAYS, can_text=True)
    assert [turn.press and turn.press.kind for turn in keyed("2", "7", scene=scene)] == [None, "confirmed", "dispute"]
    assert list(clashes(keys)) == []
    assert list(clashes({**KEYS, "refusal": "5"})) == [("dispute", "refusal")]
    assert list(clashes({**KEYS, "change": "2"})) == [("card", "change")]
    assert set(KEYS) == set(ACTIONS) == {action for offered in OFFERED.values() for action in offered}


def test_the_wrong_person_need_not_confirm_anything() -> None:
    """From the greeting on a wrong number can be told, and calls refused; both are about calls."""
    assert keyed("8")[-1].press == Press("wrong_person", "greeting:8", channels=("voice",))
    assert keyed("0")[-1].press == Press("opt_out", "greeting:0", channels=("voice",))


@pytest.mark.parametrize("wrong", [("nowhere", 0, 0), ("menu", 9, 0), ("menu", 0, 9), ("menu", -1, 0)])
def test_a_place_that_no_call_comes_to_is_none(wrong: tuple[Place, int, int]) -> None:
    """A URL is read with suspicion, even one that we wrote."""
    with pytest.raises(ValueError, match="no place"):
        Here(*wrong)
