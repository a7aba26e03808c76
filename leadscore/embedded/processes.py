"""Processes of ours: found by what they are, never trusted by a bare number; watched and stopped."""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1


def find_server(program: str, marker: Sequence[str]) -> psutil.Process | None:
    """The live process of that program whose arguments contain `marker` in a row.

    A number from a pid file may by now belong to a stranger, so the command line decides.
    """
    wanted = list(marker)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            arguments = process.cmdline()
            if not arguments or Path(arguments[0]).name != program:
                continue
            rows = (arguments[i : i + len(wanted)] for i in range(len(arguments)))
            if any(row == wanted for row in rows) and is_alive(process):
                return process
    return None


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: neither gone, nor a zombie, nor a stranger with its number."""
    try:
        if not process.is_running():
            return False
        if process.status() != psutil.STATUS_ZOMBIE:
            return True
        process.wait(0)  # a child of ours: reap it
    except psutil.Error:
        pass
    return False


def stop(process: psutil.Process, steps: Sequence[tuple[signal.Signals, float]]) -> bool:
    """Send each signal in turn until the process has gone within that signal's seconds."""
    for number, seconds in steps:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        with suppress(psutil.TimeoutExpired):
            process.wait(seconds)
            return True
        if not is_alive(process):
            return True
    return False


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """A `preexec_fn` after which the child gets the signal when its parent ends in any way (Linux only)."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def set_signal() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)

    return set_signal


def free_port(preferred: int | None = None) -> int:
    """A port on 127.0.0.1 that nothing listens on; the preferred one if it is free."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
