"""Is an invoice fit to be asked for? Nobody is chased over a number that is none, a date that cannot be, a wrong sum.

What cannot be seen from here is whether the invoice prints what the law wants on it: the penalty rate, the 40 euros,
the terms. Whoever issues it checks that.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache

from worker.dunning.model import ZERO, Case, Debtor, Invoice

#: Every defect, in words that follow the invoice's number.
DEFECTS = {
    "number": "its number is a placeholder, or that of a draft or a quote",
    "issued_in_future": "its date lies in the future",
    "due_before_issue": "it is due before it was issued",
    "due_far_off": "its due date is more than five years away",
    "amount": "its amount is zero or less",
    "outstanding_negative": "less than nothing is said to be outstanding",
    "outstanding_above_amount": "more is said to be outstanding than its amount",
    "buyer": "the buyer has no name, or a placeholder for one",
}

#: The debtor may still be at the day before, where the creditor's invoice is dated today.
_ZONES_APART = timedelta(days=1)
#: A slip of the pen, or a claim whose time has run out (five years between businesses, C. com. L110-4).
_FAR_OFF = timedelta(days=5 * 366)

_NO_INVOICE = re.compile(r"(draft|brouillon|pro[ -]?forma|devis|quote|test)([^a-z]|$)", re.IGNORECASE)
_PLACEHOLDERS = frozenset(
    {
        "na", "nan", "nil", "none", "null", "undefined", "unknown", "tbd", "tba", "todo", "xx", "xxx", "test",
        "inconnu", "inconnue", "acompleter", "adefinir", "sansnom", "noname", "nomdelentreprise", "companyname",
        "client", "clientdivers", "clientsdivers", "divers", "clientdepassage", "clientcomptoir", "customer",
        "cashcustomer", "walkincustomer",
    }
)  # fmt: skip


def defects(invoice: Invoice, debtor: Debtor, today: date) -> tuple[str, ...]:
    """What is wrong with a claim, as keys of `DEFECTS`; nothing for one that asks for nothing.

    `today` is the date on the debtor's wall.
    """
    return tuple(_defects(invoice, debtor, today)) if invoice.unsettled else ()


def fit_from(invoice: Invoice) -> date:
    """The first day, in the debtor's zone, on which the invoice's date does not lie in the future."""
    return invoice.issued_on - _ZONES_APART


def wrong_invoices(case: Case, today: date) -> Iterator[tuple[Invoice, tuple[str, ...]]]:
    """The case's invoices with defects that nobody has let pass, and which those are."""
    for invoice in case.invoices:
        found = defects(invoice, case.debtor, today)
        if found and (left := tuple(name for name in found if (invoice.number, name) not in case.let_pass)):
            yield invoice, left


def _defects(invoice: Invoice, debtor: Debtor, today: date) -> Iterator[str]:
    if _is_placeholder(invoice.number) or _NO_INVOICE.match(invoice.number):
        yield "number"
    if fit_from(invoice) > today:
        yield "issued_in_future"
    if invoice.due_on < invoice.issued_on:
        yield "due_before_issue"
    if abs(invoice.due_on - today) > _FAR_OFF:
        yield "due_far_off"
    if invoice.amount <= ZERO:
        yield "amount"
    elif invoice.stated < ZERO:
        yield "outstanding_negative"
    elif invoice.stated > invoice.amount:
        yield "outstanding_above_amount"
    if _is_placeholder(debtor.name):
        yield "buyer"


@lru_cache(maxsize=4096)  # a case is decided several times within seconds
def _is_placeholder(text: str) -> bool:
    """No letter and no digit but zero, or one of the words people fill a required field with."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if char.isalnum())
    return not letters.strip("0") or letters in _PLACEHOLDERS
