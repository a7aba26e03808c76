"""The embedded PostgreSQL: its cluster, its start, its end."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from leadscore.embedded.layout import POSTGRES, EmbeddedError, Layout
from leadscore.embedded.logs import last_line, open_log
from leadscore.embedded.private import Home, make_directory
from leadscore.embedded.processes import find_server, free_port, is_alive, stop

MAJOR_VERSION = "18"
DATABASE = "leadscore"
USER = "leadscore"
ANSWER_SECONDS = 60.0
RECOVERY_SECONDS = 600.0  # it answers "starting up": replaying a crash's log may take its time
MB = 1024 * 1024
# The port was taken a moment ago, or children of a killed server still hold its memory.
PASSING_CAUSES = ("could not create any TCP/IP sockets", "shared memory block", "lock file")


class Postgres:
    """One cluster. Not for several threads or keepers at once."""

    name = POSTGRES

    def __init__(self, *, layout: Layout, home: Home, password: str, preferred_port: int | None, fast: bool) -> None:
        self._layout = layout
        self._home = home
        self._password = password
        self._fast = fast
        self._data = home.path / "postgres"
        self._process: psutil.Process | None = None
        self.port = preferred_port or 0

    @property
    def url(self) -> str:
        return f"postgres://{USER}:{quote(self._password)}@127.0.0.1:{self.port}/{DATABASE}"

    def is_alive(self) -> bool:
        return self._process is not None and is_alive(self._process)

    def start(self, *, keep_port: bool = False) -> None:
        """Make the cluster if there is none, and return once it answers queries.

        A server that outlived its keeper is taken over. `keep_port` is for a restart under live users.
        """
        self._make_cluster()
        if self._adopt():
            return
        self._drop_foreign_pid_file()
        for pause in (0.5, 1.0, 2.0, None):
            if not keep_port:
                self.port = free_port(self.port or None)
            self._launch()
            try:
                self._wait_until_it_answers(time.monotonic() + ANSWER_SECONDS)
                break
            except _Exited as error:
                if pause is None or not any(cause in self._last_line() for cause in PASSING_CAUSES):
                    raise EmbeddedError(self._failure(str(error))) from None
                if not keep_port:
                    self.port = 0
                time.sleep(pause)
        self._make_database()

    def stop(self) -> None:
        """Shut down in order; by force only if it does not follow."""
        if self._process is not None:
            stop(self._process, [(signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 5)])
            self._process = None

    def _make_cluster(self) -> None:
        version_file = self._data / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != MAJOR_VERSION:
                raise EmbeddedError(
                    f"The database in {self._data} is of PostgreSQL {version}, this is {MAJOR_VERSION}: "
                    "restore it from a dump into a new LEADSCORE_DATA_DIR."
                )
            return
        if self._data.exists():
            raise EmbeddedError(f"{self._data} exists but holds no database: move it away and start again.")
        draft = self._data.with_name("postgres.draft")  # renamed when whole: a kill in between leaves no half
        shutil.rmtree(draft, ignore_errors=True)
        make_directory(draft, mode=0o700)
        self._home.own(draft)
        with self._home.secret_file("initdb.password", self._password) as password_file:
            command = [
                str(self._home.postgres_bin / "initdb"),
                *("--pgdata", str(draft), "--username", USER, "--pwfile", str(password_file)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *(["--no-sync"] if self._fast else []),
            ]
            done = self._run(command)
        if done.returncode:
            with open_log(self._layout.log(self.name)) as log:
                log.write(done.stdout)
            raise EmbeddedError(self._failure("initdb failed"))
        draft.rename(self._data)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        account = self._home.account
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd=self._home.path,
            env=_environment(),
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )

    def _adopt(self) -> bool:
        found = find_server("postgres", ["-D", str(self._data)])
        if found is None:
            return False
        self._process = found
        try:
            self.port = int((self._data / "postmaster.pid").read_text().split("\n")[3])
            self._wait_until_it_answers(time.monotonic() + ANSWER_SECONDS)
        except (_Exited, EmbeddedError, OSError, ValueError, IndexError):
            self.stop()
            return False
        self._make_database()
        return True

    def _drop_foreign_pid_file(self) -> None:
        """PostgreSQL trusts any live process of its pid file's number; after a crash it may be a stranger."""
        pid_file = self._data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError):
            if psutil.pid_exists(int(pid_file.read_text().split("\n")[0])):
                pid_file.unlink()  # `_adopt` has just looked for a server of this directory and found none

    def _launch(self) -> None:
        settings = {"port": str(self.port), **_settings(fast=self._fast)}
        account = self._home.account
        with open_log(self._layout.log(self.name)) as log:
            child = subprocess.Popen(
                [
                    str(self._home.postgres_bin / "postgres"),
                    *("-D", str(self._data)),
                    *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home.path,
                env=_environment(),
                umask=0o077,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        self._process = psutil.Process(child.pid)
        child.returncode = 0  # psutil reaps it; Popen must not warn that it still runs

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=self._password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _wait_until_it_answers(self, deadline: float) -> None:
        recovery_deadline = deadline - ANSWER_SECONDS + RECOVERY_SECONDS
        while True:
            try:
                with self._connect("postgres") as connection:
                    connection.execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if "authentication failed" in str(error):
                    raise EmbeddedError(
                        f"{self._layout.secrets} does not hold the password of the database in {self._data}: "
                        "bring that file back."
                    ) from None
                is_recovering = "starting up" in str(error) or "recovery" in str(error)
            if not self.is_alive():
                raise _Exited("it exited")
            if time.monotonic() > (recovery_deadline if is_recovering else deadline):
                self.stop()
                raise EmbeddedError(self._failure(f"no answer within {ANSWER_SECONDS:.0f} s"))
            time.sleep(0.05)

    def _make_database(self) -> None:
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _failure(self, why: str) -> str:
        return f"PostgreSQL did not start: {why} ({self._last_line()}); its log is {self._layout.log(self.name)}"

    def _last_line(self) -> str:
        return last_line(self._layout.log(self.name))


class _Exited(Exception):
    """The server ended while we waited for its answer."""


def _environment() -> dict[str, str]:
    """Nothing of ours reaches the server: PGDATA, PGPORT and the like could mislead it."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _settings(*, fast: bool) -> dict[str, str]:
    """For a small machine that also runs the program; `fast` gives up crash safety, for tests."""
    memory = psutil.virtual_memory().total // MB
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "60",
        "shared_buffers": f"{min(4096, max(64, memory // 8))}MB",
        "effective_cache_size": f"{max(128, memory // 2)}MB",
        "maintenance_work_mem": f"{min(256, max(32, memory // 16))}MB",
        "work_mem": "32MB" if memory >= 2048 else "8MB",
        # Few checkpoints, for after each one every page that is written goes into the log whole once. Those are not
        # compressed: pglz, the only way of these binaries, costs more processor time than the update itself.
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "wal_level": "minimal",  # nobody replicates this server; bulk loads get cheaper
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        # Refusals by a constraint are foreseen, and their statements and details would write owners and addresses down.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "fatal",
        "log_line_prefix": "%m [%p] ",
        "password_encryption": "scram-sha-256",
    }
    if _shared_memory_is_small():
        settings["dynamic_shared_memory_type"] = "mmap"
    if fast:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return settings


def _shared_memory_is_small() -> bool:
    """Containers give /dev/shm 64 MB, too little for a parallel query."""
    shm = Path("/dev/shm")  # noqa: S108
    with suppress(OSError):
        return shutil.disk_usage(shm).total < 256 * MB
    return False
