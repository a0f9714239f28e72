"""The bench: its arithmetic, and that it still runs and tells a loss from a success."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import GOALS, KEYS, Goal, find, percentile, ratios, verdicts
from tests.bench.measure import Results, figures
from tests.bench.moments import Recovery
from tests.bench.profile import costs
from tests.bench.receipts import Answers
from tests.bench.report import table
from tests.bench.stage import CHANNELS
from tests.bench.trips import Trips, total
from tests.bench.workloads import Run
from tests.conftest import ROOT


def _results() -> Results:
    """Round numbers for every part, the same on all channels."""
    results = Results()
    rates = {"bare": (1000.0, 2000.0), "sdk_only": (400.0, 800.0), "celery": (100.0, 200.0), "relance": (100.0, 200.0)}
    for channel in CHANNELS:
        cpu = {"intake": 0.1, "scheduler": 0.2, channel: 0.3, "provider": 9.0}
        for name, found in rates.items():
            results.runs[channel][name] = [Run(100, 100 / rate, cpu) for rate in found]
        results.phases[channel] = (400.0, 200.0)
        results.trips[channel] = Trips({"sms store see": 5.5, "intake broker ack": 4.0}, {"sms store see": 9.0})
        results.bytes[channel] = {"snapshot": 1000, "history": 900}
        results.late[channel] = [100.0, 110.0, 400.0]
        results.recoveries[channel] = Recovery(12.34, 16, 8)
    results.shared_bytes = {"agenda": 80}
    results.claims = {"1k": 0.2, "1M": 0.4}
    results.web = Answers(1234.5, 3.2109)
    results.payments = [10.0, 20.0, 30.0]
    return results


def test_a_percentile_is_one_of_the_values() -> None:
    """The smallest value that so many do not exceed; of a hundred, the 99th is not the worst."""
    values = [float(value) for value in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(list(reversed(values)), 1.0) == 100
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7


def test_a_ratio_is_the_median_over_repetitions() -> None:
    """A repetition in which the whole machine was slow counts like the others."""
    assert ratios({"relance": [100, 10, 50], "bare": [1000, 100, 1000]}) == {"bare": 0.1}


@pytest.mark.parametrize(("value", "least", "met"), [(2.0, True, True), (1.9, True, False), (2.0, False, True)])
def test_a_goal_is_met_at_its_limit(value: float, least: bool, met: bool) -> None:
    """At least means from there on, at most means up to there."""
    assert Goal("x", 2.0, least=least).met(value) is met


def test_the_file_holds_the_figures_by_their_names() -> None:
    """SMS at the top; email and voice hold the same, but for claims, payments and web doors, which know no channel."""
    found = figures(_results(), CHANNELS)
    assert set(KEYS) <= found.keys()
    for channel in ("email", "voice"):
        assert set(KEYS) - {"claim_ms", "web", "paid_to_silence_ms"} <= found[channel].keys()
    assert found["ratio"] == {"bare": 0.1, "sdk_only": 0.25, "celery": 1.0}
    assert found["reminders_per_s"] == 150
    assert found["cpu_ms_per_reminder"] == 6
    assert found["redis_round_trips_per_reminder"] == 9.5
    assert found["bytes_per_case"] == 1980
    assert found["due_to_accepted_ms"] == {"p50": 110, "p99": 400}
    assert found["recovery_s"] == 12.3
    assert found["paid_to_silence_ms"] == {"p50": 20, "max": 30}
    assert found["web"] == {"receipts_per_s": 1234, "median_ms": 3.21}


def test_every_goal_is_held_against_its_figure() -> None:
    """No goal names a figure that does not exist, and the table says which are missed."""
    found = figures(_results(), CHANNELS)
    for channel in CHANNELS:
        of = found if channel == "sms" else found[channel]
        assert len(verdicts(of, channel)) == len(GOALS[channel])
    text = table(found, CHANNELS)
    assert "met      ratio.bare >= 0.08 (0.1)" in text
    assert "NOT MET  ratio.sdk_only >= 0.4 (0.25)" in text


def test_what_was_not_measured_is_left_out() -> None:
    """A part that did not run has no figure, rather than a zero."""
    results = Results()
    results.runs["sms"]["relance"] = [Run(10, 1.0, {"intake": 0.1, "scheduler": 0.1, "sms": 0.1})]
    found = figures(results, ["sms"])
    assert "recovery_s" not in found
    assert find(found, "due_to_accepted_ms.p50") is None
    assert [goal.figure for goal, _, _ in verdicts(found, "sms")] == []


def test_round_trips_are_told_apart_by_server() -> None:
    """Those to the store and those to the broker."""
    trips = {"sms store see": 2.0, "sms broker ack": 1.0}
    assert (total(trips), total(trips, "store"), total(trips, "broker")) == (3.0, 2.0, 1.0)


def test_a_profile_says_what_ours_calls() -> None:
    """A sample belongs to its innermost function, to each of ours above it once, and to what ours called."""
    stacks = "run (worker/a.py:1);see (worker/b.py:2);get (redis/client.py:3) 3\nrun (worker/a.py:9) 1\n"
    samples, own, whole, called = costs(stacks)
    assert samples == 4
    assert own == {"get (redis/client.py": 3, "run (worker/a.py": 1}
    assert whole == {"run (worker/a.py": 4, "see (worker/b.py": 3}
    assert called == {"redis": 3, "our own code": 1}


def test_a_handful_of_reminders_goes_through_every_engine(tmp_path: Path) -> None:
    """The bench runs, proves that none was lost or sent twice, and writes its figures."""
    path = tmp_path / "bench.json"
    options = ["--only", "bare,sdk_only,celery,relance,web", "--channel", "sms", "--count", "6", "--repeat", "1"]
    command = [sys.executable, "-m", "tests.bench", *options, "--json", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(path.read_text())
    assert found["reminders_per_s"] > 0
    assert found["web"]["receipts_per_s"] > 0
    assert set(found["ratio"]) == {"bare", "sdk_only", "celery"}
