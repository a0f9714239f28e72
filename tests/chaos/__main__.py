"""`python -m tests.chaos`: see tests/README.md."""

import argparse
import json
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.judge import in_words, judge_folder
from tests.chaos.plan import BOUNDED, FULL, Scale, plan
from tests.chaos.run import play
from worker import logs


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Never twice, never lost, never after.")
    parser.add_argument("--bounded", action="store_true", help="the small run, as the suite has it")
    parser.add_argument("--seeds", metavar="SEEDS", help="separated by commas (default: 1,2,3,4,5; bounded: 1)")
    parser.add_argument("--cases", type=int, help="so many instead; the time over which they come stays the same")
    parser.add_argument("--no-faults", action="store_true", help="the provider does nothing wrong")
    parser.add_argument("--no-kills", action="store_true", help="nothing is killed")
    parser.add_argument("--folder", type=Path, help="where logs, facts and verdicts are kept (a short path)")
    return parser.parse_args()


def _scale(options: argparse.Namespace) -> Scale:
    scale = BOUNDED if options.bounded else FULL
    cases = options.cases or scale.cases
    return Scale(cases, scale.spread, scale.day, scale.kills)


def main() -> int:
    """Play each seed and judge it; 1 if a promise was broken."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped then, too
    logs.configure(level=logging.ERROR)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    seeds = options.seeds or ("1" if options.bounded else "1,2,3,4,5")
    broken = 0
    for seed in map(int, seeds.split(",")):
        began, own = time.monotonic(), folder / str(seed)
        own.mkdir(parents=True)
        drawn = plan(seed, _scale(options), faulty=not options.no_faults)
        play(own, drawn, _say, killing=not options.no_kills)
        verdict = judge_folder(own)
        verdict.figures["took_s"] = round(time.monotonic() - began)
        found = {"figures": verdict.figures, "broken": [[each.promise, each.evidence] for each in verdict.broken]}
        (own / "verdict.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        _say(in_words(verdict) + "\n")
        broken += len(verdict.broken)
    _say(f"logs, facts and verdicts are in {folder}")
    return 1 if broken else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
