"""Runs several programs until told to stop: restarts what dies, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from leadscore.embedded.processes import die_with_parent

POLL_SECONDS = 0.1
STOP_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0

# Kills the process groups named on its stdin ("+id", "-id") once that stdin ends: our own end, `kill -9` too.
GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


@dataclass
class Program:
    """A long-running program; it is started again when it ends."""

    name: str
    command: Sequence[str]
    extra_environment: dict[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    pause: float = 0.0


class Supervisor:
    """Runs programs in process groups of their own, so that a Ctrl-C reaches only us and we decide."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._signals = 0
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", GUARD], stdin=subprocess.PIPE, start_new_session=True
        )

    def run(self, on_tick: Callable[[], None]) -> None:
        """Return after SIGINT, SIGTERM or SIGHUP, with every program gone; a second signal hurries it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
                signal.signal(number, self._note_signal)
        try:
            while not self._signals:
                for program in self._programs:
                    self._tend(program)
                on_tick()
                time.sleep(POLL_SECONDS)
        finally:
            self._stop_all()

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _tend(self, program: Program) -> None:
        now = time.monotonic()
        if program.child is None:
            if now >= program.start_again_at:
                self._start(program)
            return
        code = program.child.poll()
        if code is None:
            return
        self._forget(program)
        if now - program.started_at > STEADY_SECONDS:
            program.pause = 0.0
        program.pause = min(LONGEST_PAUSE_SECONDS, program.pause * 2 + 1)
        program.start_again_at = now + program.pause
        say(f"{program.name} ended unexpectedly ({code}); starting it again in {program.pause:.0f} s")

    def _start(self, program: Program) -> None:
        program.started_at = time.monotonic()
        program.child = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL,
            env=os.environ | program.extra_environment,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        self._tell_guard(f"+{program.child.pid}")

    def _forget(self, program: Program) -> None:
        """Clear away what a program that ended left of its group."""
        assert program.child is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.child.pid, signal.SIGKILL)
        self._tell_guard(f"-{program.child.pid}")
        program.child = None

    def _tell_guard(self, line: str) -> None:
        assert self._guard.stdin is not None
        with suppress(BrokenPipeError):
            self._guard.stdin.write(f"{line}\n".encode())
            self._guard.stdin.flush()

    def _stop_all(self) -> None:
        running = [program for program in self._programs if program.child is not None]
        for program in running:
            assert program.child is not None
            program.child.terminate()
        give_up_at = time.monotonic() + STOP_SECONDS
        while running and time.monotonic() < give_up_at and self._signals < 2:
            for program in list(running):
                assert program.child is not None
                if program.child.poll() is not None:
                    self._forget(program)
                    running.remove(program)
            time.sleep(POLL_SECONDS)
        for program in running:
            assert program.child is not None
            child = program.child
            self._forget(program)
            child.wait()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()


def say(line: str) -> None:
    """Tell the person at the terminal; stdout stays for results."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
