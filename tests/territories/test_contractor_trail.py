"""What was agreed with a contractor, and who changed it: as the page tells it, whichever way it was changed."""

import datetime as dt

import pytest
from django.urls import reverse

from territories.contractors.operations import (
    ContractorStale,
    create_login,
    end_contractor,
    pause_contractor,
    resume_contractor,
    save_contractor,
)
from territories.contractors.tokens import create_token, revoke_token, rotate_token
from territories.contractors.trail import version_of
from territories.models import Contractor, ContractorEvent
from territories.webhooks.endpoints import rotate_secret, save_endpoint
from tests.api import api_client
from tests.conftest import NOW
from tests.factories import make_tag
from tests.territories.factories import make_contractor

pytestmark = pytest.mark.django_db
FORM = {
    "company": "Acme",
    "price": "45.00",
    "return_window_days": "14",
    "return_quota_percent": "20",
    "contact-TOTAL_FORMS": "2",
    "contact-INITIAL_FORMS": "0",
}


def told(contractor: Contractor) -> list[tuple[str, list[list[str]]]]:
    return [(event.kind, event.changes) for event in contractor.events.order_by("pk")]


def test_a_change_tells_each_former_and_new_value_and_nothing_else(manager) -> None:
    old_roof = make_tag(name="Old roof")
    contractor = save_contractor(contractor=Contractor(company="Acme", price=25), at=NOW, by=manager)
    contractor.refresh_from_db()
    contractor.price, contractor.daily_cap = 45, 1_000
    save_contractor(contractor=contractor, at=NOW + dt.timedelta(days=1), by=manager, wanted_tags=[old_roof])
    save_contractor(contractor=contractor, at=NOW + dt.timedelta(days=2), by=manager)  # nothing differs
    assert told(contractor) == [
        ("made", []),
        ("changed", [["Price", "25.00", "45.00"], ["Leads a day", "", "1,000"], ["Wanted tags", "", "Old roof"]]),
    ]
    event = contractor.events.latest("pk")
    assert (event.by, event.at) == (manager, NOW + dt.timedelta(days=1))


def test_state_login_tokens_and_webhook_are_told_but_no_secret(manager) -> None:
    contractor = make_contractor(company="Acme")
    who = {"by": manager, "at": NOW}
    pause_contractor(contractor=contractor, **who)
    resume_contractor(contractor=contractor, **who)
    create_login(contractor=contractor, **who)
    contractor.refresh_from_db()
    made = create_token(contractor=contractor, name="crm", days=None, is_sandbox=False, **who)
    new = rotate_token(contractor=contractor, token_key=made.token.token_key, hours=0, **who)
    revoke_token(contractor=contractor, token_key=new.token.token_key, **who)
    saved = save_endpoint(contractor=contractor, url="https://hooks.example.com/a", is_enabled=True, **who)
    secret = rotate_secret(endpoint=saved.endpoint, **who)
    end_contractor(contractor=contractor, **who)
    events = contractor.events.order_by("pk")
    assert [(event.kind, event.note) for event in events] == [
        ("paused", ""),
        ("resumed", ""),
        ("login_made", "acme"),
        ("token_made", "crm"),
        ("token_rotated", "crm"),
        ("token_revoked", "crm"),
        ("webhook_set", "https://hooks.example.com/a, on"),
        ("secret_rotated", ""),
        ("ended", ""),
    ]
    assert {event.by for event in events} == {manager}
    kept = str(list(events.values()))
    assert not [text for text in (made.text, new.text, saved.secret, secret) if text in kept]


def test_pages_api_and_admin_leave_the_same_trail(manager_client, manager, person, client) -> None:
    contractor = make_contractor(company="Acme", price=25)
    manager_client.post(reverse("territories:edit-contractor", args=[contractor.pk]), FORM)
    api_client(manager).patch(f"/api/contractors/{contractor.pk}", {"price": "50.00"}, content_type="application/json")
    admin = person("admin")
    admin.is_staff = True
    admin.save()
    client.force_login(admin)
    inline = {"contacts-TOTAL_FORMS": "1", "contacts-INITIAL_FORMS": "0", "contacts-0-name": "Ada Lopez"}
    answer = client.post(
        f"/admin/territories/contractor/{contractor.pk}/change/",
        FORM | inline | {"price": "55.00", "contacts-0-contractor": contractor.pk},
    )
    assert answer.status_code == 302
    assert told(contractor) == [
        ("changed", [["Price", "25.00", "45.00"]]),
        ("changed", [["Price", "45.00", "50.00"]]),
        ("changed", [["Price", "50.00", "55.00"], ["Contacts", "", "Ada Lopez"]]),
    ]
    assert [event.by for event in contractor.events.order_by("pk")] == [manager, manager, admin]
    page = manager_client.get(contractor.get_absolute_url()).content.decode()
    assert "What was done" in page
    assert 'Price: <span class="muted">50.00</span> → 55.00' in page
    assert 'Contacts: <span class="muted">none</span> → Ada Lopez' in page


def test_who_saves_over_what_somebody_else_saved_is_told_first_and_keeps_what_was_typed(manager_client) -> None:
    contractor = make_contractor(company="Acme", price=25)
    url = reverse("territories:edit-contractor", args=[contractor.pk])
    assert 'name="version" value="0"' in manager_client.get(url).content.decode()
    assert manager_client.post(url, FORM | {"version": "0", "price": "45"}).status_code == 302

    answer = manager_client.post(url, FORM | {"version": "0", "price": "30", "trade": "Roofing"})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "Somebody changed this contractor meanwhile; nothing of yours was saved." in page
    assert 'Price: <span class="muted">25.00</span> → 45.00' in page
    assert 'value="Roofing"' in page
    contractor.refresh_from_db()
    assert (contractor.price, contractor.trade) == (45, "")

    # Seen and saved again.
    version = version_of(contractor)
    assert f'name="version" value="{version}"' in page
    assert manager_client.post(url, FORM | {"version": version, "price": "30", "trade": "Roofing"}).status_code == 302
    contractor.refresh_from_db()
    assert (contractor.price, contractor.trade) == (30, "Roofing")


def test_what_was_refused_leaves_nothing() -> None:
    contractor = make_contractor(company="Acme")
    save_contractor(contractor=Contractor.objects.get(pk=contractor.pk), at=NOW, by=None, wanted_tags=[make_tag()])
    before = told(contractor)
    mine = Contractor.objects.get(pk=contractor.pk)
    mine.price = 99
    with pytest.raises(ContractorStale, match="nothing of yours was saved"):
        save_contractor(contractor=mine, at=NOW, by=None, seen=0, wanted_tags=[])
    assert told(contractor) == before
    assert Contractor.objects.get(pk=contractor.pk).price == 25
    assert contractor.wanted_tags.count() == 1
    assert ContractorEvent.objects.count() == 1
