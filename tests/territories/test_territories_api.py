"""Staff API of contractors and territories."""

import datetime as dt

import pytest
from django.utils import timezone

from territories.models import Contractor, Referral, Territory, TerritoryEvent
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import make_tag
from tests.territories.holders import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture
def api(manager):
    return api_client(manager)


def post(api, address: str, body: dict | None = None, key: str | None = None):
    headers = {"Idempotency-Key": key} if key else {}
    if body is None:
        return api.generic("POST", address, headers=headers)
    return api.post(address, body, content_type="application/json", headers=headers)


# Contractors ----------------------------------------------------------------------------------------------------------


def test_a_contractor_is_made_once_for_one_key_told_and_changed(api) -> None:
    tag = make_tag()
    body = {
        "company": "Harbor Roofing",
        "daily_cap": 2,
        "price": "45.00",
        "wanted_tags": [tag.pk],
        "contacts": [{"name": "Ada", "email": "ada@example.com"}],
        "auto_return_reasons": ["sold"],
    }
    made = post(api, "/api/contractors", body, key="one")
    assert made.status_code == 201
    again = post(api, "/api/contractors", body, key="one")
    assert (again.status_code, again["Idempotent-Replayed"], again.json()) == (201, "true", made.json())
    contractor = Contractor.objects.get()
    assert made["Location"] == f"/api/contractors/{contractor.pk}"
    make_referral(contractor=contractor, assigned_at=timezone.now())
    make_territory(contractor)
    told = api.get(made["Location"]).json()
    assert told["usage"] == {"today": 1, "month": 1, "total": 1, "remaining": 1}
    assert (told["zips_held"], told["wanted_tags"], told["price"]) == (1, [tag.pk], "45.00")
    assert told["contacts"] == [{"name": "Ada", "role": "", "email": "ada@example.com", "phone": ""}]
    changed = api.patch(made["Location"], {"daily_cap": None, "wanted_tags": []}, content_type="application/json")
    assert changed.status_code == 200
    assert (changed.json()["daily_cap"], changed.json()["wanted_tags"]) == (None, [])
    assert changed.json()["contacts"] == told["contacts"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "company"),
        ({"company": "ACME"}, "company"),
        ({"company": "New", "colour": "red"}, "colour"),
        ({"company": "New", "daily_cap": "5"}, "daily_cap"),
        ({"company": "New", "daily_cap": -1}, "daily_cap"),
        ({"company": "New", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"company": "New", "wanted_tags": [2**70]}, "wanted_tags"),
        ({"company": "New", "price": "-1"}, "price"),
        ({"company": "New", "contacts": [{"role": "Owner"}]}, "contacts.0.name"),
        ({"company": "New", "status": "ended"}, "status"),
    ],
)
def test_what_cannot_be_taken_is_named(api, body, field) -> None:
    make_contractor(company="Acme")
    assert field in problem(post(api, "/api/contractors", body), 400)["errors"]
    assert Contractor.objects.count() == 1


def test_contractors_are_filtered_and_paged_in_a_fixed_number_of_queries(api, django_assert_max_num_queries) -> None:
    for number in range(30):
        make_contractor(company=f"Company {number:02}", status="paused" if number % 2 else "active")
    make_contractor(company="Sandbox", sandbox_of=Contractor.objects.first())
    with django_assert_max_num_queries(12):
        first = api.get("/api/contractors?limit=10&status=paused").json()
    second = api.get(first["next"]).json()
    names = [one["company"] for one in first["results"] + second["results"]]
    assert names == [f"Company {number:02}" for number in range(1, 30, 2)]
    assert [one["company"] for one in api.get("/api/contractors?q=07").json()["results"]] == ["Company 07"]
    problem(api.get("/api/contractors?status=asleep"), 400)
    problem(api.patch("/api/contractors/99999", {"trade": "x"}, content_type="application/json"), 404)


