"""The contractors' API: lists, filters, delivery, steps, territories, usage, limits and the sandbox."""

import datetime as dt
import re
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as project
from django.core.cache import cache
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import counting
from accounts.models import ApiToken
from leads.models import Lead
from leadscore.cache import ForgivingRedisCache
from territories.contractor_api import limits
from territories.contractor_api.usage import usage_body
from territories.models import Contractor, Referral, ReferralReturn, Territory
from territories.referrals.lifecycle import expire_overdue
from tests.api import api_client, problem
from tests.factories import make_scored_lead, make_tag
from tests.territories.contractors import BASE, make_login, make_user, post, program_of, token_client
from tests.territories.factories import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db
LIST = f"{BASE}/referrals"
AT = dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def patient_limits(settings) -> None:
    """Two runs of these tests within a minute have contractors of the same ids."""
    settings.CONTRACTOR_READS, settings.CONTRACTOR_WRITES = 60_000, 12_000


@pytest.fixture
def contractor() -> Contractor:
    return make_login()


@pytest.fixture
def api(contractor) -> Client:
    return program_of(contractor)


def ids_of(response: Any) -> list[int]:
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def full(contractor: Contractor, status: str = "assigned", **fields: Any) -> Referral:
    """A referral of a real lead, as of now."""
    lead = make_scored_lead(tags=[make_tag(name="Foreclosed " + str(Lead.objects.count()), base_score=900)])
    return make_referral(
        status=status, lead=lead, score=lead.score, contractor=contractor, **{"at": timezone.now()} | fields
    )


# Lists ----------------------------------------------------------------------------------------------------------------


def test_the_list_has_ones_own_the_newest_first_and_no_generated_ones(api, contractor) -> None:
    mine = [
        make_referral(status=status, contractor=contractor, at=AT + dt.timedelta(hours=hour))
        for hour, status in enumerate(("assigned", "delivered", "converted", "returned", "expired", "cancelled"))
    ]
    make_referral(status="generated")
    make_referral(status="delivered")
    assert ids_of(api.get(LIST)) == [referral.pk for referral in reversed(mine)]


def test_before_delivery_only_id_zip_score_and_moments_show(api, contractor) -> None:
    referral = full(contractor, receipt={"lead": {"owner_name": "SECRET"}})
    row = api.get(LIST).json()["results"][0]
    assert (row["id"], row["zip"], row["score"], row["status"]) == (referral.pk, "07030", 900, "assigned")
    assert row["receipt"] is None
    assert "SECRET" not in api.get(LIST).content.decode()
    assert referral.lead.owner_name not in api.get(LIST).content.decode()
    referral.refresh_from_db()
    assert referral.status == "assigned"


def test_the_list_shows_the_receipt_of_what_was_delivered(api, contractor) -> None:
    referral = make_referral(status="delivered", contractor=contractor, receipt={"lead": {"owner_name": "IDA QUILL"}})
    assert api.get(LIST).json()["results"][0]["receipt"] == referral.receipt


