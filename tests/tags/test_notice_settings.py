"""What the environment says of notices and links: defaults, and odd values refused in words at start."""

import runpy
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def read_settings() -> dict[str, Any]:
    return runpy.run_path(str(settings.BASE_DIR / "leadscore" / "settings.py"))


@pytest.fixture(autouse=True)
def plain(monkeypatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x" * 50)
    for name in ("PORT", "LEADSCORE_BASE_URL", "LEADSCORE_ENV", "ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_word_it_is_thirty_days_at_seven_and_this_machine() -> None:
    found = read_settings()
    assert (found["EXPIRY_NOTICE_DAYS"], found["NOTICE_HOUR"]) == (30, 7)
    assert found["BASE_URL"] == "http://127.0.0.1:8000"


def test_links_begin_with_what_is_set_else_in_production_with_the_first_host(monkeypatch) -> None:
    monkeypatch.setenv("LEADSCORE_ENV", "production")
    monkeypatch.setenv("ALLOWED_HOSTS", "leads.example.com,localhost")
    assert read_settings()["BASE_URL"] == "https://leads.example.com"
    monkeypatch.setenv("LEADSCORE_BASE_URL", "https://example.com/leads/")
    assert read_settings()["BASE_URL"] == "https://example.com/leads"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADSCORE_EXPIRY_NOTICE_DAYS", "0"),
        ("LEADSCORE_EXPIRY_NOTICE_DAYS", "36501"),
        ("LEADSCORE_NOTICE_HOUR", "24"),
        ("LEADSCORE_BASE_URL", "leads.example.com"),
        ("LEADSCORE_BASE_URL", "javascript:alert(1)"),
        ("LEADSCORE_BASE_URL", "https://leads.example.com/?a=b"),
    ],
)
def test_an_odd_value_is_refused_and_named(monkeypatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        read_settings()
