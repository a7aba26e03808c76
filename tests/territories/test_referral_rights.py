"""Who may do what to referrals and returns: every page and API route, each with every method and every role."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from territories.generation import operations
from territories.models import Referral, ReferralReturn
from territories.referrals import urls
from tests.api import api_client
from tests.factories import make_lead
from tests.territories.factories import make_referral, make_return

pytestmark = pytest.mark.django_db
ROLES = ("viewer", "analyst", "manager", "admin", "contractor")
SEES, WORKS, DECIDES, NOBODY = ROLES[:4], ROLES[1:4], ROLES[2:4], ()

# Name of the page -> who may GET it, who may POST to it. NOBODY: nobody may, for the page has no such method.
PAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "referrals": (SEES, NOBODY),
    "referral-report": (SEES, NOBODY),
    "export-referral-report": (WORKS, NOBODY),
    "referral": (SEES, NOBODY),
    "accept-referral": (NOBODY, WORKS),
    "contact-referral": (NOBODY, WORKS),
    "convert-referral": (NOBODY, WORKS),
    "correct-referral": (NOBODY, WORKS),
    "cancel-referral": (NOBODY, WORKS),
    "release-referral": (NOBODY, WORKS),
    "return-referral": (NOBODY, WORKS),
    "lead-referrals": (SEES, NOBODY),
    "refer-lead": (NOBODY, WORKS),
    "returns": (SEES, NOBODY),
    "approve-return": (NOBODY, DECIDES),
    "refuse-return": (NOBODY, DECIDES),
}
LEAD_PAGES = {"suppress": WORKS, "unsuppress": WORKS}
API: dict[str, dict[str, tuple[str, ...]]] = {
    "referrals": {"get": SEES},
    "referrals/{referral}": {"get": SEES},
    "referrals/{referral}/cancel": {"post": WORKS},
    "referrals/{referral}/release": {"post": WORKS},
    "referrals/{referral}/correct": {"post": WORKS},
    "referrals/{referral}/return": {"post": WORKS},
    "returns": {"get": SEES},
    "returns/{wish}/approve": {"post": DECIDES},
    "returns/{wish}/refuse": {"post": DECIDES},
    "leads/{lead}/assign": {"post": WORKS},
    "leads/{lead}/suppress": {"post": WORKS},
    "leads/{lead}/unsuppress": {"post": WORKS},
    "leads/suppress": {"post": WORKS},
    "leads/unsuppress": {"post": WORKS},
}
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture
def things(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """One of each; the ZIP of the lead is nobody's."""

    def refuse(**given: Any) -> Referral:
        raise operations.NoHolder("Nobody holds 07030.")

    monkeypatch.setattr(operations, "assign_lead", refuse)
    monkeypatch.setattr(operations, "replace_return", lambda **given: None)
    return {"referral": make_referral().pk, "wish": make_return().pk, "lead": make_lead().pk}


def address_of(name: str, pattern: Any, things: dict[str, int]) -> str:
    kind = "lead" if "lead" in name else "wish" if name in ("approve-return", "refuse-return") else "referral"
    return reverse(f"territories:{name}", args=[things[kind]] if pattern.pattern.converters else [])


def test_every_page_is_in_the_table() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
def test_pages(role: str, person: Any, things: dict[str, int]) -> None:
    client = Client()
    client.force_login(person(role))
    asked = [(address_of(str(one.name), one, things), *PAGES[str(one.name)]) for one in urls.urlpatterns]
    asked += [(reverse(f"leads:{name}", args=[things["lead"]]), NOBODY, who) for name, who in LEAD_PAGES.items()]
    wrong = []
    for address, gets, posts in asked:
        for method in METHODS:
            status = getattr(client, method)(address).status_code
            allowed = {"get": gets, "post": posts}.get(method, NOBODY)
            # A form without values is refused as such (422, 409), after the right was there.
            fits = (
                status in (200, 302, 409, 422)
                if role in allowed
                else status == 403
                if allowed
                else status in (403, 405)
            )
            if not fits:
                wrong.append((role, method, address, status))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_a_refused_post_changes_nothing(role: str, person: Any, things: dict[str, int]) -> None:
    client = Client()
    client.force_login(person(role))
    for one in urls.urlpatterns:
        if role not in PAGES[str(one.name)][1]:
            client.post(address_of(str(one.name), one, things), {"note": "x", "reason": "sold", "anyway": "1"})
    assert Referral.objects.get(pk=things["referral"]).status == "delivered"
    assert ReferralReturn.objects.get().status == "pending"


def test_nobody_gets_in_without_login(client: Client, things: dict[str, int]) -> None:
    for one in urls.urlpatterns:
        for method in ("get", "post"):
            response = getattr(client, method)(address_of(str(one.name), one, things))
            assert response.status_code == 302
            assert response.url.startswith("/login/")


@pytest.mark.parametrize("role", ROLES)
def test_api(role: str, person: Any, things: dict[str, int]) -> None:
    client, wrong = api_client(person(role)), []
    for route, rights in API.items():
        address = "/api/" + route.format(**things)
        for method in METHODS:
            status = getattr(client, method)(address).status_code
            if method not in rights:
                fits = status == 405
            else:
                fits = status not in (401, 403, 404, 405) if role in rights[method] else status == 403
            if not fits:
                wrong.append((role, method, address, status))
    assert wrong == []