def test_pages_of_25_follow_next_without_gap_or_repetition(api, contractor) -> None:
    for number in range(30):  # many in one moment, as a run assigns them
        make_referral(contractor=contractor, at=AT + dt.timedelta(hours=number // 20))
    for sort, limit in (("-assigned_at", 25), ("score", 7), ("assigned_at", 11)):
        url, found = f"{LIST}?sort={sort}&limit={limit}", []
        while url:
            page = api.get(url)
            assert len(page.json()["results"]) <= limit
            found += ids_of(page)
            url = page.json()["next"]
        assert len(found) == len(set(found)) == 30
    assert len(ids_of(api.get(LIST))) == 25


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("status=assigned", "a"),
        ("status=assigned&status=converted", "ac"),
        ("zip=07030", "ab"),
        ("zip=07030&zip=07102", "abc"),
        ("score_min=500", "bc"),
        ("score_max=500", "ab"),
        ("score_min=500&score_max=500", "b"),
        ("assigned_from=2026-06-16T12:00:00Z", "bc"),
        ("assigned_to=2026-06-16T12:00:00Z", "a"),
        # In New York, where the contractor's day begins at 04:00 UTC.
        ("assigned_from=2026-06-17", "c"),
        ("assigned_to=2026-06-16", "ab"),
        ("assigned_from=2026-06-17T12:00:00%2B16:00", "c"),  # more than PostgreSQL takes
        ("assigned_from=2026-06-16T08:00:00-04:00&assigned_to=2026-06-16T08:00:01 -04:00".replace(" -", "-"), "b"),
        ("zip=10001", ""),
        ("zip=07030&status=converted", ""),
    ],
)
def test_filters_hold_together(api, contractor, query, wanted) -> None:
    made = {
        make_referral(
            status=status, contractor=contractor, at=AT + dt.timedelta(days=day), zip=zip_code, score=score
        ).pk: name
        for name, day, status, zip_code, score in (
            ("a", 0, "assigned", "07030", 100),
            ("b", 1, "delivered", "07030", 500),
            ("c", 2, "converted", "07102", 900),
        )
    }
    assert "".join(sorted(made[pk] for pk in ids_of(api.get(f"{LIST}?{query}")))) == wanted


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=generated", {"status"}),
        ("status=", {"status"}),
        ("zip=0703", {"zip"}),
        ("zip=%25%25%25%25%25", {"zip"}),
        ("zip=07030%00", {"zip"}),
        ("zip=٠٧٠٣٠", {"zip"}),
        ("score_min=many&score_max=1e9", {"score_min", "score_max"}),
        ("score_min=99999999999999999999", {"score_min"}),
        ("score_min=1&score_min=2", {"score_min"}),
        ("assigned_from=yesterday", {"assigned_from"}),
        ("assigned_from=2026-06-15T12:00:00", {"assigned_from"}),
        ("assigned_to=9999-12-31", {"assigned_to"}),
        ("assigned_to=0001-01-01T00:00:00Z", {"assigned_to"}),
        ("contractor=1", {"contractor"}),
        ("sort=price", {"sort"}),
        ("cursor=abc", {"cursor"}),
        ("limit=101", {"limit"}),
    ],
)
def test_what_cannot_be_filtered_by_is_told_by_name(api, query, names) -> None:
    assert set(problem(api.get(f"{LIST}?{query}"), 400)["errors"]) == names


def test_a_page_costs_few_queries_however_many_rows(api, contractor) -> None:
    counts = []
    for number in (1, 24):
        for _ in range(number):
            make_referral(contractor=contractor)
        api.get(LIST)
        with CaptureQueriesContext(connection) as queries:
            api.get(LIST)
        counts.append(len(queries))
    # Token with its person and contractor, rights, referrals.
    assert counts == [3, 3]


# One, and its delivery ------------------------------------------------------------------------------------------------


def test_the_first_look_at_one_delivers_it(api, contractor) -> None:
    referral = full(contractor)
    told = api.get(f"{LIST}/{referral.pk}").json()
    referral.refresh_from_db()
    assert (told["status"], referral.status) == ("delivered", "delivered")
    assert told["receipt"] == referral.receipt
    assert told["receipt"]["lead"]["owner_name"] == referral.lead.owner_name
    assert told["receipt"]["score"]["total"] == 900
    assert told["expires_at"] is None
    event = referral.events.get(what="delivered")
    assert (event.by, event.note, event.at) == (contractor.user, "read over the API", referral.delivered_at)
    again = api.get(f"{LIST}/{referral.pk}")
    assert again.json() == told
    assert referral.events.filter(what="delivered").count() == 1
    assert again["Cache-Control"] == "no-store"


def test_a_head_request_delivers_nothing(api, contractor) -> None:
    referral = full(contractor)
    assert api.head(f"{LIST}/{referral.pk}").status_code == 200
    assert api.head(LIST).status_code == 200
    referral.refresh_from_db()
    assert (referral.status, referral.receipt) == ("assigned", None)


