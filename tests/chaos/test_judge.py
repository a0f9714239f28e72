"""The judge: it finds what was planted, and nothing where nothing was."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos import judge as judging
from tests.chaos.judge import FACTS, LOG, judge, judge_folder
from tests.chaos.trial import BEGAN, CHANNELS, ENDED, Trial, stamp
from tests.chaos.words import in_words, together


def broken(trial: Trial) -> list[str]:
    """The promises that the judge finds broken, each as often as it was."""
    return [each.promise for each in judge(trial.log, trial.facts).broken]


HERE = Path(judging.__file__).parent


def test_it_imports_nothing_of_ours() -> None:
    """Whoever judges the code does not use it: the standard library and itself."""
    sources = [ast.parse(path.read_text(encoding="utf-8")) for path in HERE.glob("*.py")]
    nodes = [node for source in sources for node in ast.walk(source)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    others = {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in others if not f"{name}.".startswith("tests.chaos.judge.")} == set()


def test_a_clean_run_is_clean() -> None:
    """Every message once, every case with a next look: nothing to say, and the figures add up."""
    verdict = judge((trial := Trial()).log, trial.facts)
    assert verdict.broken == []
    assert (verdict.figures["messages"], verdict.figures["accepted"], verdict.figures["losses"]) == (9, 9, 0)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_planted_duplicate_is_found(step: int) -> None:
    """The same message accepted a second time, under whatever attempt, on every channel."""
    trial = Trial()
    trial.accept(1, step, 55, attempt="chaos-1.4")
    assert broken(trial) == ["duplicate"]


def test_a_duplicate_is_found_across_two_lives_of_the_sandbox() -> None:
    """It numbers its requests anew when it is started again; a message is the same message."""
    trial = Trial()
    trial.accept(1, 2, 55, run="another", request=1)
    assert broken(trial) == ["duplicate"]


@pytest.mark.parametrize("status", ["released", "unavailable", "reserved", "sending"])
def test_a_planted_loss_is_found(status: str) -> None:
    """A message that nobody accepted, of a case that goes on as if all had been said."""
    trial = Trial()
    trial.lose(1, 2)
    trial.say(1, 2, status)
    assert broken(trial) == ["loss"]


def test_a_step_that_was_never_tried_is_lost() -> None:
    """A case that does not know of a message is no excuse for it."""
    trial = Trial()
    trial.lose(1, 3)
    del trial.case(1)["messages"][2]
    assert broken(trial) == ["loss"]


def test_what_is_said_to_have_gone_and_did_not_is_lost_even_under_a_hold() -> None:
    """Believed sent is the worst of losses: nobody would ever look for it. No hold and no end excuses it."""
    trial = Trial()
    trial.lose(1, 2)
    trial.hold(1, "message")
    assert "loss" in broken(trial)


@pytest.mark.parametrize("hold", ["uncertain", "error"])
def test_a_named_hold_excuses_silence(hold: str) -> None:
    """A person can see it, and decides. How many such there may be is bounded."""
    trial = Trial(50, wrong=True)
    trial.lose(1, 3)
    trial.say(1, 3, "unavailable")
    trial.hold(1, hold)
    assert broken(trial) == []


@pytest.mark.parametrize("reason", ["unreachable", "ladder_done"])
def test_a_hold_that_the_provider_can_explain_excuses_nothing_itself(reason: str) -> None:
    """Nobody refused the address, and not all was said: the case is held for no reason that anybody else knows of."""
    trial = Trial(50, wrong=True)
    trial.lose(1, 3)
    trial.say(1, 3, "released")
    trial.hold(1, reason)
    assert broken(trial) == ["loss"]


def test_silence_is_not_excused_by_another_cases_refusal() -> None:
    """Each address for itself, and each message."""
    trial = Trial(50, wrong=True)
    trial.refuse(1, 3)
    trial.lose(2, 3)
    trial.say(2, 3, "unavailable")
    trial.hold(2, "unreachable")
    assert broken(trial) == ["loss"]


def test_everybody_held_in_silence_is_found() -> None:
    """A named hold is an excuse for few: nothing was ever sent, and every case waits for a person."""
    trial = Trial(40)
    for number in range(40):
        for step in (1, 2, 3):
            trial.lose(number, step)
            trial.say(number, step, "unavailable")
        trial.hold(number, "error")
    assert "held" in broken(trial)


def test_a_ladder_that_is_done_excuses_nothing() -> None:
    """A case whose steps are all said to be taken has told the debtor all of them."""
    trial = Trial()
    trial.lose(1, 3)
    trial.say(1, 3, "released")
    trial.hold(1, "ladder_done")
    assert "loss" in broken(trial)


def test_an_address_that_was_refused_is_no_loss() -> None:
    """The provider said that it will never take it; the case goes on from there."""
    trial = Trial()
    trial.refuse(1, 1)
    assert broken(trial) == []


def test_a_refusal_that_the_provider_knows_nothing_of_is_a_loss() -> None:
    """A case cannot excuse itself by what nobody said."""
    trial = Trial()
    trial.refuse(1, 1)
    trial.lose(2, 1)
    trial.say(2, 1, "rejected")
    assert broken(trial) == ["loss"]


def test_a_job_that_was_taken_and_left_no_case_is_lost() -> None:
    """What was answered with 200 is in the store."""
    trial = Trial()
    trial.facts["cases"].pop()
    for step in range(1, 4):
        trial.lose(2, step)
    assert broken(trial) == ["loss"]


def test_a_payment_that_was_taken_and_left_no_trace_is_lost() -> None:
    """The same for a payment: the case would be chased again."""
    trial = Trial()
    trial.facts["debtors"][1]["paid"] = BEGAN + 60
    assert broken(trial) == ["loss"]


def test_a_refusal_that_was_never_answered_is_a_loss() -> None:
    """Nobody can know of it: the case says so by luck."""
    trial = Trial()
    trial.refuse(1, 1)
    trial.log = [line for line in trial.log if line.get("status") != 400]
    assert broken(trial) == ["loss"]


@pytest.mark.parametrize("ended", ["paid", "credited", "handed_over", "closed"])
def test_an_end_that_nobody_paid_for_is_found(ended: str) -> None:
    """It excuses no silence either: a worker that ends its cases sends nothing twice, and nothing at all."""
    trial = Trial()
    trial.lose(1, 3)
    trial.case(1).update(state="ended", ended=ended, agenda=None)
    del trial.case(1)["messages"][2]
    assert broken(trial) == ["loss", "end"]


def test_a_payment_excuses_what_was_still_to_come() -> None:
    """That is the end everybody hopes for."""
    trial = Trial()
    trial.lose(1, 3)
    trial.say(1, 3, "released")
    trial.case(1)["history"].pop()
    trial.pay(1, 29)
    assert broken(trial) == []


def test_a_debtor_whose_job_was_never_taken_is_found() -> None:
    """Upstream repeats it until it is: whoever opens no door loses nothing, and says nothing."""
    trial = Trial()
    trial.facts["debtors"][2]["taken"] = None
    trial.log = [line for line in trial.log if line.get("to") not in trial.facts["debtors"][2]["to"].values()]
    trial.facts["cases"].pop()
    assert broken(trial) == ["taken"]


def test_a_payment_that_was_never_taken_is_found() -> None:
    """The plan has it, and no answer came."""
    trial = Trial()
    trial.facts["debtors"][1]["pays"] = True
    assert broken(trial) == ["taken"]


def test_a_message_to_nobody_we_know_is_found() -> None:
    """No address but those that upstream gave, and each for its own debtor."""
    trial = Trial()
    trial.accept(1, 2, 55, to="+33639989999")
    assert broken(trial) == ["stranger"]


def test_a_message_about_another_case_is_found() -> None:
    """A debtor who reads what somebody else owes."""
    trial = Trial()
    trial.lose(1, 2)
    trial.accept(1, 2, 22, attempt="chaos-0.2")
    assert broken(trial) == ["stranger"]


@pytest.mark.parametrize(("after", "promises"), [(5.9, []), (6.1, ["after"])])
def test_a_planted_late_message_is_found(after: float, promises: list[str]) -> None:
    """Accepted later than one call's bound after the payment; what is within it is counted and no more."""
    trial = Trial()
    trial.pay(1, 31.1 - after)
    verdict = judge(trial.log, trial.facts)
    begun = [event for event in trial.case(1)["history"] if event["type"] == "AttemptBegun"]
    assert begun[-1]["committed"] > BEGAN + 31.1 - after
    found = [each for each in verdict.broken if "accepted" in each.evidence]
    assert [each.promise for each in found] == promises
    assert verdict.figures["accepted_late_within_bound"] == (not promises)


