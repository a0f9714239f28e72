"""Where our processes spend their time: py-spy on each of them while reminders go out."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: Samples a second.
RATE = 250


@contextmanager
def profiled(processes: Mapping[str, list[int]], folder: Path) -> Iterator[None]:
    """Sample the threads that run, as long as this lasts; writes collapsed stacks to `profile-<name>.txt`."""
    spy = Path(sys.executable).parent / "py-spy"
    folder.mkdir(parents=True, exist_ok=True)
    spies = [
        subprocess.Popen(
            [
                *(str(spy), "record", "--pid", str(pid), "--rate", str(RATE), "--duration", "600", "--gil"),
                *("--format", "raw", "--output", str(folder / f"profile-{name}.txt")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, pids in processes.items()
        for pid in pids
    ]
    try:
        yield
    finally:
        for spy_process in spies:
            spy_process.send_signal(signal.SIGINT)
        for spy_process in spies:
            spy_process.wait(30)


#: Which library a frame is of, by what its file's path holds; the outermost one that is not ours gets the blame.
_OURS = ("worker/", "channels/")


def costs(stacks: str) -> tuple[int, Counter[str], Counter[str], Counter[str]]:
    """Of collapsed stacks: all samples, those of each innermost function, of each of our functions with all that it
    calls, and of what ours call that is not ours.
    """
    total = 0
    own, whole, called = Counter[str](), Counter[str](), Counter[str]()
    for line in stacks.splitlines():
        stack, _, text = line.rpartition(" ")
        frames, count = [frame.rpartition(":")[0] or frame for frame in stack.split(";")], int(text)
        total += count
        own[frames[-1]] += count
        for frame in {frame for frame in frames if _ours(frame)}:
            whole[frame] += count
        called[_callee(frames)] += count
    return total, own, whole, called


def _ours(frame: str) -> bool:
    return any(f"({folder}" in frame for folder in _OURS)


def _callee(frames: Sequence[str]) -> str:
    """The package, or the module of the standard library, that our innermost function has called."""
    after = next((i + 1 for i in reversed(range(len(frames))) if _ours(frames[i])), 0)
    if after == len(frames):
        return "our own code"
    _, _, path = frames[after].partition("(")
    return path.partition("/")[0].removesuffix(".py") if after else "outside of ours"


def table(path: Path, most: int = 15) -> str:
    """The dearest functions of one process."""
    total, *counters = costs(path.read_text())
    lines = [f"{path.stem}: {total} samples"]
    for title, counter in zip(("self", "ours, with all they call", "called by ours"), counters, strict=True):
        lines += [f"  {title}"]
        lines += [f"    {count / total:6.1%}  {frame}" for frame, count in counter.most_common(most)]
    return "\n".join(lines)