@pytest.mark.parametrize("status", ["paused", "ended"])
def test_who_is_paused_works_on_what_was_delivered_and_gets_nothing_new(api, contractor, status) -> None:
    fresh, old = full(contractor), full(contractor, "delivered")
    Contractor.objects.filter(pk=contractor.pk).update(status=status)
    assert api.get(f"{LIST}/{fresh.pk}").json()["receipt"] is None
    assert "Read it first" not in problem(post(api, f"{LIST}/{fresh.pk}/accept"), 409)["detail"]
    fresh.refresh_from_db()
    assert fresh.status == "assigned"
    assert api.get(f"{LIST}/{old.pk}").json()["receipt"] is not None
    assert post(api, f"{LIST}/{old.pk}/accept").status_code == 200
    me = api.get(f"{BASE}/me").json()
    assert me["status"] == status
    assert "no new leads" in me["says"]


def test_nothing_is_delivered_once_the_territory_has_ended_though_no_sweep_came_by(api, contractor) -> None:
    now = timezone.now()
    ended = make_territory(contractor=contractor, from_at=now - dt.timedelta(days=9), to_at=now)
    referral = full(contractor, territory=ended)
    assert api.get(f"{LIST}/{referral.pk}").json()["receipt"] is None
    refused = problem(post(api, f"{LIST}/{referral.pk}/accept"), 409)
    assert (refused["referral_status"], "Read it first" in refused["detail"]) == ("assigned", False)
    Territory.objects.update(to_at=now + dt.timedelta(days=1))
    assert api.get(f"{LIST}/{referral.pk}").json()["receipt"] is not None


def test_nothing_is_delivered_when_its_time_is_up_though_no_sweep_came_by(api, contractor) -> None:
    referral = full(contractor, at=timezone.now() - dt.timedelta(days=7))
    told = api.get(f"{LIST}/{referral.pk}").json()
    assert (told["status"], told["receipt"]) == ("assigned", None)
    assert "Read it first" not in problem(post(api, f"{LIST}/{referral.pk}/accept"), 409)["detail"]


@pytest.mark.django_db(transaction=True, available_apps=project.INSTALLED_APPS)
def test_two_who_look_at_one_at_the_same_moment_see_the_same_receipt(api, contractor) -> None:
    referral = full(contractor)
    start, told = threading.Barrier(2), []

    def look() -> None:
        try:
            start.wait(10)
            told.append(api.get(f"{LIST}/{referral.pk}").json())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert told[0] == told[1]
    assert told[0]["status"] == "delivered"
    assert referral.events.filter(what="delivered").count() == 1


# Steps ----------------------------------------------------------------------------------------------------------------


def test_a_lead_from_first_look_to_business(api, contractor) -> None:
    referral = full(contractor)
    at = f"{LIST}/{referral.pk}"
    api.get(at)
    assert post(api, f"{at}/accept").json()["accepted_at"]
    assert post(api, f"{at}/contacted").json()["contacted_at"]
    told = post(api, f"{at}/convert", {"value": "18500.5"}).json()
    assert (told["status"], told["value"]) == ("converted", "18500.50")
    referral.refresh_from_db()
    assert (referral.status, referral.value) == ("converted", Decimal("18500.50"))
    steps = [(event.what, event.by) for event in referral.events.order_by("pk")][2:]
    assert steps == [(what, contractor.user) for what in ("delivered", "accepted", "contacted", "converted")]


def test_what_is_not_read_yet_cannot_be_worked_on_and_it_says_how(api, contractor) -> None:
    referral = full(contractor)
    for step, body in (
        ("accept", None),
        ("contacted", None),
        ("convert", {"value": 1}),
        ("return", {"reason": "sold"}),
    ):
        refused = problem(post(api, f"{LIST}/{referral.pk}/{step}", body), 409)
        assert (refused["code"], refused["referral_status"]) == ("not_allowed_now", "assigned")
        assert f"GET {LIST}/{referral.pk}" in refused["detail"]
    referral.refresh_from_db()
    assert referral.status == "assigned"
    assert referral.events.count() == 2