def test_pausing_resuming_and_ending_tell_what_they_did(api) -> None:
    contractor = make_contractor()
    make_territory(contractor)
    make_referral(contractor=contractor)
    make_referral(contractor=contractor, status="delivered")
    address = f"/api/contractors/{contractor.pk}"
    paused = post(api, f"{address}/pause", key="p").json()
    assert (paused["contractor"]["status"], paused["cancelled"], paused["requeued"]) == ("paused", 1, 1)
    assert paused["delivered"] == 1
    assert post(api, f"{address}/pause", key="p").json() == paused
    assert problem(post(api, f"{address}/pause"), 409)["code"] == "contractor_not_changed"
    assert post(api, f"{address}/resume").json()["contractor"]["status"] == "active"
    ended = post(api, f"{address}/end").json()
    assert (ended["contractor"]["status"], ended["territories_ended"]) == ("ended", 1)
    problem(post(api, f"{address}/resume"), 409)
    problem(post(api, "/api/contractors/99999/end"), 404)
    problem(post(api, f"{address}/end", {"why": "x"}), 400)


# Territories ----------------------------------------------------------------------------------------------------------


def test_zips_are_assigned_all_or_none_and_conflicts_are_named(api, manager) -> None:
    acme, other = make_contractor(), make_contractor(company="Other")
    make_territory(other, "07030")
    body = {"zips": ["07302", "07030"], "contractor": acme.pk, "note": "as agreed"}
    told = post(api, "/api/territories", body | {"dry_run": True})
    assert (told.status_code, told.json()["zips"]) == (200, ["07302"])
    assert told.json()["conflicts"][0]["contractor"] == {"id": other.pk, "company": "Other"}
    late = problem(post(api, "/api/territories", body, key="k"), 409)
    assert (late["code"], [one["zip"] for one in late["conflicts"]]) == ("territory_taken", ["07030"])
    assert Territory.objects.count() == 1
    made = post(api, "/api/territories", body | {"zips": ["07302"]}, key="k")
    assert made.status_code == 201
    assert made.json()["has_begun"] is True
    assert post(api, "/api/territories", body | {"zips": ["07302"]}, key="k").json() == made.json()
    assert TerritoryEvent.objects.get(zip="07302").by == manager
    assert TerritoryEvent.objects.get(zip="07302").note == "as agreed"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"zips": []}, "zips"),
        ({"zips": ["7030"]}, "zips.0"),
        ({"contractor": 2**70}, "contractor"),
        ({"from_at": "2026-06-01T00:00:00Z", "to_at": "2026-06-01T00:00:00Z"}, "to_at"),
        ({"from_at": "2020-01-01T00:00:00Z", "to_at": "2021-01-01T00:00:00Z"}, "to_at"),
        ({"from_at": "2020-01-01T00:00:00Z", "to_at": "2021-01-01T00:00:00Z", "dry_run": True}, "to_at"),
        ({"from_at": "soon"}, "from_at"),
        ({"until": "2026-06-01T00:00:00Z"}, "until"),
    ],
)
def test_what_cannot_be_assigned_is_named(api, changes, field) -> None:
    body = {"zips": ["07030"], "contractor": make_contractor().pk} | changes
    assert field in problem(post(api, "/api/territories", body), 400)["errors"]
    assert not Territory.objects.exists()


def test_territories_are_listed_by_state_zip_and_contractor(api) -> None:
    now = timezone.now()
    acme, other = make_contractor(), make_contractor()
    make_territory(acme, "07030")
    make_territory(other, "07302", from_at=now + DAY, taken_up_at=None)
    make_territory(acme, "08540", from_at=now - 9 * DAY, to_at=now - DAY)
    make_territory(acme, "08541", from_at=now + DAY, to_at=now + DAY)
    for query, zips in {
        "sort=zip": ["07030", "07302", "08540"],
        "state=held": ["07030"],
        "state=future": ["07302"],
        "state=ended": ["08540"],
        f"contractor={acme.pk}&sort=zip": ["07030", "08540"],
        "zip=07&sort=zip": ["07030", "07302"],
    }.items():
        assert [one["zip"] for one in api.get(f"/api/territories?{query}").json()["results"]] == zips, query
    assert set(problem(api.get("/api/territories?state=mine&zip=x&contractor=y"), 400)["errors"]) == {
        "state",
        "zip",
        "contractor",
    }


