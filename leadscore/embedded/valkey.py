"""The embedded Valkey: broker and cache. What it holds can be lost: the truth is in PostgreSQL."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress

import psutil

from leadscore.embedded.layout import VALKEY, EmbeddedError, Layout
from leadscore.embedded.logs import last_line, open_log
from leadscore.embedded.private import Home, make_directory
from leadscore.embedded.processes import find_server, free_port, is_alive, stop

ANSWER_SECONDS = 30.0


class Valkey:
    """One server. Not for several threads or keepers at once."""

    name = VALKEY

    def __init__(self, *, layout: Layout, home: Home, password: str, preferred_port: int | None, fast: bool) -> None:
        self._layout = layout
        self._home = home
        self._password = password
        self._fast = fast
        self._data = home.path / "valkey"
        self._process: psutil.Process | None = None
        self.port = preferred_port or 0

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def is_alive(self) -> bool:
        return self._process is not None and is_alive(self._process)

    def start(self, *, keep_port: bool = False) -> None:
        """Return once it answers; a server that outlived its keeper is taken over."""
        if not self._data.exists():
            make_directory(self._data, mode=0o700)
            self._home.own(self._data)
        found = find_server("valkey-server", ["--dir", str(self._data)])
        if found is not None:
            self._process = found
            if self.port and self._answers():
                return
            self.stop()
        deadline = time.monotonic() + ANSWER_SECONDS
        attempts = 3
        while True:
            if not keep_port:
                self.port = free_port(self.port or None)
            self._launch()
            while self.is_alive() and time.monotonic() < deadline:
                if self._answers():
                    return
                time.sleep(0.02)
            attempts -= 1
            if attempts == 0 or time.monotonic() > deadline:
                self.stop()
                log = self._layout.log(self.name)
                raise EmbeddedError(f"Valkey did not start ({last_line(log)}); its log is {log}")
            if attempts == 1:
                self._set_snapshot_aside()
            if not keep_port:
                self.port = 0
            time.sleep(0.5)

    def stop(self) -> None:
        """It writes its snapshot on SIGTERM."""
        if self._process is not None:
            stop(self._process, [(signal.SIGTERM, 20), (signal.SIGKILL, 5)])
            self._process = None

    def _launch(self) -> None:
        account = self._home.account
        with open_log(self._layout.log(self.name)) as log:
            child = subprocess.Popen(
                # The rest comes by stdin: a command line would show the password to everyone.
                [str(self._home.valkey_server), "-", "--dir", str(self._data)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._home.path,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                umask=0o077,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self._process = psutil.Process(child.pid)
        child.returncode = 0  # psutil reaps it; Popen must not warn that it still runs
        assert child.stdin is not None
        with suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(self._configuration().encode())

    def _configuration(self) -> str:
        return "\n".join(
            [
                "bind 127.0.0.1",
                f"port {self.port}",
                f"requirepass {self._password}",
                "daemonize no",
                "loglevel warning",
                "set-proc-title no",  # its arguments are how a later keeper knows it
                "appendonly no",
                'save ""' if self._fast else "save 300 1",
                "stop-writes-on-bgsave-error no",  # a full disk must not stop the broker
                "maxmemory 256mb",
                "maxmemory-policy volatile-lru",  # the cache gives way, queues never do
                "",
            ]
        )

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                answer += part
            return answer.startswith(b"+OK") and b"+PONG" in answer
        return False

    def _set_snapshot_aside(self) -> None:
        """A snapshot that cannot be read must not keep the broker from starting."""
        snapshot = self._data / "dump.rdb"
        with suppress(FileNotFoundError):
            shutil.move(snapshot, snapshot.with_suffix(".unreadable"))