def test_steps_are_refused_where_they_are_over(api, contractor) -> None:
    referral = full(contractor, "converted")
    for step, body in (("accept", None), ("convert", {"value": 1}), ("return", {"reason": "sold"})):
        refused = problem(post(api, f"{LIST}/{referral.pk}/{step}", body), 409)
        assert refused["referral_status"] == "converted"
    assert not ReferralReturn.objects.exists()


@pytest.mark.parametrize(
    ("step", "body", "name"),
    [
        ("convert", {}, "value"),
        ("convert", {"value": -1}, "value"),
        ("convert", {"value": "NaN"}, "value"),
        ("convert", {"value": "1e400"}, "value"),
        ("convert", {"value": True}, "value"),
        ("convert", {"value": "1.005"}, "value"),
        *[("convert", {"value": value}, "value") for value in ("1_000", "1e3", "١٨", "1,000", "+1", "5.", "", None)],
        ("convert", {"value": 1, "price": 0}, "price"),
        ("convert", [1], "request"),
        ("return", {}, "reason"),
        ("return", {"reason": "bored"}, "reason"),
        ("return", {"reason": "sold", "note": "x" * 2001}, "note"),
        ("return", {"reason": "sold", "note": "a\0b"}, "note"),
        ("return", {"reason": "sold", "note": "\ud800"}, "note"),
        ("return", {"reason": "sold", "status": "approved"}, "status"),
        ("accept", {"by": 1}, "request"),
        *[(step, body, "request") for step in ("accept", "contacted") for body in ("0", "false", '""', "[]")],
        ("contacted", ["now"], "request"),
    ],
)
def test_wrong_bodies_are_told_by_name_and_change_nothing(api, contractor, step, body, name) -> None:
    referral = full(contractor, "delivered")
    assert name in problem(post(api, f"{LIST}/{referral.pk}/{step}", body), 400)["errors"]
    assert referral.events.count() == 3
    assert not referral.returns.exists()


@pytest.mark.parametrize(
    ("value", "told"), [(" 18500 ", "18500.00"), (18500.5, "18500.50"), (0, "0.00"), ("9999999999.99", "9999999999.99")]
)
def test_ways_to_write_what_a_lead_was_worth(api, contractor, value, told) -> None:
    referral = full(contractor, "delivered")
    assert post(api, f"{LIST}/{referral.pk}/convert", {"value": value}).json()["value"] == told


def test_a_wrong_reason_or_amount_says_how_to_write_it(api, contractor) -> None:
    referral = full(contractor, "delivered")
    refused = problem(post(api, f"{LIST}/{referral.pk}/return", {"reason": "bored"}), 400)
    assert "unreachable, not_owner" in refused["errors"]["reason"][0]
    refused = problem(post(api, f"{LIST}/{referral.pk}/convert", {"value": "1,000"}), 400)
    assert "18500.00" in refused["errors"]["value"][0]


def test_a_body_over_the_limit_is_told_of_itself_and_not_of_forms_fields(settings, api, contractor) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    body = {"reason": "sold", "note": "x" * 100}
    refused = problem(post(api, f"{LIST}/{full(contractor, 'delivered').pk}/return", body), 413)
    assert refused["detail"].startswith("The body is over the size limit")