def test_a_call_that_began_after_the_payment_is_found() -> None:
    """However soon after, and whether or not anybody accepted it."""
    trial = Trial()
    trial.pay(1, 30.9)
    trial.lose(1, 3)
    trial.say(1, 3, "unavailable")
    assert broken(trial) == ["after"]


def test_a_call_begun_before_the_payment_may_still_arrive() -> None:
    """It had left; nobody could call it back."""
    trial = Trial()
    trial.pay(1, 31.0)
    verdict = judge(trial.log, trial.facts)
    assert verdict.broken == []
    assert verdict.figures["accepted_late_within_bound"] == 1


@pytest.mark.parametrize("entry", ["agenda", "in_flight"])
@pytest.mark.parametrize(("when", "promises"), [(None, ["limbo"]), (ENDED - 60, ["limbo"]), (ENDED + 1, [])])
def test_a_case_in_limbo_is_found(entry: str, when: float | None, promises: list[str]) -> None:
    """No hold, no end, and no entry that brings the scheduler to it; or one that fell due and that nobody took.

    Whatever the rules say of the case: they do so only when somebody looks.
    """
    trial = Trial()
    trial.case(1).update(agenda=None, in_flight=None)
    trial.case(1)[entry] = when
    assert broken(trial) == promises


def test_a_snapshot_that_is_not_its_history_is_found() -> None:
    """What the store shows is what happened."""
    trial = Trial()
    trial.case(1)["folds"] = False
    assert broken(trial) == ["fold"]


