"""People of stated rights, and a clock."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # playwright runs an event loop beside Django's

NOW = dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def now() -> dt.datetime:
    """A moment that tests pass in as the clock."""
    return NOW


@pytest.fixture(autouse=True)
def private_uploads(settings, tmp_path: Path) -> None:
    """Uploads of a test stay in its own directory."""
    settings.UPLOAD_DIR = tmp_path / "uploads"


@pytest.fixture(autouse=True)
def quick_passwords(settings) -> None:
    """Hash passwords once, not a million times: tests make many people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def person(db) -> Callable[[str], User]:
    """Make a person with a role: `person("analyst")`."""

    def make(role: str) -> User:
        user = User.objects.create_user(username=role, password="correct horse battery")
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def viewer(person) -> User:
    return person("viewer")


@pytest.fixture
def analyst(person) -> User:
    return person("analyst")


@pytest.fixture
def manager(person) -> User:
    return person("manager")


def _logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer_client(viewer) -> Client:
    return _logged_in(viewer)


@pytest.fixture
def analyst_client(analyst) -> Client:
    return _logged_in(analyst)


@pytest.fixture
def manager_client(manager) -> Client:
    return _logged_in(manager)


@pytest.fixture
def open_data() -> Path:
    """Real county files beside the project; tests that need them skip where they are absent."""
    path = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "open"
    if not path.is_dir():
        pytest.skip("the real county files are not beside the project")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs in one process, one after the other: browsers, of which one has to do, and tests that share servers.

    To fill throw-away servers takes longer than most of the tests that use them.
    """
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.xdist_group("browser"))
        elif "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