def test_a_return_waits_for_a_person_or_is_approved_at_once(api, contractor, monkeypatch) -> None:
    monkeypatch.setattr("territories.generation.operations.replace_return", lambda **kwargs: None)
    Contractor.objects.filter(pk=contractor.pk).update(auto_return_reasons=["sold"], return_quota_percent=100)
    waits, goes = full(contractor, "delivered"), full(contractor, "delivered")
    told = post(api, f"{LIST}/{waits.pk}/return", {"reason": "unreachable", "note": "Dead number."}).json()
    assert (told["status"], told["return"]["status"], told["return"]["note"]) == (
        "delivered",
        "pending",
        "Dead number.",
    )
    told = post(api, f"{LIST}/{goes.pk}/return", {"reason": "sold"}).json()
    assert (told["status"], told["return"]["status"]) == ("returned", "approved")
    assert api.get(f"{LIST}/{waits.pk}").json()["return"]["reason"] == "unreachable"
    again = problem(post(api, f"{LIST}/{waits.pk}/return", {"reason": "sold"}), 409)
    assert (again["code"], again["referral_status"]) == ("already_returned", "delivered")


def test_a_return_after_its_days_is_refused_in_words(api, contractor) -> None:
    referral = full(contractor, "delivered", at=timezone.now() - dt.timedelta(days=15))
    refused = problem(post(api, f"{LIST}/{referral.pk}/return", {"reason": "sold"}), 409)
    assert (refused["code"], refused["referral_status"]) == ("window_closed", "delivered")
    assert "14 days" in refused["detail"]


def test_a_step_sent_twice_with_its_key_is_done_once(api, contractor) -> None:
    referral = full(contractor, "delivered")
    first = post(api, f"{LIST}/{referral.pk}/accept", key="accept-1")
    again = post(api, f"{LIST}/{referral.pk}/accept", key="accept-1")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
    assert referral.events.filter(what="accepted").count() == 1
    assert problem(post(api, f"{LIST}/{referral.pk}/accept"), 409)["code"] == "not_allowed_now"


def test_no_body_null_and_an_empty_one_are_the_same_request(api, contractor) -> None:
    referral = full(contractor, "delivered")
    told = [post(api, f"{LIST}/{referral.pk}/accept", body, key="accept-1") for body in (None, "null", "{}")]
    assert [response.status_code for response in told] == [200, 200, 200]
    assert len({response.content for response in told}) == 1


# Territories, usage, me -----------------------------------------------------------------------------------------------


def test_territories_are_those_held_now_or_later(api, contractor) -> None:
    now = timezone.now()
    make_territory(contractor=contractor, zip_code="07102", from_at=now - dt.timedelta(days=9))
    make_territory(contractor=contractor, zip_code="07030", from_at=now + dt.timedelta(days=9))
    make_territory(
        contractor=contractor, zip_code="07001", from_at=now - dt.timedelta(days=9), to_at=now - dt.timedelta(days=1)
    )
    called_off = now + dt.timedelta(days=5)
    make_territory(contractor=contractor, zip_code="07002", from_at=called_off, to_at=called_off)
    make_territory(contractor=make_contractor(), zip_code="07003")
    rows = api.get(f"{BASE}/territories").json()["results"]
    assert [(row["zip"], row["is_held"]) for row in rows] == [("07030", False), ("07102", True)]
    page = api.get(f"{BASE}/territories?limit=1").json()
    assert [row["zip"] for row in api.get(page["next"]).json()["results"]] == ["07102"]


def test_usage_stands_against_the_caps(api, contractor) -> None:
    Contractor.objects.filter(pk=contractor.pk).update(daily_cap=5, total_cap=4)
    now = timezone.now()
    make_referral(status="assigned", contractor=contractor, at=now)
    make_referral(status="returned", contractor=contractor, at=now)
    make_referral(contractor=contractor, at=now - dt.timedelta(days=40))
    told = api.get(f"{BASE}/usage").json()
    assert told["today"] == {"used": 1, "cap": 5, "remaining": 4}
    assert told["month"] == {"used": 1, "cap": None, "remaining": None}
    assert told["total"] == {"used": 2, "cap": 4, "remaining": 2}
    assert (told["remaining"], told["time_zone"]) == (2, "America/New_York")


