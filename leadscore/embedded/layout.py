"""What lies where in a data directory, and the values that keeper and users exchange there."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parents[2]
POSTGRES = "postgres"
VALKEY = "valkey"
SERVICES = (POSTGRES, VALKEY)


class EmbeddedError(Exception):
    """The embedded servers cannot serve; the message is one line that a person can act on."""


@dataclass(frozen=True)
class Endpoints:
    """Where the servers answer. `generation` names this run of the keeper, for work due once per start."""

    database_url: str
    redis_url: str
    generation: str

    def export(self, services: Iterable[str] = SERVICES) -> None:
        """Put the addresses into the environment, where the settings and our children find them."""
        if POSTGRES in services:
            os.environ["DATABASE_URL"] = self.database_url
        if VALKEY in services:
            os.environ["REDIS_URL"] = self.redis_url


@dataclass(frozen=True)
class Layout:
    """The paths of one data directory. Servers' own data may live elsewhere: see `private.choose_home`."""

    data_dir: Path

    @property
    def control(self) -> Path:
        return self.data_dir / "servers"

    @property
    def users_lock(self) -> Path:
        """Held shared by every user; the kernel lets go of it however the user ends."""
        return self.control / "users.lock"

    @property
    def start_lock(self) -> Path:
        return self.control / "start.lock"

    @property
    def keeper_lock(self) -> Path:
        """Held by the keeper from before its birth to its end."""
        return self.control / "keeper.lock"

    @property
    def run_lock(self) -> Path:
        return self.control / "run.lock"

    @property
    def migrate_lock(self) -> Path:
        return self.control / "migrate.lock"

    @property
    def migrated(self) -> Path:
        return self.control / "migrated"

    @property
    def state(self) -> Path:
        return self.control / "state.json"

    @property
    def secrets(self) -> Path:
        return self.control / "secrets.json"

    @property
    def place(self) -> Path:
        return self.control / "place.json"

    def wish(self, service: str) -> Path:
        """A user touches this to ask a running keeper for one more service."""
        return self.control / f"want.{service}"

    def log(self, name: str) -> Path:
        return self.control / f"{name}.log"


@dataclass
class State:
    """What the keeper says about itself; written whole, so that a reader never sees half of it."""

    generation: str
    keeper_pid: int = 0
    urls: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""

    @classmethod
    def read(cls, layout: Layout) -> "State | None":
        try:
            return cls(**read_json(layout.state))
        except TypeError:
            return None  # absent, or written by another version of this program

    def write(self, layout: Layout) -> None:
        write_json(layout.state, vars(self))


def default_data_dir() -> Path:
    """LEADSCORE_DATA_DIR, else `.data` beside manage.py."""
    named = os.environ.get("LEADSCORE_DATA_DIR")
    return (Path(named).expanduser() if named else PROJECT_DIR / ".data").absolute()


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty when there is none, or none that can be read as JSON."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file in one step, readable by its owner only: it may hold passwords."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
