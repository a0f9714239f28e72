"""What upstream may enqueue: the jobs' schemas, and the one door they come through.

    job = parse(payload, config)   # raises BadJob

A job is a JSON object with `type`, `version`, `job_id` and `creditor`; `json_schema(type)` has the rest.
"""

from worker.jobs.claims import DebtorData, InvoiceData
from worker.jobs.parsing import BadJob, parse, strategy_of
from worker.jobs.schemas import (
    SCHEMAS,
    ByHand,
    CaseClosed,
    CaseHeld,
    CaseReleased,
    Job,
    PaymentFailed,
    PaymentReceived,
    PaymentsChecked,
    ReminderDue,
    json_schema,
)

__all__ = [
    "SCHEMAS", "BadJob", "ByHand", "CaseClosed", "CaseHeld", "CaseReleased", "DebtorData", "InvoiceData", "Job",
    "PaymentFailed", "PaymentReceived", "PaymentsChecked", "ReminderDue", "json_schema", "parse", "strategy_of",
]  # fmt: skip
