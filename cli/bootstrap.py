"""Make .venv from requirements.lock: what the script `maas` runs first, with any Python 3.11+.

Standard library only. Safe when two runs race (a file lock, which the system drops when its holder dies) and when a
run is interrupted: the copy of the lock in .venv, by which `maas` knows a complete environment, is removed first and
written last.
"""

import fcntl
import filecmp
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

USUALLY_SECONDS = 60
TAIL_LINES = 15


def main(root: Path) -> int:
    """Bring `root`/.venv in line with `root`/requirements.lock; 0 when it is, 1 when it could not be done."""
    lock, venv = root / "requirements.lock", root / ".venv"
    state = root / ".maas"
    state.mkdir(exist_ok=True)
    with (state / "venv.lock").open("w", encoding="utf-8") as handle:
        _wait_for_turn(handle.fileno())
        if is_current(venv, lock):  # whoever held the turn before us did the work
            return 0
        return _install(venv, lock)


def is_current(venv: Path, lock: Path) -> bool:
    """Whether the environment was completed from exactly this lock."""
    stamp = venv / "requirements.lock"
    return stamp.is_file() and (venv / "bin" / "python").exists() and filecmp.cmp(lock, stamp, shallow=False)


def _wait_for_turn(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("Another run is making the environment; waiting for it.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _install(venv: Path, lock: Path) -> int:
    stamp, log = venv / "requirements.lock", venv / "install.log"
    was_complete = stamp.is_file() and (venv / "bin" / "python").exists()
    stamp.unlink(missing_ok=True)
    _say(f"Installing what the command line needs into .venv (usually about {USUALLY_SECONDS} s) ...")
    started = time.monotonic()
    if not was_complete:  # nothing there, or the remains of an interrupted install, which nobody can trust
        made = subprocess.run(  # noqa: S603 - the interpreter that runs us
            [sys.executable, "-m", "venv", "--clear", str(venv)], check=False, capture_output=True, text=True
        )
        if made.returncode != 0:
            _say(f"maas: {sys.executable} -m venv failed:\n{made.stdout}{made.stderr}")
            return 1
    pip = [
        str(venv / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        "--require-hashes",
        "--no-deps",
        "-r",
        str(lock),
    ]
    if (code := _run(pip, log, started)) != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
        _say(
            f"maas: pip could not install {lock.name} (exit code {code}). Its last words:\n{tail}\n"
            f"The whole log is {log.relative_to(venv.parent)}. Is the package index reachable? Another run starts over."
        )
        return 1
    unfinished = stamp.with_suffix(".new")
    unfinished.write_bytes(lock.read_bytes())
    unfinished.replace(stamp)
    _say(f"Installed in {time.monotonic() - started:.0f} s.")
    return 0


def _run(command: list[str], log: Path, started: float) -> int:
    """Run with all output in `log`, saying every ten seconds what it is at."""
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "false", "PYTHONUTF8": "1"}
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603 - our own words
        over = threading.Event()
        ticker = threading.Thread(target=_tick, args=(over, log, started), daemon=True)
        ticker.start()
        try:
            return process.wait()
        finally:
            over.set()
            if process.poll() is None:
                process.terminate()
                process.wait()


def _tick(over: threading.Event, log: Path, started: float) -> None:
    while not over.wait(10):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
        _say(f"  {time.monotonic() - started:.0f} s: {lines[-1].strip()[:100]}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]).resolve()))
    except KeyboardInterrupt:
        _say("maas: interrupted; the next run starts over.")
        sys.exit(130)
