"""Which numbers and names a creditor's messages may show, and which number it may ask a debtor to call."""

from collections.abc import Iterator

from worker.config.creditor import Creditor
from worker.problems import Problem

#: Numbers an automated system may show as its own in France: the verified polyvalent ranges, those of two-way
#: platforms, and the special ones that cost no extra. Arcep 2018-0881, 2019-0954, 2022-1583, checked 2026-11.
FRENCH_CALLER_IDS = (
    "0162", "0163", "0270", "0271", "0377", "0378", "0424", "0425", "0568", "0569", "0937", "0938", "0939",
    "0948", "0949", "09475", "09476", "09477", "09478", "09479", "080",
)  # fmt: skip


def faults(creditor: Creditor) -> Iterator[Problem]:
    """The senders that operators in the creditor's country would refuse."""
    if creditor.sms and (says := sms_sender_problem(creditor.country, creditor.sms.sender)):
        yield Problem(("sms", "sender"), f"{creditor.sms.sender!r} is {says}")
    if creditor.voice and (says := caller_id_problem(creditor.country, creditor.voice.caller_id)):
        yield Problem(("voice", "caller_id"), f"{creditor.voice.caller_id!r} is {says}")


def sms_sender_problem(country: str, sender: str) -> str | None:
    """Why operators would not carry SMS from that sender; None if they would, or if no rule is known.

    France: no 06/07 (Arcep 2022-1583), and a name is letters and digits alone (af2m, checked 2026-11).
    """
    if country != "FR":
        return None
    if sender.startswith(("+336", "+337")):
        return "a mobile number, which operators in France refuse for automated SMS (use a name or a short code)"
    if " " in sender:
        return "not a name that operators in France take: letters and digits alone, no space"
    return None


def caller_id_problem(country: str, number: str) -> str | None:
    """Why an automated call may not show that number in that country; None if it may, or if no rule is known.

    France: no 06/07, no ordinary 01-05/09 number, none at a premium (`FRENCH_CALLER_IDS` has those that may).
    """
    if country != "FR" or not number.startswith("+33"):
        return None
    national = "0" + number.removeprefix("+33")
    if len(national) != 10 or national.startswith(FRENCH_CALLER_IDS):
        return None
    return f"not a number that automated calls may show in France (Arcep; allowed: {', '.join(FRENCH_CALLER_IDS)})"