@pytest.mark.parametrize("event", ["child.killed", "process.cut_off", "worker.cut_off"])
def test_whoever_is_cut_off_when_asked_to_stop_is_found(event: str) -> None:
    """Asked to stop, everybody stops and leaves nothing undone; what must be killed was stuck."""
    trial = Trial()
    trial.facts["cut_off"] = [{"event": event, "child": "scheduler"}]
    assert broken(trial) == ["stop"]


@pytest.mark.parametrize(("code", "seconds", "promises"), [(0, 29.9, []), (0, 30.0, ["stop"]), (1, 2.0, ["stop"])])
def test_a_stop_has_half_a_minute(code: int, seconds: float, promises: list[str]) -> None:
    """And ends well."""
    trial = Trial()
    trial.facts["stopped"] |= {"code": code, "seconds": seconds}
    assert broken(trial) == promises


@pytest.mark.parametrize(("held", "settles", "promises"), [(2, True, []), (3, True, ["held"]), (3, False, [])])
def test_more_than_two_in_a_hundred_uncertain_is_too_many(held: int, *, settles: bool, promises: list[str]) -> None:
    """With settling on; without, every lost answer without a receipt waits for a person."""
    trial = Trial(100, wrong=True)
    trial.facts["settles"] = settles
    for number in range(held):
        trial.say(number, 3, "uncertain")
        trial.hold(number, "uncertain")
    assert broken(trial) == promises


@pytest.mark.parametrize("reason", ["error", "message", "unreachable", "manual"])
def test_more_than_two_in_a_hundred_held_is_too_many(reason: str) -> None:
    """Whatever it is called: all was said, and yet each of them takes a person's time. Settling has no part in it."""
    trial = Trial(100, wrong=True)
    trial.facts["settles"] = False
    for number in range(3):
        trial.hold(number, reason)
    assert broken(trial) == ["held"]


def test_a_case_whose_address_was_refused_is_held_with_reason() -> None:
    """The provider's own log explains it, so any number may be; a person has to look at them all the same."""
    trial = Trial()
    for number in (0, 1):
        trial.refuse(number, 3)
        trial.hold(number, "unreachable")
    trial.hold(2, "ladder_done")
    verdict = judge(trial.log, trial.facts)
    assert verdict.broken == []
    reasons = {"unreachable": 2, "ladder_done": 1}
    figures = verdict.figures
    assert (figures["held_for_operator"], figures["held_by_reason"], figures["held_explained"]) == (3, reasons, reasons)
    assert "held by reason               unreachable 2, ladder_done 1" in in_words(verdict)
    assert "held unexplained             0 (0.00 %)" in in_words(verdict)


def test_a_paid_case_is_held_for_nobody_unless_a_message_is_uncertain() -> None:
    """What was still to be decided is decided by the payment; where a message went is still to be found out."""
    trial = Trial(50, wrong=True)
    for number, reason in ((0, "message"), (1, "uncertain")):
        trial.hold(number, reason)
        trial.pay(number, 60)
    assert judge(trial.log, trial.facts).figures["held_by_reason"] == {"uncertain": 1}


def test_kills_that_hit_nothing_prove_nothing() -> None:
    """A third of them must land while a request is open; of a channel's worker, one of that channel."""
    trial = Trial()
    trial.kill("sms", 20.1, 1)
    trial.kill("scheduler", 10.1, 1)
    trial.kill("email", 20.15, 1)
    trial.kill("web", 15, 1)
    verdict = judge(trial.log, trial.facts)
    assert (verdict.broken, verdict.figures["kills_at_an_open_request"]) == ([], 3)
    for second in (15.5, 16, 17, 18, 19):
        trial.kill("web", second, 1)
    assert broken(trial) == ["aim"]


