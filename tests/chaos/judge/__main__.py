"""Judge what a run left in its folder, and print the verdict as JSON; 1 if a promise was broken."""

import sys
from pathlib import Path

from tests.chaos.judge.verdict import as_json, judge_folder

verdict = judge_folder(Path(sys.argv[1]))
sys.stdout.write(as_json(verdict))
sys.exit(1 if verdict.broken else 0)
