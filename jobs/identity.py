"""Which process is at work, and is it still there."""

import os
import socket
from functools import cache

import psutil

SAME_START_SECONDS = 2.0


@cache
def _identity(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def worker_identity() -> str:
    """Name of this process, unique over hosts and over reused process ids."""
    return _identity(os.getpid())


def is_dead_here(worker: str) -> bool:
    """True when `worker` named a process of this host that is no more."""
    host, _, rest = worker.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        process = psutil.Process(int(pid))
        # The kernel tells a start in ticks since boot: setting the machine's clock moves it by a second or so.
        is_another = abs(process.create_time() - float(started)) > SAME_START_SECONDS
        return is_another or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
