"""The plan: the same seed is the same run, and what the judge relies on holds for every seed."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.plan import BOUNDED, FULL, SENDERS, TURN, WEIGHTS, Scale, plan
from tests.chaos.tail import Tail
from tests.chaos.world import write_config
from worker import config


@pytest.mark.parametrize("scale", [BOUNDED, FULL])
@given(seed=st.integers(0, 2**32))
def test_a_seed_is_a_run(scale: Scale, seed: int) -> None:
    """Drawn again it is the same; no two debtors share an address; every part is killed, in the order of time."""
    drawn = plan(seed, scale)
    assert drawn == plan(seed, scale)
    addresses = [debtor.address(channel) for debtor in drawn.debtors for channel in ("email", "sms")]
    assert len(set(addresses)) == 2 * scale.cases
    assert {kill.part for kill in drawn.kills} == WEIGHTS.keys()
    assert list(drawn.kills) == sorted(drawn.kills, key=lambda kill: kill.at)


def test_the_provider_is_ordered_to_do_what_the_proof_asks_for() -> None:
    """Each fault it names, a tenth of answers lost, of lists late by half a minute, and, on every channel, of messages
    without a receipt; receipts come early, twice and shuffled.
    """
    faults = {fault["kind"]: fault["share"] for fault in plan(1, FULL).faults if fault["kind"] != "late"}
    assert faults.keys() >= {"refuse", "429", "500", "hang", "accept_then_drop", "accept_then_500"}
    assert "late" in {fault["kind"] for fault in plan(1, FULL).faults}
    assert faults["accept_then_drop"] >= 0.1
    assert plan(1, FULL).listings == ({"share": 0.1, "seconds": 30},)
    for channel in SENDERS:
        found = [reaction for reaction in plan(1, FULL).reactions if reaction["channel"] == channel]
        silent, early, twice, shuffled = found
        assert (silent["receipts"], silent["share"], early["early"]) == ([], 0.1, True)
        assert len(twice["receipts"]) == 2 * len(set(twice["receipts"]))
        assert sorted(shuffled["receipts"]) == sorted(set(twice["receipts"]))
        assert shuffled["receipts"] != twice["receipts"][: len(shuffled["receipts"])]


def test_half_of_those_who_pay_do_so_as_a_day_turns() -> None:
    """That is when messages are on their way, and a payment can come too late."""
    pays = [debtor.pays / FULL.day for debtor in plan(1, FULL).debtors if debtor.pays is not None]
    turning = [moment for moment in pays if (moment - TURN) - math.floor(moment - TURN) < 0.15]
    assert len(pays) > 0.15 * FULL.cases
    assert len(turning) > len(pays) / 2


def test_the_configuration_is_one(tmp_path: Path) -> None:
    """A ladder for each order of channels, and nothing that `relance check` minds."""
    found = config.load(write_config(tmp_path / "config"), {})
    ladders = [[step.channels for step in strategy.steps] for strategy in found.strategies.values()]
    assert len(ladders) == 3
    assert all(sorted(ladder) == [("email",), ("sms",), ("task",), ("voice",)] for ladder in ladders)


def test_the_tail_knows_which_requests_are_open(tmp_path: Path) -> None:
    """From a log that grows, half a line included; a request for a list sends nothing and is none."""
    log, tail = tmp_path / "log", Tail(tmp_path / "log")
    send = {"run": "r", "channel": "sms", "method": "POST", "path": "/2010-04-01/Accounts/AC0/Messages.json"}
    lines = [
        {"event": "opened", "request": 1, **send},
        {"event": "opened", "request": 2, **send, "method": "GET"},
        {"event": "opened", "request": 3, **send},
        {"event": "dropped", "request": 1, "run": "r", "channel": "sms"},
    ]
    texts = [json.dumps(line) + "\n" for line in lines]
    log.write_text("".join(texts[:2]) + texts[2][:9])
    assert (tail.open("sms"), tail.open("email"), tail.open()) == (1, 0, 1)
    log.write_text("".join(texts))
    assert tail.open("sms") == 1
