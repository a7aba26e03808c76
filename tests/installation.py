"""A whole installation of its own, for tests in which processes and servers die."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from celery import Celery
from django.conf import settings as django_settings
from redis import Redis

from leadscore.embedded.client import ensure_servers, release
from leadscore.embedded.layout import Layout, State

ROOT = Path(django_settings.BASE_DIR)
PATIENCE = 40.0
NOBODY = "redis://127.0.0.1:1/0"


def wait_until(is_so: Callable[[], Any]) -> Any:
    """Poll until it answers with something true, and return that."""
    give_up_at = time.monotonic() + PATIENCE
    while not (found := is_so()):
        assert time.monotonic() < give_up_at, "it did not happen in time"
        time.sleep(0.01)
    return found


class Installation:
    """One database with a broker and a data directory, and the processes that work on it."""

    def __init__(self, database_url: str, redis_url: str, data_dir: Path) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self.environment = {
            key: value for key, value in os.environ.items() if key not in {"LEADSCORE_EMBEDDED_FAST", "SECRET_KEY"}
        } | {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "LEADSCORE_DATA_DIR": str(data_dir),
            "DJANGO_SETTINGS_MODULE": "leadscore.settings",
            "LOG_LEVEL": "WARNING",
            "LEADSCORE_JOB_CONNECTIONS": "1",  # one range after another, unless a test says otherwise
        }
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start Python in a process group of its own."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if "celery" in arguments else None,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def start_worker(self, *, processes: int = 1) -> subprocess.Popen[str]:
        worker = self.start(
            *("-m", "celery", "--quiet", "--app", "leadscore", "worker", "--concurrency", str(processes)),
            *("--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            LEADSCORE_JOB_CONNECTIONS=str(processes),
        )
        Celery(broker=self.redis_url).send_task("jobs.sweep")
        return worker

    def start_import(self, file: Path) -> subprocess.Popen[str]:
        return self.start("manage.py", "import_leads", str(file), "--tag", "Vacant", "--json")

    def run(self, *arguments: str, **environment: str) -> str:
        """Run Python to its end; what it printed."""
        process = self.start(*arguments, **environment)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        return said

    def run_code(self, code: str, **environment: str) -> str:
        return self.run("-c", f"import django; django.setup()\n{code}", **environment).strip()

    def queue_import(self, file: Path, *, announce: bool, **environment: str) -> int:
        """Upload a list as the pages do; the id of its job."""
        return int(
            self.run_code(
                "from django.utils import timezone\n"
                "from imports.operations import receive_file, start_import\n"
                f"with open({str(file)!r}, 'rb') as content:\n"
                f"    batch = receive_file(content=content, name={file.name!r}, at=timezone.now(), by=None,"
                " tag_names=['Vacant'])\n"
                f"print(start_import(batch=batch, at=timezone.now(), by=None, announce={announce}).pk)",
                **environment,
            )
        )

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.database_url, autocommit=True, connect_timeout=5)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(statement).fetchall()  # type: ignore[arg-type]

    def wait_for_job(self, condition: str) -> int:
        """Until the newest import meets an SQL condition; its job's id."""
        statement = (
            f"SELECT id FROM jobs_job WHERE kind = 'import' AND id = (SELECT max(id) FROM jobs_job) AND {condition}"
        )
        with self.connect() as connection:
            found = wait_until(lambda: connection.execute(statement).fetchone())  # type: ignore[call-overload]
        return int(found[0])

    def landed(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that an import leaves behind, without ids and moments of the run."""
        return {
            "leads": self.rows(
                "SELECT address_key, parcel_number, owner_name, score, rescore_at, text FROM leads_lead lead "
                "JOIN leads_leadsearch search ON search.lead_id = lead.id ORDER BY 1"
            ),
            "tags": self.rows(
                "SELECT address_key, tag_id, assigned_at, expiration_at, is_expired, removed_at FROM tags_leadtag "
                "JOIN leads_lead lead ON lead.id = lead_id ORDER BY 1, 2"
            ),
            "rows": self.rows(
                "SELECT batch_id, line, outcome, reason, tag_ids, before::text, extra::text, address_key "
                "FROM imports_importrow LEFT JOIN leads_lead lead ON lead.id = lead_id ORDER BY 1, 2"
            ),
            "batch": self.rows(
                "SELECT batch.status, rows, created, updated, unchanged, rejected, blank, job.status, job.error "
                "FROM imports_importbatch batch JOIN jobs_job job ON job.id = job_id ORDER BY batch.id"
            ),
            "staging": self.rows("SELECT tablename FROM pg_tables WHERE tablename LIKE 'import!_%' ESCAPE '!'"),
        }

    @contextlib.contextmanager
    def stalled(self, statement: str) -> Iterator[None]:
        """Hold a lock that the import wants too, until it waits for it."""
        waiting = (
            "SELECT count(*) FROM pg_locks WHERE NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with psycopg.connect(self.database_url) as holder, self.connect() as observer:
            holder.execute(statement)  # type: ignore[call-overload]
            wait_until(lambda: observer.execute(waiting).fetchone() > (0,))
            yield

    def end(self) -> None:
        for process in self.processes:
            kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9 of the process and all its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@functools.cache
def _servers() -> Installation:
    """Servers of this test process with a migrated database, gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="leadscore-faults-")).resolve()
    folder.chmod(0o711)
    endpoints = ensure_servers(folder / "data", fast=True)

    def end() -> None:
        release(folder / "data")
        shutil.rmtree(folder)

    atexit.register(end)
    installation = Installation(endpoints.database_url, endpoints.redis_url, folder / "data")
    installation.run("manage.py", "migrate", "--verbosity=0")
    return installation


@contextlib.contextmanager
def throwaway_servers() -> Iterator[Installation]:
    """A migrated database on servers that may be killed; gone afterwards."""
    servers = _servers()
    Redis.from_url(servers.redis_url).flushall()  # calls of earlier tests name jobs of their databases
    yield from clone(servers, Path(servers.environment["LEADSCORE_DATA_DIR"]))


def clone(servers: Installation, data_dir: Path) -> Iterator[Installation]:
    name = f"faults_{time.monotonic_ns()}"
    base, _, template = servers.database_url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[call-overload]
    installation = Installation(f"{base}/{name}", servers.redis_url, data_dir)
    yield installation
    installation.end()
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


def crash_postgresql(servers: Installation) -> None:
    """As `pg_ctl stop -m immediate`; the keeper starts it again on the same port."""
    with servers.connect() as connection:
        connection.execute("CHECKPOINT")  # servers for tests do not wait for the disk at each commit
    state = State.read(Layout(Path(servers.environment["LEADSCORE_DATA_DIR"])))
    assert state is not None
    (postmaster,) = (
        child for child in psutil.Process(state.keeper_pid).children() if Path(child.cmdline()[0]).name == "postgres"
    )
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait(timeout=10)


def answers(installation: Installation) -> bool:
    try:
        return installation.rows("SELECT true") == [(True,)]
    except psycopg.OperationalError:
        return False
