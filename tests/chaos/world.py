"""The configuration of the run: a creditor, three ladders, impatient providers."""

import hashlib
from pathlib import Path

from tests.chaos.plan import ORDERS

CREDITOR = "chaos"
#: What opens the creditor's door, and what signs at the providers' ones.
API_KEY = "chaos-upstream-key"
TWILIO_TOKEN = "chaos-twilio-token"
#: Ladder time begins on a Monday without a holiday near, whatever day it is here: steps keep business days.
BEGINS = "2026-06-01T08:00+02:00"
#: Seconds; short, so that the lease of a call whose worker was killed is over soon. Their sum and two are its bound.
CONNECT, READ = 1, 3
BOUND = CONNECT + READ + 2.0
#: By which step a case that has been told everything waits: nothing of it leaves during the run.
AFTERWARDS = "afterwards"
#: How uncertain messages are settled. The second look comes some 40 s after the call began: an entry of the sandbox's
#: lists may come 30 s late. In production all of it is minutes.
SETTLING = ", receipt_within: 2s, look_again: 35s"

_STEPS = {"email": ("first_reminder", 1), "sms": ("nudge", 2), "voice": ("call", 2)}
_CREDITOR = f"""\
id: {CREDITOR}
name: Atelier Tempête
address: |
  1 rue de l'Exemple
  75000 Paris
contact: {{name: Service comptabilité, phone: +33 1 99 00 12 34, email: compta@example.com}}
iban: FR76 3000 6000 0112 3456 7890 189
email: {{sender: compta@example.com, sender_name: Atelier Tempête}}
sms: {{sender: "+33938000000"}}
voice: {{caller_id: +33 9 48 00 00 00}}
strategies: {{business: chaos_0}}
api_keys: ["sha256:{hashlib.sha256(API_KEY.encode()).hexdigest()}"]
api_rate: 2000/s
"""
_CHANNELS = f"""\
channels:
  email: {{providers: [sendgrid]{SETTLING}}}
  sms: {{providers: [twilio_sms]{SETTLING}}}
  voice: {{providers: [twilio_voice]{SETTLING}}}
  task: {{providers: [task]}}
providers:
  sendgrid: {{kind: sendgrid_email, email_activity: true, connect_timeout: {CONNECT}, read_timeout: {READ}}}
  twilio_sms: {{kind: twilio_sms, connect_timeout: {CONNECT}, read_timeout: {READ}}}
  twilio_voice: {{kind: twilio_voice, connect_timeout: {CONNECT}, read_timeout: {READ}}}
  task: {{kind: task}}
  outbox: {{kind: outbox}}
"""
_STRATEGY = """\
name: chaos_{order}
debtors: [business]
backoff: [1s, 2s]
contact:
  window: {{days: mon-sun, hours: ["00:00-23:59"], holidays: true}}
  min_gap: 0d
  late_after: 90d
  fallback: []
ladder:
"""
_STEP = """\
  - {{name: step_{number}, when: {when}, channel: {channel}, notice: {notice}, tone: {tone}, deadline: 3d}}
"""
_LAST = f"""\
  - {{name: {AFTERWARDS}, when: previous + 300d, channel: task, notice: human_call, tone: 3, needs: {{approval: true}}}}
"""


def step_of(number: int) -> str:
    """The name of a ladder's step."""
    return f"step_{number}"


def write_config(folder: Path) -> Path:
    """Write it; returns the folder."""
    for part in ("creditors", "strategies"):
        (folder / part).mkdir(parents=True)
    (folder / "channels.yaml").write_text(_CHANNELS, encoding="utf-8")
    (folder / "creditors" / f"{CREDITOR}.yaml").write_text(_CREDITOR, encoding="utf-8")
    for order, channels in enumerate(ORDERS):
        (folder / "strategies" / f"chaos_{order}.yaml").write_text(_ladder(order, channels), encoding="utf-8")
    return folder


def _ladder(order: int, channels: tuple[str, ...]) -> str:
    """One step a channel, a day apart; then a long time nothing."""
    steps = ""
    for number, channel in enumerate(channels, start=1):
        notice, tone = _STEPS[channel]
        when = "due + 1d" if number == 1 else "previous + 1d"
        steps += _STEP.format(number=number, when=when, channel=channel, notice=notice, tone=tone)
    return _STRATEGY.format(order=order) + steps + _LAST
