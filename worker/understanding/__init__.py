"""What debtors write, read by plain rules: few intents, and only where they are sure.

Whatever is not sure is a `message`: it holds the ladder and a person reads it. Pure, standard library only.
`own.py` takes off what they did not write, `dates.py` reads days, `french.py` and `english.py` are the words, and
`rules.py` is what is done with them.
"""

from worker.understanding.rules import JUDGED, LONGEST, Intent, Understood, understand

__all__ = ["JUDGED", "LONGEST", "Intent", "Understood", "understand"]
