"""Advisory file locks. The kernel drops them when their holder ends, `kill -9` included."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from leadscore.embedded.layout import EmbeddedError


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock until it is closed, or None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def wait_for_lock(
    path: Path,
    *,
    shared: bool = False,
    timeout: float,
    busy: str,
    on_wait: Callable[[], None] | None = None,
) -> int:
    """Like `try_lock`, but waits; after `timeout` seconds it refuses with the words of `busy`."""
    give_up_at = time.monotonic() + timeout
    while (descriptor := try_lock(path, shared=shared)) is None:
        if on_wait is not None:
            on_wait()
            on_wait = None
        if time.monotonic() > give_up_at:
            raise EmbeddedError(busy)
        time.sleep(0.05)
    return descriptor


@contextmanager
def locked(path: Path, *, timeout: float, busy: str) -> Iterator[None]:
    """Hold the lock for the length of a block."""
    descriptor = wait_for_lock(path, timeout=timeout, busy=busy)
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock exclusively at this moment."""
    if not path.exists():
        return False
    descriptor = try_lock(path, shared=True)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
