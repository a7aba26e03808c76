"""What people and programs are told while the database is away or the disk is full."""

import errno
import logging
import sys

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InterfaceError, OperationalError, connection
from django.test import Client

from imports import operations
from leadscore.outages import OutageInOneLine
from leadscore.problems import outage
from tests.api import api_client, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def database_away(monkeypatch):
    """From now on every statement of this process finds no server."""

    def refuse(*args, **kwargs):
        raise OperationalError("connection refused")

    def leave() -> None:
        monkeypatch.setattr(connection, "cursor", refuse)

    yield leave
    monkeypatch.undo()


def test_the_api_says_that_the_database_is_away(viewer, database_away) -> None:
    api = api_client(viewer)
    database_away()
    response = api.get("/api/leads")
    assert problem(response, 503)["code"] == "database_away"
    assert response["Retry-After"] == "10"


def test_the_api_says_so_to_a_session_too(viewer_client, database_away) -> None:
    client = Client(raise_request_exception=False)
    client.cookies = viewer_client.cookies
    database_away()
    assert problem(client.get("/api/leads"), 503)["code"] == "database_away"


def test_a_page_says_that_the_database_is_being_restarted(viewer_client, database_away) -> None:
    client = Client(raise_request_exception=False)
    client.cookies = viewer_client.cookies
    database_away()
    response = client.get("/leads/")
    assert response.status_code == 503
    assert b"is being restarted" in response.content
    assert response["Retry-After"] == "10"


def test_health_answers_whatever_cookies_come(viewer_client, database_away, settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    client = Client(raise_request_exception=False)
    client.cookies = viewer_client.cookies
    database_away()
    response = client.get("/healthz")
    assert response.status_code == 503
    assert response.json()["database"] is False


@pytest.mark.parametrize("address", ["/api/leads/import", "/imports/"])
def test_a_full_disk_is_told_in_words(analyst, address, monkeypatch) -> None:
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(operations, "_store", full)
    client = Client(raise_request_exception=False)
    client.force_login(analyst)
    file = SimpleUploadedFile("list.csv", b"Address,ZIP\n1 Main St,07030\n")
    response = client.post(address, {"file": file, "on_duplicate": "fill", "unknown_tags": "create"})
    if address.startswith("/api/"):
        assert problem(response, 503)["code"] == "cannot_store"
    assert response.status_code == 503
    assert b"could not be stored" in response.content


@pytest.mark.parametrize(
    ("cause", "is_away"),
    [
        (psycopg.OperationalError("nobody answers"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.TooManyConnections(), True),
        (psycopg.errors.DeadlockDetected(), False),
        (psycopg.errors.QueryCanceled(), False),
    ],
)
def test_a_deadlock_or_a_timeout_is_no_outage(cause, is_away) -> None:
    error = OperationalError()
    error.__cause__ = cause
    assert (outage(error) is not None) is is_away


def test_a_closed_connection_is_an_outage_and_a_bug_is_none() -> None:
    assert outage(InterfaceError("the connection is closed")) is not None
    assert outage(RuntimeError()) is None
    assert outage(OSError(errno.EINVAL, "odd")) is None
    assert outage(None) is None


def logged(error: Exception) -> str:
    """What the log holds of an error, as the handler would write it."""
    try:
        raise error
    except type(error):
        record = logging.LogRecord("celery.app.trace", logging.ERROR, "", 0, "Task %s", ("failed",), sys.exc_info())
    OutageInOneLine().filter(record)
    return logging.Formatter("%(message)s").format(record)


def test_an_outage_is_one_line_of_the_log_and_a_bug_its_traceback() -> None:
    assert logged(OperationalError("refused\nIs it running?")) == "Task failed (the database is away: refused)"
    assert "Traceback" in logged(RuntimeError("a bug"))
