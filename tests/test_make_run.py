"""What `make run` starts, from the first start over every kind of end to the next start."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import psutil
import psycopg
import pytest

from leadscore.embedded import running_endpoints

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


class Installation:
    """One data directory and port; `start` gives the supervisor's process."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    def environment(self) -> dict[str, str]:
        others = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "LEADSCORE_EMBEDDED_FAST", "HOST"}
        kept = {key: value for key, value in os.environ.items() if key not in others}
        ours = {
            "LEADSCORE_DATA_DIR": str(self.data_dir),
            "LEADSCORE_ADMIN_PASSWORD": "a passphrase for tests",
            "PORT": str(self.port),
        }
        return kept | ours

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "leadscore.embedded.run"],
            cwd=ROOT,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start_and_wait(self) -> subprocess.Popen[str]:
        """Until it says that it is ready."""
        process = self.start()
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("LeadScore "):
                break
        assert said, "it ended without a word"
        assert said[-1].startswith(f"LeadScore is at http://127.0.0.1:{self.port}/"), "".join(said)
        return process

    def health(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def processes(self) -> list[psutil.Process]:
        """Everything that works on this data directory."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.environ().get("LEADSCORE_DATA_DIR") == str(self.data_dir)
                names_us = any(str(self.data_dir) in argument for argument in process.cmdline())
                if (is_ours or names_us) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return [process for process in found if process.pid != os.getpid()]

    def wait_until_gone(self) -> None:
        give_up_at = time.monotonic() + 20
        while left := self.processes():
            assert time.monotonic() < give_up_at, [process.cmdline() for process in left]
            time.sleep(0.1)

    def notes(self, add: str | None = None) -> list[str]:
        endpoints = running_endpoints(self.data_dir)
        assert endpoints is not None
        with psycopg.connect(endpoints.database_url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
            if add:
                connection.execute("INSERT INTO note VALUES (%s)", [add])
            return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY text")]


@pytest.fixture
def installation() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="leadscore-run-")).resolve()
    folder.chmod(0o711)
    installation = Installation(folder / "data")
    yield installation
    for process in installation.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    installation.wait_until_gone()
    rmtree(folder)


def test_it_starts_refuses_a_double_stops_and_outlives_every_kill(installation: Installation) -> None:
    first = installation.start_and_wait()
    assert installation.health() == 200
    installation.notes(add="1: stopped in order")

    double = installation.start()
    said, _ = double.communicate(timeout=30)
    assert double.returncode == 1
    assert said == (
        f"LeadScore already runs on {installation.data_dir} at http://127.0.0.1:{installation.port}/: "
        "stop it first, or set another LEADSCORE_DATA_DIR and PORT.\n"
    )

    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=40)
    assert first.returncode == 0
    assert installation.processes() == []

    second = installation.start_and_wait()
    assert installation.notes(add="2: killed altogether") == ["1: stopped in order", "2: killed altogether"]
    for process in installation.processes():
        process.kill()
    second.communicate()
    installation.wait_until_gone()

    third = installation.start_and_wait()
    assert installation.health() == 200
    replace_the_dead(installation)
    assert len(installation.notes(add="3: only the supervisor killed")) == 3
    third.kill()
    third.communicate()
    installation.wait_until_gone()  # web, worker and beat go with it, the servers after their last user


def replace_the_dead(installation: Installation) -> None:
    """Kill one process of each kind and wait until all is well again."""
    victims = []
    for word in ("gunicorn", "worker", "leadscore.embedded.keeper"):
        kind = [one for one in installation.processes() if word in one.cmdline()]
        assert kind, word
        victims.append(min(kind, key=lambda one: one.pid))  # the first is the parent of its kind
    for victim in victims:
        victim.kill()
    give_up_at = time.monotonic() + 40
    while True:
        with contextlib.suppress(OSError, psutil.Error):
            words = {word for one in installation.processes() for word in one.cmdline()}
            # The servers outlive their keeper: that all is well again shows when the next one names them.
            is_kept = running_endpoints(installation.data_dir) is not None
            if installation.health() == 200 and "worker" in words and is_kept:
                break
        assert time.monotonic() < give_up_at
        time.sleep(0.5)
    assert not any(victim.is_running() for victim in victims)


def test_a_taken_port_gets_one_line_and_starts_nothing(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", installation.port)):
        process = installation.start()
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == (
        f"Port {installation.port} on 127.0.0.1 is taken by another program: stop that one, "
        f"or choose another port, as in `make run PORT={installation.port + 1}`.\n"
    )
    assert installation.processes() == []


def test_an_unusable_directory_gets_one_line(installation: Installation) -> None:
    installation.data_dir.parent.joinpath("file").touch()
    installation.data_dir = installation.data_dir.parent / "file" / "data"
    process = installation.start()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith(f"Cannot write to the data directory {installation.data_dir} (")
    assert said.count("\n") == 1
