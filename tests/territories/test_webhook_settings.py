"""What the environment says of webhooks: strict without a word, and odd values refused in words at start."""

import ipaddress
import runpy
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def read_settings() -> dict[str, Any]:
    return runpy.run_path(str(settings.BASE_DIR / "leadscore" / "settings.py"))


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x" * 50)
    for name in ("ALLOW_HTTP", "PORTS", "ALLOWED_NETWORKS"):
        monkeypatch.delenv(f"LEADSCORE_WEBHOOK_{name}", raising=False)


def test_without_a_word_it_is_https_to_public_addresses() -> None:
    found = read_settings()
    assert found["WEBHOOK_ALLOW_HTTP"] is False
    assert found["WEBHOOK_PORTS"] == {443, 8443}
    assert found["WEBHOOK_ALLOWED_NETWORKS"] == []


def test_networks_and_ports_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_WEBHOOK_ALLOWED_NETWORKS", "10.20.0.0/16, fd00:1::/64")
    monkeypatch.setenv("LEADSCORE_WEBHOOK_PORTS", "443, 9443")
    found = read_settings()
    networks = [ipaddress.ip_network("10.20.0.0/16"), ipaddress.ip_network("fd00:1::/64")]
    assert (found["WEBHOOK_ALLOWED_NETWORKS"], found["WEBHOOK_PORTS"]) == (networks, {443, 9443})
    monkeypatch.setenv("LEADSCORE_WEBHOOK_PORTS", "any")
    assert read_settings()["WEBHOOK_PORTS"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_NETWORKS", "10.20.0.5/16"),
        ("ALLOWED_NETWORKS", "inside"),
        ("PORTS", "https"),
    ],
)
def test_an_odd_value_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LEADSCORE_WEBHOOK_{name}", value)
    with pytest.raises(ImproperlyConfigured, match=f"LEADSCORE_WEBHOOK_{name}"):
        read_settings()


def test_production_sends_nothing_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADSCORE_WEBHOOK_ALLOW_HTTP", "1")
    assert read_settings()["WEBHOOK_ALLOW_HTTP"] is True
    monkeypatch.setenv("LEADSCORE_ENV", "production")
    with pytest.raises(ImproperlyConfigured, match="for development"):
        read_settings()
