"""Which servers this process lacks, and which commands need any."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from leadscore.embedded.client import ensure_servers
from leadscore.embedded.layout import POSTGRES, PROJECT_DIR, VALKEY, Endpoints, Layout, default_data_dir
from leadscore.embedded.locks import locked
from leadscore.embedded.private import postgres_programs

VARIABLES = {POSTGRES: "DATABASE_URL", VALKEY: "REDIS_URL"}
MIGRATION_SECONDS = 3600.0

# They read code or files only: nothing starts for them.
WITHOUT_SERVERS = {
    "check",
    "collectstatic",
    "compilemessages",
    "diffsettings",
    "findstatic",
    "help",
    "makemessages",
    "makemigrations",
    "spectacular",
    "startapp",
    "startproject",
    "version",
}
# They make or change the schema themselves, or want it as it is: the backup before an upgrade.
WITHOUT_MIGRATIONS = {
    "backup",
    "dbshell",
    "migrate",
    "restore",
    "showmigrations",
    "sqlmigrate",
    "squashmigrations",
    "test",
}


def missing_services() -> list[str]:
    """The services whose address is not in the environment."""
    return [service for service, variable in VARIABLES.items() if not os.environ.get(variable)]


def needs_servers(arguments: Sequence[str]) -> bool:
    """Whether `manage.py ARGUMENTS` talks to a database or broker."""
    if not arguments or {"-h", "--help", "--version"} & set(arguments):
        return False
    return arguments[0] not in WITHOUT_SERVERS or "--database" in arguments


def provide_servers(arguments: Sequence[str]) -> Endpoints | None:
    """Put the missing addresses into the environment, for `manage.py ARGUMENTS`.

    Returns the embedded servers if they hold the database and the command expects a current schema; then
    `migration_turn` tells whether to migrate. Raises EmbeddedError.
    """
    missing = missing_services()
    if not missing or not needs_servers(arguments):
        return None
    endpoints = ensure_servers(
        default_data_dir(), fast=os.environ.get("LEADSCORE_EMBEDDED_FAST") == "1", services=missing
    )
    endpoints.export(missing)
    is_schema_ours = POSTGRES in missing
    if is_schema_ours and arguments[0] == "dbshell" and shutil.which("psql") is None:
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(postgres_programs())])
    if is_schema_ours and arguments[0] in {"migrate", "restore"}:
        Layout(default_data_dir().resolve()).migrated.unlink(missing_ok=True)  # it may go back: look again next time
    return endpoints if is_schema_ours and arguments[0] not in WITHOUT_MIGRATIONS else None


@contextmanager
def migration_turn(endpoints: Endpoints) -> Iterator[bool]:
    """Whether the schema is due for `migrate`; others wait meanwhile. Leave the block only when it is done.

    Due once per start of the servers, and whenever a migration or a requirement has changed since.
    """
    layout = Layout(default_data_dir().resolve())
    busy = f"Another process has been migrating the database in {layout.data_dir} for an hour."
    with locked(layout.migrate_lock, timeout=MIGRATION_SECONDS, busy=busy):
        current = f"{endpoints.generation} {_migrations_fingerprint()}"
        try:
            is_due = layout.migrated.read_text() != current
        except FileNotFoundError:
            is_due = True
        yield is_due
        if is_due:
            layout.migrated.write_text(current)


def _migrations_fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted([PROJECT_DIR / "requirements.txt", *PROJECT_DIR.glob("*/migrations/*.py")]):
        if path.exists():
            digest.update(f"{path}\0{path.stat().st_mtime_ns}\0".encode())
    return digest.hexdigest()