def test_me_tells_who_one_is(api, contractor) -> None:
    told = api.get(f"{BASE}/me").json()
    assert (told["id"], told["company"], told["status"], told["is_sandbox"]) == (
        contractor.pk,
        "Alder Roofing",
        "active",
        False,
    )
    assert told["requests_per_minute"] == {"reads": 60_000, "writes": 12_000}


def test_a_browser_that_is_logged_in_may_ask_too(contractor) -> None:
    client = Client()
    client.force_login(contractor.user)
    assert client.get(f"{BASE}/me").json()["company"] == "Alder Roofing"


# Limits ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def steady_minute(monkeypatch) -> None:
    """A minute does not end within a test."""
    fixed = dt.datetime(2026, 6, 15, 12, 0, 12, tzinfo=dt.UTC)

    def count(*, at: dt.datetime, **asked: Any) -> limits.Allowance:
        return real(at=fixed, **asked)

    real = limits.count_request
    monkeypatch.setattr("territories.contractor_api.api.count_request", count)


def forget(contractor: Contractor) -> None:
    minute = int(dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC).timestamp()) // 60
    for kind in "rw":
        cache.delete(f"contractor-requests:{kind}:{contractor.pk}:{minute}")


def test_every_answer_says_what_is_left_and_too_many_are_refused(settings, api, contractor, steady_minute) -> None:
    settings.CONTRACTOR_READS, settings.CONTRACTOR_WRITES = 4, 2
    forget(contractor)
    left = [
        api.get(f"{BASE}/me"),
        api.get(f"{LIST}/999"),
        api.get(f"{LIST}?zip=x"),
        api.head(LIST),
    ]
    assert [response.status_code for response in left] == [200, 404, 400, 200]
    assert [response["RateLimit-Remaining"] for response in left] == ["3", "2", "1", "0"]
    assert {(response["RateLimit-Limit"], response["RateLimit-Reset"]) for response in left} == {("4", "48")}
    response = api.get(f"{BASE}/me")
    refused = problem(response, 429)
    assert refused["code"] == "too_many_requests"
    assert (response["Retry-After"], response["RateLimit-Remaining"]) == ("48", "0")
    # Who reads too much may still work.
    assert api.delete(f"{BASE}/me")["RateLimit-Remaining"] == "1"
    assert post(api, f"{LIST}/999/accept").status_code == 404
    problem(post(api, f"{LIST}/999/accept"), 429)


def test_another_contractor_and_the_sandbox_have_minutes_of_their_own(settings, api, contractor, steady_minute) -> None:
    settings.CONTRACTOR_READS = 1
    other = make_login("Birch Homes")
    sandbox = program_of(contractor, is_sandbox=True)
    forget(contractor)
    forget(other)
    assert api.get(f"{BASE}/me").status_code == 200
    assert api.get(f"{BASE}/me").status_code == 429
    assert program_of(contractor).get(f"{BASE}/me").status_code == 429
    assert program_of(other).get(f"{BASE}/me").status_code == 200
    assert sandbox.get(f"{BASE}/me").status_code == 200


def test_a_dead_cache_refuses_nobody(settings, api, monkeypatch) -> None:
    settings.CONTRACTOR_READS = 1
    dead = ForgivingRedisCache("redis://127.0.0.1:1/0", {})
    monkeypatch.setattr(counting, "cache", dead)
    answers = [api.get(f"{BASE}/me") for _ in range(3)]
    assert [response.status_code for response in answers] == [200, 200, 200]
    assert answers[-1]["RateLimit-Remaining"] == "1"


# Sandbox --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox(contractor) -> Client:
    return program_of(contractor, is_sandbox=True)


