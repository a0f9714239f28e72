"""Case + step + channel -> words, from `templates/`."""

from worker.render.errors import WordingError
from worker.render.facts import Creditor
from worker.render.payment_code import PaymentCode, picture
from worker.render.sms_text import gsm_text, sms_segments
from worker.render.wordings import CallScene, Wording, Wordings

__all__ = [
    "CallScene",
    "Creditor",
    "PaymentCode",
    "Wording",
    "WordingError",
    "Wordings",
    "gsm_text",
    "picture",
    "sms_segments",
]
