"""The keeper: one detached process per data directory that owns both servers.

    python -m leadscore.embedded.keeper DATA_DIR GENERATION LOCK_DESCRIPTOR fast|safe SERVICE...

It is started by `client.ensure_servers`, restarts a server that dies, starts another service when a user
wishes for it, and stops everything when no process has held `users.lock` for about a second.
"""

import os
import secrets
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from leadscore.embedded.layout import (
    POSTGRES,
    SERVICES,
    EmbeddedError,
    Layout,
    State,
    read_json,
    write_json,
)
from leadscore.embedded.locks import try_lock
from leadscore.embedded.logs import open_log
from leadscore.embedded.postgres import Postgres
from leadscore.embedded.private import Home, choose_home
from leadscore.embedded.valkey import Valkey

POLL_SECONDS = 0.25
GRACE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class Keeper:
    """Owns the servers of one data directory from its start to its end."""

    def __init__(self, *, layout: Layout, generation: str, fast: bool) -> None:
        self._layout = layout
        self._fast = fast
        self._last_ports = read_json(layout.state).get("ports", {})
        self._state = State(generation, keeper_pid=os.getpid())
        self._home: Home | None = None
        self._running: dict[str, Postgres | Valkey] = {}
        self._pause = 0.0
        self._told_to_stop = False

    def run(self, services: list[str]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)
        try:
            for service in services:
                self._start(service)
            self._watch()
        except EmbeddedError as error:
            self._state.error = str(error)
            self._log(str(error))
        except Exception as error:
            traceback.print_exc()
            self._state.error = f"The embedded servers failed: {error!r}; see {self._layout.log('keeper')}"
        finally:
            # Nobody shall take these addresses for living ones; newcomers wait at the locks.
            self._state.urls = {}
            self._state.write(self._layout)
            for server in self._running.values():
                server.stop()

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._told_to_stop = True

    def _start(self, service: str) -> None:
        if self._home is None:
            self._home = choose_home(self._layout)
            if self._home.note:
                self._state.notes.append(self._home.note)
        kind: type[Postgres | Valkey] = Postgres if service == POSTGRES else Valkey
        server = kind(
            layout=self._layout,
            home=self._home,
            password=self._password(service),
            preferred_port=self._last_ports.get(service),
            fast=self._fast,
        )
        self._running[service] = server
        server.start()
        self._publish()

    def _password(self, service: str) -> str:
        known = read_json(self._layout.secrets)
        if service not in known:
            known[service] = secrets.token_hex(24)
            write_json(self._layout.secrets, known)
        return str(known[service])

    def _publish(self) -> None:
        self._state.urls = {name: server.url for name, server in self._running.items()}
        self._state.ports = {**self._last_ports, **{name: s.port for name, s in self._running.items()}}
        self._state.write(self._layout)

    def _watch(self) -> None:
        """Return when it is time to stop; with `users.lock` held to the end if no user remains."""
        alone_since: float | None = None
        while not self._told_to_stop:
            lock = try_lock(self._layout.users_lock)
            if lock is None:
                alone_since = None
            elif alone_since is None or time.monotonic() < alone_since + GRACE_SECONDS:
                alone_since = alone_since or time.monotonic()
                os.close(lock)
            else:
                return
            self._revive()
            self._grant_wishes()
            time.sleep(POLL_SECONDS)

    def _revive(self) -> None:
        """Restart what died, at its old port, since users know no other; pause longer after each failure."""
        for server in self._running.values():
            if server.is_alive():
                continue
            self._log(f"{server.name} ended unexpectedly; starting it again")
            try:
                server.start(keep_port=True)
                self._pause = 0.0
            except (EmbeddedError, OSError) as error:
                self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2 + 1)
                self._log(f"{error}; next try in {self._pause:.0f} s")
                time.sleep(self._pause)

    def _grant_wishes(self) -> None:
        for service in SERVICES:
            wish = self._layout.wish(service)
            if not wish.exists():
                continue
            if service not in self._running:
                self._state.error = ""
                try:
                    self._start(service)
                except (EmbeddedError, OSError) as error:  # those who use the other service go on
                    self._log(str(error))
                    self._state.error = str(error)
                    self._running.pop(service).stop()
                    self._publish()
            wish.unlink(missing_ok=True)

    def _log(self, line: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        sys.stderr.write(f"{stamp} {line}\n")


def main() -> None:
    data_dir, generation, lock, mode, *services = sys.argv[1:]
    # The lock that names us the keeper came open from our starter; our own children must not get it.
    os.set_inheritable(int(lock), False)
    if os.fork():
        os._exit(0)  # the keeper is nobody's child: nobody has to reap it
    os.chdir("/")
    layout = Layout(Path(data_dir))
    with open_log(layout.log("keeper")) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    Keeper(layout=layout, generation=generation, fast=mode == "fast").run(services)


if __name__ == "__main__":
    main()