def test_a_part_that_never_came_back_is_found() -> None:
    """However well all went without it."""
    trial = Trial()
    trial.kill("sms", 20.1, None)
    assert broken(trial) == ["back"]


def test_a_kill_that_was_missed_is_found() -> None:
    """What was not there to be killed for so long had gone by itself; and the plan's kills are the proof."""
    trial = Trial()
    trial.facts["kills_planned"] += 1
    trial.facts["kills_missed"] = [{"part": "web", "at": BEGAN + 30}]
    verdict = judge(trial.log, trial.facts)
    assert [each.promise for each in verdict.broken] == ["aim"]
    assert "web" in verdict.broken[0].evidence


def test_a_run_without_a_kill_proves_nothing() -> None:
    """Nor does one that planned none."""
    trial = Trial()
    trial.facts.update(kills=[], kills_planned=0, started=[])
    assert broken(trial) == ["aim"]


def test_recovery_is_counted_from_the_kill() -> None:
    """Until the part is there again, and until the next message is accepted after that: of its own channel."""
    trial = Trial()
    trial.facts.update(kills=[], started=[])
    trial.kill("sms", 9.5, 0.5)
    trial.kill("web", 10.15, 0.5)
    found = judge(trial.log, trial.facts).figures["recovery"]
    assert found == {"sms": [(0.5, 10.6)], "web": [(0.5, 0.95)]}


def test_runs_add_up() -> None:
    """Their figures, their broken promises, and each kill for itself."""
    one, other = Trial(), Trial(4)
    one.kill("sms", 20.1, 0.5)
    other.kill("sms", 20.1, 1.5)
    other.kill("web", 10.15, 0.5)
    other.lose(1, 2)
    other.facts["stopped"]["seconds"] = 7.5
    verdict = together([judge(trial.log, trial.facts) for trial in (one, other)])
    assert [each.promise for each in verdict.broken] == ["loss"]
    assert (verdict.figures["seed"], verdict.figures["messages"], verdict.figures["losses"]) == ("1, 1", 21, 1)
    assert verdict.figures["kills"] == {"scheduler": 2, "sms": 2, "web": 1}
    assert verdict.figures["slowest_stop_s"] == 7.5
    assert [back for back, _ in verdict.figures["recovery"]["sms"]] == [0.5, 1.5]
    assert "sms                          1.0, 1.5" in in_words(verdict)


def _noise(random: Random) -> dict[str, object]:
    """A line that says nothing of a message."""
    event = random.choice(["twiml", "listed", "invalid"])
    base = {
        "run": "r",
        "provider": "p",
        "channel": random.choice(CHANNELS),
        "request": random.randrange(10_000, 20_000),
    }
    return {"event": event, "at": stamp(random.uniform(0, 60)), **base, "id": "x", "url": "http://127.0.0.1/"}


@given(st.integers(0, 2**32), st.sampled_from(["nothing", "duplicate", "loss", "late"]))
def test_order_and_irrelevant_lines_change_nothing(seed: int, planted: str) -> None:
    """Lines of requests that overlap stand in any order, and what is said in calls is none of the judge's business."""
    random, trial = Random(seed), Trial()
    trial.kill("sms", 20.1, 1)
    if planted == "duplicate":
        trial.accept(1, 2, 55)
    elif planted == "loss":
        trial.lose(1, 2)
    elif planted == "late":
        trial.pay(1, 12)
    before = judge(trial.log, trial.facts)
    trial.log += [_noise(random) for _ in range(random.randrange(20))]
    random.shuffle(trial.log)
    random.shuffle(trial.facts["cases"])
    after = judge(trial.log, trial.facts)
    assert sorted((b.promise, b.evidence) for b in after.broken) == sorted(
        (b.promise, b.evidence) for b in before.broken
    )
    assert after.figures == before.figures
    assert bool(before.broken) == (planted != "nothing")


def test_it_runs_alone_on_a_folder(tmp_path: Path) -> None:
    """Without the project on the path, and its exit code says whether every promise held."""
    alone = tmp_path / "alone" / "tests" / "chaos" / "judge"
    shutil.copytree(HERE, alone)
    trial = Trial()
    for name, promises in (("good", 0), ("bad", 1)):
        folder = tmp_path / name
        folder.mkdir()
        if promises:
            trial.accept(1, 2, 55)
        (folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in trial.log))
        (folder / FACTS).write_text(json.dumps(trial.facts))
        done = subprocess.run(
            [sys.executable, "-E", "-m", "tests.chaos.judge", str(folder)],
            cwd=tmp_path / "alone",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == promises, done.stderr
        assert [promise for promise, _ in json.loads(done.stdout)["broken"]] == ["duplicate"] * promises
        assert len(judge_folder(folder).broken) == promises