def test_the_sandbox_has_invented_referrals_in_every_status(sandbox, contractor) -> None:
    real = full(contractor, "delivered")
    rows = sandbox.get(LIST).json()["results"]
    assert len(rows) == 12
    assert {row["status"] for row in rows} == {"assigned", "delivered", "converted", "returned", "expired", "cancelled"}
    assert real.pk not in {row["id"] for row in rows}
    assert all((row["receipt"] is None) == (row["delivered_at"] is None) for row in rows)
    for row in rows:
        if row["receipt"]:
            score = row["receipt"]["score"]
            assert sum(line["points"] for line in score["lines"]) == score["total"] == row["score"]
    assert sandbox.get(f"{BASE}/me").json()["is_sandbox"] is True
    assert Contractor.objects.real().get() == contractor
    assert not Territory.objects.exists()
    assert {row["zip"] for row in sandbox.get(f"{BASE}/territories").json()["results"]} == {row["zip"] for row in rows}
    assert sandbox.get(f"{BASE}/usage").json()["total"]["used"] == 10  # one came back, one was taken back


def test_the_sandbox_counts_its_day_its_month_and_all_apart() -> None:
    double = make_contractor(sandbox_of=make_contractor())
    for days in (0, 2, 40):
        make_referral(contractor=double, is_sandbox=True, at=AT - dt.timedelta(days=days))
    told = usage_body(double, at=AT)
    assert [told[name]["used"] for name in ("today", "month", "total")] == [1, 2, 3]


def test_everything_can_be_tried_in_the_sandbox(sandbox) -> None:
    fresh = ids_of(sandbox.get(f"{LIST}?status=assigned"))
    told = sandbox.get(f"{LIST}/{fresh[0]}").json()
    assert told["status"] == "delivered"
    assert told["receipt"]["lead"]["owner_name"]
    assert post(sandbox, f"{LIST}/{fresh[0]}/accept").status_code == 200
    assert post(sandbox, f"{LIST}/{fresh[0]}/contacted").status_code == 200
    assert post(sandbox, f"{LIST}/{fresh[0]}/convert", {"value": 5}).json()["value"] == "5.00"
    for pk, reason, status in ((fresh[1], "sold", "returned"), (fresh[2], "other", "delivered")):
        sandbox.get(f"{LIST}/{pk}")
        assert post(sandbox, f"{LIST}/{pk}/return", {"reason": reason}).json()["status"] == status
    old = ids_of(sandbox.get(f"{LIST}?status=delivered&sort=assigned_at"))[0]
    assert problem(post(sandbox, f"{LIST}/{old}/return", {"reason": "sold"}), 409)["code"] == "window_closed"
    assert not Lead.objects.exists()


def test_the_sandbox_follows_its_contractor_and_writes_nothing_where_nothing_changed(sandbox, contractor) -> None:
    sandbox.get(f"{BASE}/me")
    Contractor.objects.filter(pk=contractor.pk).update(company="Elder Roofing", trade="Slate", time_zone="US/Pacific")
    told = sandbox.get(f"{BASE}/me").json()
    assert (told["company"], told["trade"], told["time_zone"]) == ("Elder Roofing", "Slate", "US/Pacific")
    with CaptureQueriesContext(connection) as queries:
        sandbox.get(f"{BASE}/me")
    assert not [query for query in queries.captured_queries if query["sql"].startswith("UPDATE")]


def test_unread_referrals_of_the_sandbox_expire_as_real_ones_do_until_a_reset(sandbox) -> None:
    rows = sandbox.get(f"{LIST}?status=assigned&sort=assigned_at").json()["results"]
    week = dt.timedelta(days=7)
    moments = [[dt.datetime.fromisoformat(row[name]) for name in ("assigned_at", "expires_at")] for row in rows]
    assert [expires_at - assigned_at for assigned_at, expires_at in moments] == [week] * 3
    assert expire_overdue(at=timezone.now() + week).assigned == 3
    assert ids_of(sandbox.get(f"{LIST}?status=assigned")) == []
    post(sandbox, f"{BASE}/sandbox/reset")
    assert len(ids_of(sandbox.get(f"{LIST}?status=assigned"))) == 3


