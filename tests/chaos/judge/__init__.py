"""The judge: reads the sandbox's log and a file of facts, and says which promises held.

    python -m tests.chaos.judge FOLDER

It imports nothing of ours, and of what relance says of itself it believes nothing that the provider's log can tell:
whether a message was accepted or its address refused, how often and when is read there alone. In these runs each debtor
has a number and a mailbox of their own and no two steps share a channel, so a channel and an address are one message:
(case, step, channel).

promise       is broken when
============  =====================================================================================================
duplicate     a message was accepted more than once
loss          one was never accepted, and its address was not refused, nor was its case paid, nor does a named hold
              keep it for a person; or a case says that it went, or was refused, and the provider knows nothing of
              that; or a job or payment that was taken left no trace
stranger      something was accepted for an address that nobody gave, or for another case's
after         a call began after the payment's commit, or was accepted later than one call's bound after it
end           a case ended though nobody paid it: no ladder of these runs comes to its end while they last
limbo         an open case without a named hold has no entry that would bring the scheduler to it, neither on the
              agenda nor in flight; or one that fell due and that nobody took
fold          a snapshot is not the fold of its history
held          more than 2% of the cases wait for a person and the provider's log does not explain why (uncertain
              messages count with settling on)
taken         a debtor's job, or a payment that was to be made, was never answered with 200
back          a part was killed and not there again at the end
stop          asked to stop at the end, relance did not within 30 s, or cut somebody off, or left work undone
aim           the run proves too little: kills were missed, or fewer than a third of them landed while the sandbox held
              an open request; or the provider did less wrong than it was to do (`provider.py`)

`messages.py` judges each message, `cases.py` how each case ended, `processes.py` kills and the stop, `provider.py` what
the sandbox did. `reading.py` is what they read.
"""

from tests.chaos.judge.reading import FACTS, LOG, SENDS, Broken
from tests.chaos.judge.verdict import Verdict, as_json, judge, judge_folder

__all__ = ["FACTS", "LOG", "SENDS", "Broken", "Verdict", "as_json", "judge", "judge_folder"]
