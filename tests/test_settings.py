"""The environment is read once, at the start: odd values are refused in words, empty ones mean the default."""

import importlib.util
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(settings.BASE_DIR)
# Given by compose in another way, or not for a server.
NOT_IN_COMPOSE = {"DEBUG", "HOST", "PORT"}


def read_settings():
    """settings.py as a new process would read it."""
    spec = importlib.util.spec_from_file_location("settings_read_again", ROOT / "leadscore" / "settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def variables() -> set[str]:
    """Every name that settings.py looks up in the environment."""
    text = (ROOT / "leadscore" / "settings.py").read_text()
    return set(re.findall(r"(?:env\.\w+|_whole|_yes|_text|environ\.get)\(\s*\"([A-Z_]+)\"", text))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADSCORE_NIGHTLY_HOUR", "four"),
        ("LEADSCORE_NIGHTLY_HOUR", "24"),
        ("LEADSCORE_NOTICE_HOUR", "-1"),
        ("LEADSCORE_EXPIRY_NOTICE_DAYS", "0"),
        ("LEADSCORE_IMPORT_MAX_MB", "x"),
        ("LEADSCORE_HISTORY_MONTHS", "1.5"),
        ("LEADSCORE_TIME_ZONE", "Mars/X"),
        ("LOG_LEVEL", "loud"),
        ("LEADSCORE_RANGE_LEADS", "0"),
        ("LEADSCORE_RANGE_LEADS", "-5"),
        ("LEADSCORE_JOB_CONNECTIONS", "0"),
        ("LEADSCORE_REFERRAL_HOLD_DAYS", "9999999"),
        ("LEADSCORE_CONTRACTOR_READS_PER_MINUTE", "0"),
        ("LEADSCORE_WEBHOOK_PORTS", "all"),
        ("LEADSCORE_WEBHOOK_ALLOW_HTTP", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(monkeypatch, name, value) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=rf"(?i){name} is '{value}'"):
        read_settings()


def test_an_empty_value_means_the_default(monkeypatch) -> None:
    optional = [name for name in variables() if name.startswith("LEADSCORE_") or name == "LOG_LEVEL"]
    for name in {*optional} - {"LEADSCORE_ENV", "LEADSCORE_DATA_DIR"}:
        monkeypatch.delenv(name, raising=False)
    bare = {key: value for key, value in vars(read_settings()).items() if key.isupper()}
    for name in {*optional} - {"LEADSCORE_ENV", "LEADSCORE_DATA_DIR"}:
        monkeypatch.setenv(name, "")
    assert {key: value for key, value in vars(read_settings()).items() if key.isupper() and key != "ENV"} == bare


def test_compose_passes_every_variable_that_is_read() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    passed = set(re.findall(r"^    ([A-Z_]+): ", compose, re.MULTILINE))
    assert {"LEADSCORE_NIGHTLY_HOUR", "LOG_LEVEL", "EMAIL_URL", "SECURE_SSL_REDIRECT"} <= variables()
    assert variables() - NOT_IN_COMPOSE - passed == set()