def test_territories_of_the_sandbox_have_pages_and_an_order(sandbox) -> None:
    page = sandbox.get(f"{BASE}/territories?limit=2&sort=-zip").json()
    assert [row["zip"] for row in page["results"]] == ["00103", "00102"]
    assert [row["zip"] for row in sandbox.get(page["next"]).json()["results"]] == ["00101"]


def test_the_sandbox_is_made_anew(sandbox, contractor) -> None:
    before = ids_of(sandbox.get(LIST))
    post(sandbox, f"{LIST}/{ids_of(sandbox.get(f'{LIST}?status=delivered'))[0]}/return", {"reason": "sold"})
    keep = full(contractor, "delivered")
    assert post(sandbox, f"{BASE}/sandbox/reset").json() == {"referrals": 12}
    after = ids_of(sandbox.get(LIST))
    assert len(after) == 12
    assert not set(before) & set(after)
    keep.refresh_from_db()
    assert Referral.objects.filter(is_sandbox=False).count() == 1


def test_a_real_token_has_no_sandbox_to_make_anew(api, contractor) -> None:
    full(contractor)
    problem(post(api, f"{BASE}/sandbox/reset"), 404)
    assert Referral.objects.count() == 1


@pytest.mark.django_db(transaction=True, available_apps=project.INSTALLED_APPS)
def test_two_first_looks_into_a_sandbox_make_one(contractor) -> None:
    clients, found = [program_of(contractor, is_sandbox=True) for _ in range(3)], []

    def look(client: Client) -> None:
        try:
            found.append(ids_of(client.get(LIST)))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=look, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found[0] == found[1] == found[2]
    assert Contractor.objects.filter(sandbox_of=contractor).count() == 1


def test_a_sandbox_token_opens_no_staff_route_whatever_its_person_may() -> None:
    user = make_user("boss", "admin", "contractor")
    make_contractor(company="Own House", user=user)
    client = token_client(user, is_sandbox=True)
    assert client.get(f"{BASE}/me").status_code == 200
    for address in ("/api/leads", "/api/jobs", "/api/tags"):
        refused = problem(client.get(address), 403)
        assert "sandbox" in refused["detail"]
        assert api_client(user).get(address).status_code == 200


# Who else -------------------------------------------------------------------------------------------------------------


def test_a_login_without_a_contractor_is_told_so() -> None:
    refused = problem(token_client(make_user("nobody", "contractor")).get(f"{BASE}/me"), 403)
    assert "belongs to no contractor" in refused["detail"]


@pytest.mark.parametrize("role", ["viewer", "analyst", "manager", "admin"])
def test_staff_have_no_business_here(person, role) -> None:
    client = api_client(person(role))
    for address in (f"{BASE}/me", LIST, f"{LIST}/1"):
        assert problem(client.get(address), 403)["code"] == "permission_denied"


def test_the_pages_show_a_contractor_how_to_use_the_api_and_nothing_else(contractor) -> None:
    client = Client()
    client.force_login(contractor.user)
    home = client.get("/").content.decode()
    assert "Your leads come by API" in home
    assert f"{BASE}/referrals" in home
    links = set(re.findall(r'href="(/[a-z]+/)"', home))
    assert not links & {"/leads/", "/jobs/", "/tags/", "/imports/", "/scores/", "/contractors/", "/referrals/"}


def test_the_description_tells_a_contractor_of_its_own_routes_only(contractor, viewer) -> None:
    accept = {"Accept": "application/vnd.oai.openapi+json"}
    paths = set(program_of(contractor).get("/api/schema", headers=accept).json()["paths"])
    assert f"{BASE}/referrals/{{id}}/accept" in paths
    assert all(path.startswith(f"{BASE}/") for path in paths)
    assert "/api/leads" in api_client(viewer).get("/api/schema", headers=accept).json()["paths"]


def test_use_of_a_token_is_noted(api, contractor) -> None:
    api.get(f"{BASE}/me")
    assert ApiToken.objects.get(user=contractor.user).last_used_at is not None
