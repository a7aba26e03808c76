"""Passwords cannot be guessed by trying, at either login."""

import logging
import uuid

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.guessing import TRIES_OF_A_NAME, TRIES_OF_AN_ADDRESS
from accounts.models import User

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
both = pytest.mark.parametrize("page", ["/login/", "/admin/login/"])


@pytest.fixture
def name() -> str:
    """A person's name that no earlier test tried."""
    name = f"guessed-{uuid.uuid4().hex}"
    User.objects.create_superuser(username=name, password=PASSWORD)
    return name


@pytest.fixture
def address() -> str:
    return f"test-{uuid.uuid4().hex}"


def log_in(page: str, name: str, password: str, address: str, **headers: str):
    return Client(REMOTE_ADDR=address).post(page, {"username": name, "password": password}, headers=headers)


@both
def test_a_name_is_refused_in_words_after_ten_wrong_tries(page, name, address) -> None:
    for number in range(TRIES_OF_A_NAME):
        # Another address and another spelling each time: the name counts.
        tried = name.upper() if number % 2 else name
        assert log_in(page, tried, "wrong", f"{address}{number}").status_code == 200
    refused = log_in(page, name, PASSWORD, address)
    assert refused.status_code == 429
    assert b"Wait 15 minutes" in refused.content
    assert int(refused["Retry-After"]) == 900


@both
def test_an_address_is_refused_after_thirty_wrong_tries_whatever_the_names(page, name, address) -> None:
    for number in range(TRIES_OF_AN_ADDRESS):
        assert log_in(page, f"{number}-{name}", "wrong", address).status_code == 200
    assert log_in(page, name, PASSWORD, address).status_code == 429
    assert log_in(page, name, PASSWORD, f"{address}-elsewhere").status_code == 302


def test_nothing_is_hashed_for_who_is_refused(name, address, monkeypatch) -> None:
    for _ in range(TRIES_OF_A_NAME):
        log_in("/login/", name, "wrong", address)
    monkeypatch.setattr(User, "check_password", lambda *args: pytest.fail("the password was looked at"))
    assert log_in("/login/", name, PASSWORD, address).status_code == 429


def test_a_right_password_forgets_the_wrong_ones(name, address) -> None:
    for _ in range(2):
        for _ in range(TRIES_OF_A_NAME - 1):
            log_in("/login/", name, "wrong", address)
        assert log_in("/login/", name, PASSWORD, address).status_code == 302


def test_a_wrong_login_is_logged_with_name_and_address_and_without_the_password(name, address, caplog) -> None:
    with caplog.at_level(logging.WARNING, "accounts.guessing"):
        log_in("/login/", name, "my secret", address)
    assert name in caplog.text
    assert address in caplog.text
    assert "my secret" not in caplog.text


def test_behind_the_trusted_proxy_the_address_is_the_one_that_the_proxy_saw(name, address, settings) -> None:
    forged = {"X-Forwarded-For": f"10.9.9.9, {address}"}
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for number in range(TRIES_OF_AN_ADDRESS):
        log_in("/login/", f"{number}-{name}", "wrong", "proxy", **forged)
    assert log_in("/login/", name, PASSWORD, "proxy", **forged).status_code == 429
    assert log_in("/login/", name, PASSWORD, "proxy", **{"X-Forwarded-For": "somebody-else"}).status_code == 302
    settings.SECURE_PROXY_SSL_HEADER = None
    assert log_in("/login/", name, PASSWORD, f"{address}-direct", **forged).status_code == 302


def test_with_the_cache_away_people_still_log_in(name, address, monkeypatch) -> None:
    monkeypatch.setattr(cache, "count", lambda *args: None)
    monkeypatch.setattr(cache, "get", lambda key, default=None: default)
    for _ in range(TRIES_OF_A_NAME + 1):
        log_in("/login/", name, "wrong", address)
    assert log_in("/login/", name, PASSWORD, address).status_code == 302
