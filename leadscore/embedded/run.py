"""`make run` and `make demo`: web, worker and beat on servers that are there or brought along.

    python -m leadscore.embedded.run [--samples]

PORT and HOST say where to listen (127.0.0.1:8000), LEADSCORE_DATA_DIR where to keep everything.
"""

import errno
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from leadscore.embedded.client import ensure_keeper, ensure_servers, prepare_data_dir, release
from leadscore.embedded.environment import migration_turn, missing_services
from leadscore.embedded.layout import POSTGRES, PROJECT_DIR, EmbeddedError, default_data_dir
from leadscore.embedded.locks import try_lock
from leadscore.embedded.processes import die_with_parent
from leadscore.embedded.supervisor import Program, Supervisor, say

KEEPER_CHECK_SECONDS = 5.0
PATIENCE_SECONDS = 60.0


def main() -> None:
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
        signal.signal(signal.SIGHUP, _leave)
    os.umask(0o077)  # uploads hold people's addresses
    try:
        _run(with_samples="--samples" in sys.argv[1:])
    except EmbeddedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(0)


def _leave(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(*, with_samples: bool) -> None:
    host, port = os.environ.get("HOST") or "127.0.0.1", _port()
    data_dir = default_data_dir()
    os.environ["LEADSCORE_DATA_DIR"] = str(data_dir)
    layout = prepare_data_dir(data_dir)
    run_lock = try_lock(layout.run_lock)
    if run_lock is None:
        address = layout.run_lock.read_text().strip()
        raise EmbeddedError(
            f"LeadScore already runs on {data_dir} at {address}: stop it first, "
            "or set another LEADSCORE_DATA_DIR and PORT."
        )
    _refuse_taken_port(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    os.ftruncate(run_lock, 0)
    os.write(run_lock, url.encode())

    missing = missing_services()
    fast = os.environ.get("LEADSCORE_EMBEDDED_FAST") == "1"
    try:
        if missing:
            endpoints = ensure_servers(data_dir, fast=fast, services=missing)
            endpoints.export(missing)
        if POSTGRES in missing:
            with migration_turn(endpoints) as is_due:
                if is_due:
                    _manage("migrate", "--noinput", "--verbosity=0")
        else:
            _manage("migrate", "--noinput", "--verbosity=0")
        _manage("ensure_admin")
        if with_samples:
            _manage("load_samples")

        ready = _ReadyLine(host=host, port=port, url=url)
        next_check = 0.0

        def on_tick() -> None:
            nonlocal next_check
            ready.look()
            if missing and time.monotonic() >= next_check:
                next_check = time.monotonic() + KEEPER_CHECK_SECONDS
                _watch_keeper(data_dir, fast=fast, services=missing)

        Supervisor(_programs(host, port)).run(on_tick)
        say("Stopped.")
    finally:
        release(data_dir)


def _watch_keeper(data_dir: Path, *, fast: bool, services: list[str]) -> None:
    try:
        endpoints = ensure_keeper(data_dir, fast=fast, services=services)
    except EmbeddedError as error:
        say(str(error))  # tried again at the next check; the servers themselves may be well
        return
    if endpoints is not None:
        known = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
        endpoints.export(services)
        if known != {name: os.environ[name] for name in known}:
            raise EmbeddedError("The servers were killed and another program has their port: start again.")


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise EmbeddedError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    return int(text)


def _refuse_taken_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EmbeddedError(
                    f"Port {port} on {host} is taken by another program: stop that one, "
                    f"or choose another port, as in `make run PORT={port % 65535 + 1}`."
                ) from None
            raise EmbeddedError(
                f"Cannot listen on {host}:{port} ({error.strerror}): choose another HOST or PORT."
            ) from None


def _manage(*arguments: str) -> None:
    """Run a management command to its end; it speaks for itself when it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT_DIR,
        check=False,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is ours to handle
        preexec_fn=die_with_parent(),
    )
    if done.returncode:
        raise EmbeddedError(f"`manage.py {' '.join(arguments)}` failed ({done.returncode}); see above.")


def web_program(host: str, port: int, application: str = "leadscore.wsgi:application") -> Program:
    """gunicorn, as an installation runs it."""
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Program(
        "web",
        [
            *(sys.executable, "-m", "gunicorn", "--chdir", str(PROJECT_DIR), application),
            *("--bind", bind, "--workers", "2", "--threads", "4", "--worker-class", "gthread"),
            *("--limit-request-line", "8190"),  # an address carries all that is ticked
            *("--timeout", "120", "--graceful-timeout", "10", "--log-level", "warning"),
            "--no-control-socket",  # two installations would meet at one path in the home directory
        ],
        {"PYTHONWARNINGS": "ignore:No directory at"},  # static files are served from where they lie
    )


def _programs(host: str, port: int) -> list[Program]:
    python = sys.executable
    as_root = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
    celery = [python, "-m", "celery", "--quiet", "--workdir", str(PROJECT_DIR), "--app", "leadscore"]
    return [
        web_program(host, port),
        Program(
            "worker",
            [
                *(*celery, "worker", "--loglevel", "WARNING", "--concurrency", "2"),
                *("--max-tasks-per-child", "200", "--without-gossip", "--without-mingle"),
            ],
            as_root if os.geteuid() == 0 else {},
        ),
        Program(
            "beat",
            [
                *(*celery, "beat", "--loglevel", "WARNING", "--pidfile", ""),
                *("--scheduler", "django_celery_beat.schedulers:DatabaseScheduler"),
            ],
        ),
    ]


class _ReadyLine:
    """Says once where LeadScore is, when /healthz finds web, database, broker and worker well."""

    def __init__(self, *, host: str, port: int, url: str) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        self._port = port
        self._url = url
        self._patient_until = time.monotonic() + PATIENCE_SECONDS
        self._next_look = 0.0
        self._is_done = False
        self._has_complained = False

    def look(self) -> None:
        now = time.monotonic()
        if self._is_done or now < self._next_look:
            return
        self._next_look = now + 0.5
        status = self._status()
        if status == 200:
            self._is_done = True
            sys.stdout.write(f"LeadScore is at {self._url} (Ctrl-C stops it)\n")
            sys.stdout.flush()
        elif now > self._patient_until and not self._has_complained:
            self._has_complained = True
            state = "does not answer" if status is None else f"answers {status}"
            say(f"LeadScore is not ready yet: {self._url}healthz {state}; see above")

    def _status(self) -> int | None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=3)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        return None


if __name__ == "__main__":
    main()
