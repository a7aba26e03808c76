"""The users' side: have servers, and hold them for as long as this process lives."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from leadscore.embedded.layout import PROJECT_DIR, SERVICES, EmbeddedError, Endpoints, Layout, State
from leadscore.embedded.locks import is_held, locked, try_lock, wait_for_lock

START_SECONDS = 700.0  # a crash recovery may take minutes; the keeper itself gives up earlier
STOP_SECONDS = 120.0

# Descriptors of users.lock, one per data directory; never closed, so that the lease ends with the process.
_leases: dict[Path, int] = {}


def ensure_servers(data_dir: Path, *, fast: bool = False, services: Iterable[str] = SERVICES) -> Endpoints:
    """Have the servers answer, starting what does not run, and keep them up until this process ends.

    `fast` trades crash safety for speed and matters only to the first user: it is for tests.
    Raises EmbeddedError with one line for a person. May be called again at little cost.
    """
    layout = prepare_data_dir(data_dir)
    try:
        return _endpoints(_hold(layout, list(services), fast=fast))
    except OSError as error:  # a full disk; files left by a run as root
        raise EmbeddedError(f"Cannot use the data directory {layout.data_dir}: {error}") from None


def _hold(layout: Layout, wanted: list[str], *, fast: bool) -> State:
    data_dir = layout.data_dir
    with locked(layout.start_lock, timeout=START_SECONDS, busy=f"Servers in {data_dir} are still starting."):
        if data_dir not in _leases:
            _leases[data_dir] = wait_for_lock(
                layout.users_lock,
                shared=True,
                timeout=STOP_SECONDS,
                busy=f"The servers in {data_dir} are still stopping after {STOP_SECONDS:.0f} s.",
            )
        return _ensure_keeper(layout, wanted, fast=fast)


def ensure_keeper(data_dir: Path, *, fast: bool = False, services: Iterable[str] = SERVICES) -> Endpoints | None:
    """For a long-lived user: if the keeper was killed, have a new one take the servers over.

    Returns where they answer then, or None when nothing had to be done.
    """
    if is_held(Layout(data_dir.resolve()).keeper_lock):
        return None
    return ensure_servers(data_dir, fast=fast, services=services)


def release(data_dir: Path) -> None:
    """Give the lease back early, and wait until the servers have stopped unless others use them."""
    layout = Layout(data_dir.resolve())
    lease = _leases.pop(layout.data_dir, None)
    if lease is None:
        return
    os.close(lease)
    look_again_at = time.monotonic() + 2.5  # the keeper waits about a second for another user
    give_up_at = time.monotonic() + STOP_SECONDS
    while is_held(layout.keeper_lock) and time.monotonic() < give_up_at:
        if time.monotonic() > look_again_at and not is_held(layout.users_lock):
            return  # not stopping: it has other users
        time.sleep(0.1)


def running_endpoints(data_dir: Path) -> Endpoints | None:
    """Where the servers answer now, or None; takes no lease, so they may stop at any moment."""
    layout = Layout(data_dir.resolve())
    try:
        if not is_held(layout.keeper_lock):
            return None
        state = State.read(layout)
    except OSError:
        return None
    return _endpoints(state) if state and set(state.urls) == set(SERVICES) else None


def _endpoints(state: State) -> Endpoints:
    return Endpoints(
        database_url=state.urls.get("postgres", ""),
        redis_url=state.urls.get("valkey", ""),
        generation=state.generation,
    )


def prepare_data_dir(data_dir: Path) -> Layout:
    """Make the directory and its place for locks, or refuse with one line that says why it cannot be.

    The layout's path is resolved: servers are known by it, however a caller spells it.
    """
    layout = Layout(data_dir.resolve())
    control = layout.control
    try:
        if not layout.data_dir.exists():
            layout.data_dir.mkdir(parents=True)
            # As root, the servers' own user must pass through; uploads and secrets inside are closed to him.
            layout.data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        if not control.exists():
            control.mkdir(exist_ok=True)
            control.chmod(0o700)
        os.close(os.open(layout.start_lock, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise EmbeddedError(
            f"Cannot write to the data directory {layout.data_dir} ({error.strerror}): "
            "make it writable, or set LEADSCORE_DATA_DIR to another."
        ) from None
    return layout


def _ensure_keeper(layout: Layout, wanted: list[str], *, fast: bool) -> State:
    deadline = time.monotonic() + START_SECONDS
    generation = ""
    deaths = 0
    wished: set[str] = set()
    while time.monotonic() < deadline:
        lock = try_lock(layout.keeper_lock)
        if lock is None:  # a keeper lives; perhaps it is starting
            state = State.read(layout)
            if state is not None and set(wanted) <= set(state.urls):
                return _announced(state, fresh=state.generation == generation)
            if state is not None and state.urls and state.generation != generation:
                wished |= _wish(layout, set(wanted) - set(state.urls) - wished)
                _refuse_if_denied(layout, wished)
            time.sleep(0.05)
            continue
        try:
            state = State.read(layout)
            if generation:  # ours has ended already
                if state is not None and state.generation == generation and state.error:
                    raise EmbeddedError(state.error)
                deaths += 1
                if deaths > 1:
                    raise EmbeddedError(f"The servers' keeper ended early; its log is {layout.log('keeper')}")
            generation = secrets.token_hex(8)
            _spawn_keeper(layout, generation, lock, wanted, fast=fast)
        finally:
            os.close(lock)
    raise EmbeddedError(f"The servers in {layout.data_dir} did not start; see {layout.log('keeper')}")


def _wish(layout: Layout, services: set[str]) -> set[str]:
    """Ask a keeper that already runs for more services; it takes each wish away when it has seen to it."""
    for service in services:
        layout.wish(service).touch()
    return services


def _refuse_if_denied(layout: Layout, wished: set[str]) -> None:
    """Raise if the keeper has seen to a wish and its service still does not run."""
    seen_to = [service for service in wished if not layout.wish(service).exists()]
    state = State.read(layout)  # read after the wish was found gone, so it tells the outcome
    if state is not None and state.error and any(service not in state.urls for service in seen_to):
        raise EmbeddedError(state.error)


def _announced(state: State, *, fresh: bool) -> State:
    if fresh:
        for note in state.notes:
            sys.stderr.write(f"{note}\n")
        sys.stderr.flush()
    return state


def _spawn_keeper(layout: Layout, generation: str, lock: int, wanted: list[str], *, fast: bool) -> None:
    """Start the keeper as nobody's child; it is born holding its lock, so there is never a second one."""
    for service in SERVICES:
        layout.wish(service).unlink(missing_ok=True)
    # A killed keeper left its addresses behind: whoever looks from here on must not take them for ours.
    last = State.read(layout)
    State(generation, ports=last.ports if last else {}).write(layout)
    paths = [str(PROJECT_DIR), *filter(None, [os.environ.get("PYTHONPATH")])]
    with layout.log("keeper").open("ab") as log:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "leadscore.embedded.keeper"),
                *(str(layout.data_dir), generation, str(lock), "fast" if fast else "safe"),
                *wanted,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=PROJECT_DIR,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            pass_fds=[lock],
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        raise EmbeddedError(f"The servers' keeper did not start; its log is {layout.log('keeper')}")