def test_a_territory_is_transferred_and_ended(api) -> None:
    acme, other = make_contractor(), make_contractor(company="Other")
    territory = make_territory(acme)
    make_referral(contractor=acme, territory=territory)
    address = f"/api/territories/{territory.pk}"
    done = post(api, f"{address}/transfer", {"contractor": other.pk}, key="t")
    assert done.status_code == 200
    told = done.json()
    assert (told["territory"]["contractor"]["company"], told["cancelled"], told["requeued"]) == ("Other", 1, 1)
    assert post(api, f"{address}/transfer", {"contractor": other.pk}, key="t").json() == told
    assert problem(post(api, f"{address}/transfer", {"contractor": other.pk}), 409)["code"] == "territory_not_changed"
    new = f"/api/territories/{told['territory']['id']}"
    assert "to_at" in problem(post(api, f"{new}/end", {"to_at": "2001-01-01T00:00:00Z"}), 400)["errors"]
    assert (
        "from_at"
        in problem(post(api, f"{new}/transfer", {"contractor": acme.pk, "from_at": "2001-01-01T00:00:00Z"}), 400)[
            "errors"
        ]
    )
    ended = post(api, f"{new}/end", {"note": "moves away"}).json()
    assert ended["territory"]["to_at"] is not None
    problem(post(api, f"{new}/end", {}), 409)
    problem(post(api, "/api/territories/99999/end", {}), 404)
    # Each holder in turn was offered the lead, which waits for the next one now.
    statuses = list(Referral.objects.order_by("pk").values_list("status", "contractor__company"))
    assert statuses == [("cancelled", acme.company), ("cancelled", "Other"), ("generated", None)]


def test_a_planned_end_is_taken_back_over_the_api(api) -> None:
    territory = make_territory(make_contractor(), to_at=timezone.now() + DAY)
    address = f"/api/territories/{territory.pk}/end"
    both = {"no_end": True, "to_at": "2040-01-01T00:00:00Z"}
    assert "no_end" in problem(post(api, address, both), 400)["errors"]
    assert post(api, address, {"no_end": True}).json()["territory"]["to_at"] is None
    problem(post(api, address, {"no_end": True}), 400)


def test_exclusivity_is_proven_over_the_api(api) -> None:
    acme = make_contractor(company="Acme")
    make_territory(acme, from_at=NOW - 9 * DAY, created_at=NOW)
    referral = make_referral(contractor=acme)
    query = "zip=07030&from=2026-06-01T00:00:00Z&to=2026-07-01T00:00:00%2B00:00"
    told = api.get(f"/api/territories/exclusivity?{query}").json()
    assert (told["is_exclusive"], told["referral_count"]) == (True, 1)
    assert [one["contractor"] and one["contractor"]["company"] for one in told["stretches"]] == [None, "Acme"]
    assert [one["entered_late_at"] for one in told["stretches"]] == [None, "2026-06-15T12:00:00Z"]
    assert told["referrals"][0]["id"] == referral.pk
    assert api.get("/api/territories/exclusivity?zip=10001").json()["referral_count"] == 0
    for query in (
        "",
        "zip=1",
        "zip=07030&from=2026-06-01",
        "zip=07030&from=2026-06-01T00:00:00Z&to=2026-05-01T00:00:00Z",
    ):
        problem(api.get(f"/api/territories/exclusivity?{query}"), 400)
    for extreme in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00%2B14:00"):
        assert api.get(f"/api/territories/exclusivity?zip=07030&to={extreme}").status_code in (200, 400)
