"""Leads that are offered to nobody: the operation, the page of the lead, the filter, and the API."""

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client

from leads import registry
from leads.models import Lead, LeadSuppression
from leads.suppression import NoReason, lift_suppression, suppress_leads
from tests.api import api_client, problem
from tests.factories import make_lead

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
WHY = "Owner asked not to be contacted"


@pytest.fixture
def api(analyst) -> Client:
    return api_client(analyst)


def post(client: Client, address: str, body: Any, **headers: str) -> Any:
    return client.post(address, body, content_type="application/json", headers=headers)


def test_suppressing_keeps_when_who_and_why_and_leaves_the_score(now, analyst) -> None:
    lead, other = make_lead(score=700), make_lead()
    done = suppress_leads(lead_ids=[lead.pk, 999_999], reason=f"  {WHY} ", by=analyst, at=now)
    assert done.changed == [lead.pk]
    before = Lead.objects.get(pk=lead.pk)
    assert (before.suppressed_at, before.suppressed_reason, before.score) == (now, WHY, 700)
    assert before.updated_at == lead.updated_at
    assert Lead.objects.offerable().get() == other
    row = LeadSuppression.objects.get()
    assert (row.lead, row.reason, row.suppressed_at, row.suppressed_by, row.lifted_at) == (
        lead,
        WHY,
        now,
        analyst,
        None,
    )


def test_a_suppressed_lead_keeps_its_day_and_reason(now) -> None:
    lead = make_lead()
    suppress_leads(lead_ids=[lead.pk], reason=WHY, by=None, at=now)
    assert suppress_leads(lead_ids=[lead.pk], reason="Other", by=None, at=now + DAY).changed == []
    lead.refresh_from_db()
    assert (lead.suppressed_at, lead.suppressed_reason, lead.suppressions.count()) == (now, WHY, 1)


def test_lifting_keeps_the_trail_and_it_may_be_suppressed_again(now, analyst, manager) -> None:
    lead = make_lead()
    suppress_leads(lead_ids=[lead.pk], reason=WHY, by=analyst, at=now)
    assert lift_suppression(lead_ids=[lead.pk], reason="Called back", by=manager, at=now + DAY).changed == [lead.pk]
    assert lift_suppression(lead_ids=[lead.pk], reason="", by=manager, at=now + DAY).changed == []
    suppress_leads(lead_ids=[lead.pk], reason="Again", by=manager, at=now + 2 * DAY)
    rows = [(row.reason, row.lifted_at, row.lifted_by, row.lift_reason) for row in lead.suppressions.order_by("pk")]
    assert rows == [(WHY, now + DAY, manager, "Called back"), ("Again", None, None, "")]


def test_nobody_suppresses_without_a_reason(now) -> None:
    lead = make_lead()
    with pytest.raises(NoReason):
        suppress_leads(lead_ids=[lead.pk], reason=" ", by=None, at=now)
    assert LeadSuppression.objects.count() == 0


def test_upper_rooms_follow_in_the_same_transaction(now, monkeypatch) -> None:
    asked: list[Any] = []

    def follow(*given: Any) -> None:
        asked.append(given)
        raise RuntimeError

    monkeypatch.setattr(registry, "_suppressed", [follow])
    lead = make_lead()
    with pytest.raises(RuntimeError):
        suppress_leads(lead_ids=[lead.pk], reason=WHY, by=None, at=now)
    assert asked == [([lead.pk], WHY, None, now)]
    assert Lead.objects.get(pk=lead.pk).suppressed_at is None


