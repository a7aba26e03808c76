"""The database goes into a file and comes back, on real servers."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from leadscore import backups
from leadscore.embedded.layout import Layout
from leadscore.embedded.locks import is_held
from tests.installation import ROOT, Installation, throwaway_servers, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with throwaway_servers() as installation:
        file = tmp_path_factory.mktemp("lists") / "list.csv"
        file.write_text("Address,ZIP,Owner\n" + "".join(f"{n} OAK ST,07030,OWNER {n}\n" for n in range(1, 40)))
        installation.run("manage.py", "import_leads", str(file), "--tag", "Vacant")
        yield installation


@pytest.fixture
def empty(servers: Installation) -> Iterator[Installation]:
    """Another database on the same servers, without a schema."""
    base, _, _ = servers.database_url.rpartition("/")
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
        installation = Installation(
            f"{base}/restored", servers.redis_url, Path(servers.environment["LEADSCORE_DATA_DIR"])
        )
        yield installation
        installation.end()
        connection.execute("DROP DATABASE restored WITH (FORCE)")


@pytest.fixture
def fresh_data_dir() -> Iterator[Path]:
    """Where no servers have run; every user can reach it, which pytest's own does not allow."""
    folder = Path(tempfile.mkdtemp(prefix="leadscore-restore-")).resolve()
    folder.chmod(0o711)
    yield folder / "data"
    wait_until(lambda: not is_held(Layout(folder / "data").keeper_lock))
    shutil.rmtree(folder)


def refused(installation: Installation, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_backup_comes_back_in_an_empty_database(servers: Installation, empty: Installation, tmp_path: Path) -> None:
    file = tmp_path / "leads.dump"
    assert str(file) in servers.run("manage.py", "backup", str(file))
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["leads.dump"]
    empty.run("manage.py", "restore", str(file))
    assert empty.landed() == servers.landed()
    assert len(empty.landed()["leads"]) == 39
    # Numbers go on where they were: nothing new meets what was restored.
    another = tmp_path / "list.csv"
    another.write_text("Address,ZIP\n1 NEW ST,07030\n1 OAK ST,07030\n")
    empty.run("manage.py", "import_leads", str(another))
    assert len(empty.landed()["leads"]) == 40


def test_a_backup_comes_back_in_a_fresh_data_directory(
    servers: Installation, fresh_data_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "leads.dump"
    servers.run("manage.py", "backup", str(file))
    fresh = Installation("", "", fresh_data_dir)
    fresh.run("manage.py", "restore", str(file), LEADSCORE_EMBEDDED_FAST="1")
    code = "from leads.models import Lead; print(Lead.objects.count())"
    assert fresh.run("manage.py", "shell", "--no-imports", "-c", code).strip() == "39"


def test_a_database_that_holds_something_is_not_restored_over(servers: Installation, tmp_path: Path) -> None:
    file = tmp_path / "leads.dump"
    servers.run("manage.py", "backup", str(file))
    before = servers.landed()
    assert "LEADSCORE_DATA_DIR" in refused(servers, "restore", str(file))
    assert servers.landed() == before


def test_what_is_no_backup_leaves_an_empty_database(empty: Installation, tmp_path: Path) -> None:
    file = tmp_path / "leads.dump"
    file.write_text("no backup")
    assert "pg_restore failed" in refused(empty, "restore", str(file))
    assert "is not a file" in refused(empty, "restore", str(tmp_path / "nothing"))
    assert empty.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_a_file_that_exists_is_not_written_over(servers: Installation, tmp_path: Path) -> None:
    file = tmp_path / "leads.dump"
    file.write_text("yesterday's")
    assert "exists already" in refused(servers, "backup", str(file))
    assert file.read_text() == "yesterday's"
    assert "Cannot write" in refused(servers, "backup", str(tmp_path / "no folder" / "leads.dump"))


@pytest.mark.django_db
def test_programs_older_than_the_server_are_refused_in_words(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backups, "_major_version", lambda program: 15)
    with pytest.raises(backups.BackupRefused, match=r"The server is PostgreSQL 18.*of 15.*install the client programs"):
        backups.write_backup(path=tmp_path / "leads.dump")
    assert list(tmp_path.iterdir()) == []
