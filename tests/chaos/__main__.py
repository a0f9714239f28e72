"""`python -m tests.chaos`: see tests/README.md."""

import argparse
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.judge import Verdict, as_json, judge_folder
from tests.chaos.plan import BOUNDED, FULL, Scale, plan
from tests.chaos.run import play
from tests.chaos.words import in_words, together
from worker import logs


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Never twice, never lost, never after.")
    parser.add_argument("--bounded", action="store_true", help="the small run, as the suite has it")
    parser.add_argument("--seeds", metavar="SEEDS", help="separated by commas (default: 1,2,3,4,5; bounded: 1)")
    parser.add_argument("--cases", type=int, help="so many instead; the time over which they come stays the same")
    parser.add_argument("--no-faults", action="store_true", help="the provider does nothing wrong: proves too little")
    parser.add_argument("--no-kills", action="store_true", help="nothing is killed: proves too little")
    parser.add_argument("--judge", type=Path, nargs="+", metavar="FOLDER", help="only judge what runs left there")
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
    verdicts = [judge_folder(each) for each in options.judge] if options.judge else _play_all(options)
    if options.judge or len(verdicts) > 1:
        _say(in_words(together(verdicts)))
    return 1 if any(verdict.broken for verdict in verdicts) else 0


def _play_all(options: argparse.Namespace) -> list[Verdict]:
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    seeds = options.seeds or ("1" if options.bounded else "1,2,3,4,5")
    _say(f"logs, facts and verdicts are kept in {folder}")
    return [_play(options, int(seed), folder / seed) for seed in seeds.split(",")]


def _play(options: argparse.Namespace, seed: int, folder: Path) -> Verdict:
    began = time.monotonic()
    folder.mkdir(parents=True)
    play(folder, plan(seed, _scale(options), faulty=not options.no_faults), _say, killing=not options.no_kills)
    verdict = judge_folder(folder)
    verdict.figures["took_s"] = round(time.monotonic() - began)
    (folder / "verdict.json").write_text(as_json(verdict), encoding="utf-8")
    _say(in_words(verdict) + "\n")
    return verdict


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
