"""Each message: once, to the right one, not after a payment, and none in silence."""

from collections.abc import Iterator
from typing import Any

from tests.chaos.judge.cases import EXPLAINED
from tests.chaos.judge.reading import Broken, Facts, Key, Run, at, keys, paid


def duplicates(run: Run) -> Iterator[Broken]:
    """What was accepted more than once."""
    for (channel, to), lines in run.accepted.items():
        for line in lines[1:]:
            told = f"{channel} {to}: {lines[0]['attempt']} at {lines[0]['at']}, {line['attempt']} at {line['at']}"
            yield Broken("duplicate", told)


def strangers(run: Run) -> Iterator[Broken]:
    """Every message goes to the debtor whose case it is of, and to nobody else."""
    owners = {key: debtor["name"] for debtor in run.facts["debtors"] for key in keys(debtor)}
    for line in run.lines("accepted"):
        owner = owners.get((line["channel"], line["to"]))
        case = run.cases.get(owner, {}).get("case") if owner else None
        if case is None or line["attempt"].rpartition(".")[0] != case:
            yield Broken("stranger", f"{line['channel']} {line['to']}: {line['attempt']} at {line['at']}")


# ---- what was not accepted


def losses(run: Run) -> Iterator[Broken]:
    """Silence that nothing excuses, and what is said of messages and is not so."""
    for debtor in run.taken:
        case = run.cases.get(debtor["name"])
        if case is None:
            yield Broken("loss", f"{debtor['name']}: its job was taken, and there is no case")
            continue
        if debtor["paid"] and case["ended"] != "paid":
            yield Broken("loss", f"{case['case']}: its payment was taken, and it is {case['state']}")
        for key in keys(debtor):
            if why := _lost(run, debtor, case, key):
                yield Broken("loss", f"{case['case']} {key[0]}: {why}")


def _lost(run: Run, debtor: Facts, case: Facts, key: Key) -> str:
    """Why a message is lost; "" if it is not."""
    said = {message["status"] for message in case["messages"] if message["channel"] == key[0]}
    if "rejected" in said and key not in run.refused:
        return "it says that it was refused, and nobody did"
    if key in run.accepted or key in run.refused:
        return ""
    if said & {"accepted", "undelivered"}:
        return "it says that it went, and nobody accepted it"
    kept = paid(debtor, case) or any(hold not in EXPLAINED for hold in case["holds"])
    return "" if kept else f"{case['state']}, {case['why']}, {sorted(said)}"


# ---- after a payment


def late(run: Run) -> Iterator[tuple[str, bool]]:
    """What was accepted after the payment; and was it within one call's bound?"""
    for debtor, case in run.followed():
        when = _paid_at(debtor, case)
        for key in keys(debtor) if when else ():
            for line in run.accepted.get(key, []):
                if when and (after := at(line) - when) > 0:
                    told = f"{case['case']} {key[0]}: accepted {after:.2f} s after the payment"
                    yield told, after <= run.facts["bound"]


def _paid_at(debtor: Facts, case: Facts) -> float | None:
    """When the payment was committed: as the store says, and no later than its answer."""
    known: list[Any] = [event["committed"] for event in case["history"] if event["type"] == "PaymentReceived"]
    known += [debtor["paid"]] if debtor["paid"] else []
    return min(known, default=None)


def begun_after(run: Run) -> Iterator[Broken]:
    """A history is in the order of its commits: what stands behind the payment was committed behind it."""
    for case in run.cases.values():
        known = False
        for event in case["history"]:
            known = known or event["type"] == "PaymentReceived"
            if known and event["type"] == "AttemptBegun":
                yield Broken("after", f"{case['case']}: attempt {event['attempt']} began after the payment")