def test_the_page_of_a_lead_suppresses_says_so_and_lifts(analyst_client, viewer_client) -> None:
    lead = make_lead()
    address = lead.get_absolute_url()
    assert b"Suppress this lead" in analyst_client.get(address).content
    assert b"Suppress this lead" not in viewer_client.get(address).content
    page = analyst_client.post(f"{address}suppress/", {"reason": "Asked <b>twice</b>"}, follow=True).content.decode()
    assert "Suppressed: this lead is offered to nobody from now on." in page
    assert "Asked &lt;b&gt;twice&lt;/b&gt;" in page
    assert "by analyst" in page
    assert b"Suppressed: offered to nobody." in viewer_client.get(address).content
    assert b"Why it may be offered again" not in viewer_client.get(address).content
    page = analyst_client.post(f"{address}unsuppress/", {"reason": "Called back"}, follow=True).content.decode()
    assert "Lifted: this lead may be offered again." in page
    assert "Suppressed before" in page
    assert "Lifted: Called back" in page


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\0b"])
def test_a_reason_that_cannot_be_kept_is_said_and_changes_nothing(analyst_client, reason) -> None:
    lead = make_lead()
    response = analyst_client.post(f"{lead.get_absolute_url()}suppress/", {"reason": reason})
    assert response.status_code == 422
    assert b'role="alert"' in response.content
    assert Lead.objects.get(pk=lead.pk).suppressed_at is None


def test_leads_are_filtered_by_suppression(viewer_client, now) -> None:
    lead = make_lead(address="1 QUIET ST")
    make_lead(address="2 OPEN ST")
    suppress_leads(lead_ids=[lead.pk], reason=WHY, by=None, at=now)
    shown = {}
    for value in ("yes", "no", ""):
        page = viewer_client.get("/leads/", {"suppressed": value, "sort": "address"}).content.decode()
        shown[value] = re.findall(r'<span class="line">([^<]*)</span>', page)
    assert shown == {"yes": ["1 QUIET ST"], "no": ["2 OPEN ST"], "": ["1 QUIET ST", "2 OPEN ST"]}
    page = viewer_client.get("/leads/", {"suppressed": "yes"}).content.decode()
    assert "Suppressed: <strong>Suppressed</strong>" in page
    assert (
        "“maybe” is not known here; choose one of yes, no."
        in viewer_client.get("/leads/", {"suppressed": "maybe"}).content.decode()
    )


def test_the_api_suppresses_and_lifts_one_lead(api) -> None:
    lead = make_lead()
    told = post(api, f"/api/leads/{lead.pk}/suppress", {"reason": WHY}).json()
    assert (told["suppressed_reason"], told["suppressed_at"] is not None) == (WHY, True)
    assert [one["id"] for one in api.get("/api/leads?suppressed=yes").json()["results"]] == [lead.pk]
    told = post(api, f"/api/leads/{lead.pk}/unsuppress", {"reason": "Called back"}).json()
    assert (told["suppressed_reason"], told["suppressed_at"]) == ("", None)
    problem(post(api, "/api/leads/999999/suppress", {"reason": WHY}), 404)


def test_the_api_suppresses_and_lifts_many(api) -> None:
    ids = [make_lead().pk for _ in range(3)]
    assert post(api, "/api/leads/suppress", {"lead_ids": ids[:2], "reason": WHY}).json() == {"changed": 2}
    assert post(api, "/api/leads/suppress", {"lead_ids": [*ids, 999_999], "reason": WHY}).json() == {"changed": 1}
    assert post(api, "/api/leads/unsuppress", {"lead_ids": ids}).json() == {"changed": 3}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"lead_ids": [1]}, "reason"),
        ({"lead_ids": [], "reason": WHY}, "lead_ids"),
        ({"lead_ids": ["1"], "reason": WHY}, "lead_ids.0"),
        ({"lead_ids": [0], "reason": WHY}, "lead_ids.0"),
        ({"lead_ids": [2**70], "reason": WHY}, "lead_ids.0"),
        ({"lead_ids": [1], "reason": WHY, "all": True}, "all"),
        ({"lead_ids": list(range(1, 10_002)), "reason": WHY}, "lead_ids"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused(api, body, name) -> None:
    assert name in problem(post(api, "/api/leads/suppress", body), 400)["errors"]


def test_the_same_key_suppresses_once(api) -> None:
    lead = make_lead()
    key = {"Idempotency-Key": "k-1"}
    first = post(api, f"/api/leads/{lead.pk}/suppress", {"reason": WHY}, **key)
    post(api, f"/api/leads/{lead.pk}/unsuppress", {})
    again = post(api, f"/api/leads/{lead.pk}/suppress", {"reason": WHY}, **key)
    assert (again["Idempotent-Replayed"], again.json()) == ("true", first.json())
    assert Lead.objects.get(pk=lead.pk).suppressed_at is None
