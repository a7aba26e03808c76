"""The database as one file, and back: pg_dump's own archive, of one moment, taken while everything runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from django.db import connection

from leadscore.embedded import EmbeddedError
from leadscore.embedded.private import postgres_programs

# What libpq reads from the environment: a command line would show the password to everyone.
VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


class BackupRefused(Exception):
    """No backup or restore was made; the message says why, and what helps."""


def write_backup(*, path: Path) -> int:
    """Write the database into a new file that only its owner reads; returns its bytes. Raises BackupRefused."""
    if path.exists():
        raise BackupRefused(f"{path} exists already: name another file.")
    draft = path.with_name(f"{path.name}.part")  # a backup that was cut off is never taken for one
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        _run("pg_dump", "--format=custom", f"--file={draft}")
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(path)
        return path.stat().st_size
    except OSError as error:
        raise BackupRefused(f"Cannot write {path}: {error.strerror}.") from None
    finally:
        if path.parent.is_dir():
            draft.unlink(missing_ok=True)


def read_backup(*, path: Path) -> None:
    """Bring a backup into this database, which must be empty: all of it, or nothing. Raises BackupRefused."""
    if not path.is_file():
        raise BackupRefused(f"{path} is not a file.")
    if connection.introspection.table_names():
        raise BackupRefused(
            "This database holds tables already, and a restore overwrites nothing. Restore into an empty one: name a "
            "new LEADSCORE_DATA_DIR, or a new database in DATABASE_URL."
        )
    name = str(connection.settings_dict["NAME"])
    _run(
        *("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"),
        *(f"--dbname={name}", str(path)),
    )


def _run(program: str, *arguments: str) -> None:
    given = {key: str(value) for key, value in connection.get_connection_params().items() if value is not None}
    done = subprocess.run(
        [_program(program), *arguments],
        env=os.environ | {VARIABLES[key]: value for key, value in given.items() if key in VARIABLES},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupRefused(f"{program} failed, nothing was kept: {done.stderr.strip() or done.returncode}")


def _program(name: str) -> str:
    """The first of its kind that understands this server: the wheel's own, else what is on the PATH."""
    server = connection.get_database_version()[0]
    try:
        wheels = [str(postgres_programs() / name)]
    except EmbeddedError:
        wheels = []
    found = []
    for candidate in filter(None, [*wheels, shutil.which(name)]):
        version = _major_version(candidate)
        if version >= server:
            return candidate
        found.append(f"{candidate} is of {version}")
    raise BackupRefused(
        f"The server is PostgreSQL {server}, and no {name} here is as new ({'; '.join(found) or 'none was found'}): "
        f"install the client programs of PostgreSQL {server} and put them on the PATH."
    )


def _major_version(program: str) -> int:
    """0 for what does not run or does not say."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    number = re.search(r"\d+", said)
    return int(number[0]) if number else 0
