"""GET /api/leads and /api/leads/{id}."""

import datetime as dt
from typing import Any
from urllib.parse import quote

import pytest
from django import forms
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from leads.filters import lead_filterset
from leads.models import Lead
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
MANY = 137


@pytest.fixture
def api(viewer) -> Client:
    return api_client(viewer)


def pages(api: Client, address: str) -> list[list[dict[str, Any]]]:
    """Every page, by following `next`."""
    found: list[list[dict[str, Any]]] = []
    following: str | None = address
    while following:
        response = api.get(following)
        assert response.status_code == 200, response.content
        body = response.json()
        found.append(body["results"])
        following = body["next"]
        assert len(found) < 500
    return found


def ids(found: list[list[dict[str, Any]]]) -> list[int]:
    return [lead["id"] for page in found for lead in page]


def make_equal_leads(count: int, *, score: int = 0, at: dt.datetime = NOW) -> list[int]:
    made = Lead.objects.bulk_create(
        Lead(address_key=f"1|{n}|{score}|{at}", address=f"{n} ELM ST", score=score, created_at=at, updated_at=at)
        for n in range(count)
    )
    return [lead.pk for lead in made]


def test_a_lead_tells_its_address_owner_mailing_tags_and_score(api) -> None:
    heavy, light = make_tag(name="Heavy", base_score=1000), make_tag(name="Light", base_score=400)
    lead = make_scored_lead(
        tags=[light, heavy],
        unit="APT 4",
        plus4="1234",
        county="HUDSON",
        parcel_number="1201",
        co_owner="CO",
        mailing_address="PO BOX 12",
        mailing_unit="",
        mailing_city="NEWARK",
        mailing_state="NJ",
        mailing_zip="07102",
        raw_mailing="P.O. Box 12",
        phone="2015550123",
        email="owner@example.com",
    )
    body = api.get(f"/api/leads/{lead.pk}").json()
    assert body == {
        "id": lead.pk,
        "address": lead.address,
        "unit": "APT 4",
        "city": "HOBOKEN",
        "state": "NJ",
        "zip": "07030",
        "plus4": "1234",
        "county": "HUDSON",
        "parcel_number": "1201",
        "owner_name": lead.owner_name,
        "co_owner": "CO",
        "mailing": {
            "address": "PO BOX 12",
            "unit": "",
            "city": "NEWARK",
            "state": "NJ",
            "zip": "07102",
            "raw": "P.O. Box 12",
        },
        "phone": "2015550123",
        "email": "owner@example.com",
        "raw_address": lead.raw_address,
        "is_address_parsed": True,
        "is_place_unknown": False,
        "suppressed_at": None,
        "suppressed_reason": "",
        "referral": None,
        "created_at": "2026-06-15T12:00:00Z",
        "updated_at": "2026-06-15T12:00:00Z",
        "tags": [{"id": heavy.pk, "name": "Heavy"}, {"id": light.pk, "name": "Light"}],
        "score": 1400,
    }
    assert api.get("/api/leads").json() == {"next": None, "results": [body]}


def test_a_lead_without_tags_has_an_empty_list_and_score_0(api) -> None:
    lead = make_lead()
    body = api.get(f"/api/leads/{lead.pk}").json()
    assert (body["tags"], body["score"]) == ([], 0)


@pytest.mark.parametrize("who_asks", ["token", "session"])
def test_moments_are_told_in_utc_whoever_asks(viewer, viewer_client, who_asks) -> None:
    viewer.time_zone = "Asia/Tokyo"
    viewer.save()
    lead = make_lead()
    client = api_client(viewer) if who_asks == "token" else viewer_client
    assert client.get(f"/api/leads/{lead.pk}").json()["created_at"] == "2026-06-15T12:00:00Z"


def test_the_best_come_first_and_the_older_lead_among_equals(api) -> None:
    low, first, second, top = (make_lead(score=score) for score in (-5, 10, 10, 300))
    assert ids(pages(api, "/api/leads")) == [top.pk, first.pk, second.pk, low.pk]


SORTS = ["score", "-score", "created", "-created", "id", "-id"]


@pytest.mark.parametrize(
    ("sort", "limit"),
    [*((sort, limit) for sort in SORTS for limit in (7, 50, 137, 138)), ("score", 1), ("-created", 1)],
)
def test_paging_over_many_equal_leads_gives_each_exactly_once_in_order(api, sort, limit) -> None:
    make_equal_leads(60, score=0)
    make_equal_leads(70, score=5)
    make_equal_leads(5, score=9, at=NOW + dt.timedelta(microseconds=1))
    make_equal_leads(2, score=-7, at=NOW - dt.timedelta(days=400))
    found = pages(api, f"/api/leads?sort={sort}&limit={limit}")
    assert all(len(page) == limit for page in found[:-1])
    expected = {
        "score": ("score", "-id"),
        "-score": ("-score", "id"),
        "created": ("created_at", "id"),
        "-created": ("-created_at", "-id"),
        "id": ("id",),
        "-id": ("-id",),
    }[sort]
    assert ids(found) == list(Lead.objects.order_by(*expected).values_list("pk", flat=True))
    assert len(ids(found)) == MANY


def test_leads_that_appear_while_paging_neither_repeat_nor_hide_others(api) -> None:
    known = make_equal_leads(30)
    first = api.get("/api/leads?limit=10").json()
    make_equal_leads(5, score=100)
    Lead.objects.filter(pk=first["results"][3]["id"]).delete()
    rest = pages(api, first["next"])
    assert [lead["id"] for lead in first["results"]] + ids(rest) == known


def test_a_page_costs_the_same_queries_however_long_it_is(api) -> None:
    tag = make_tag()
    for _ in range(12):
        assign(make_lead(), tag)
    api.get("/api/leads?limit=2")

    def count(address: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert api.get(address).status_code == 200
        return len(queries)

    assert count("/api/leads?limit=12") == count("/api/leads?limit=2")


def test_deep_in_a_tie_a_page_reads_only_its_own_stretch_of_the_index(api) -> None:
    """The condition on a page is an equality and a range, never an OR that walks the whole tie."""
    make_equal_leads(40)
    following = api.get("/api/leads?limit=10").json()["next"]
    with CaptureQueriesContext(connection) as queries:
        api.get(following)
    reads = [query["sql"] for query in queries if '"leads_lead"."score" DESC' in query["sql"]]
    assert len(reads) == 1
    assert '"leads_lead"."score" = 0' in reads[0]
    assert " OR " not in reads[0]


def test_next_keeps_filters_sort_and_limit(api) -> None:
    tag, other = make_tag(), make_tag()
    for _ in range(5):
        lead = make_lead()
        assign(lead, tag)
        assign(lead, other)
    make_lead()
    address = f"/api/leads?tags={tag.pk}&tags={other.pk}&limit=2&sort=id&q=main"
    assert [len(page) for page in pages(api, address)] == [2, 2, 1]


def test_filters_hold_together(api) -> None:
    tag = make_tag()
    hit = make_scored_lead(tags=[tag], zip="07302", city="JERSEY CITY", owner_name="SMITH")
    make_scored_lead(tags=[tag], zip="07030", owner_name="SMITH")
    make_lead(zip="07302", owner_name="SMITH")
    address = f"/api/leads?zip=07302&city=jersey%20city&q=smith&tags={tag.pk}&score_min=100&score_max=100"
    assert ids(pages(api, address)) == [hit.pk]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("zip=abc", "zip"),
        ("score_min=high", "score_min"),
        ("score_max=NaN", "score_max"),
        ("tags=999999999", "tags"),
        ("tags=foreclosure", "tags"),
        ("tags=99999999999999999999999999", "tags"),
        ("tags=-1", "tags"),
        ("tags=%00", "tags"),
        ("q=%00", "q"),
        ("q=a%00b", "q"),
        ("city=%00", "city"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=", "limit"),
        ("sort=price", "sort"),
        ("sort=", "sort"),
        ("sort=%00", "sort"),
        ("cursor=xyz", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=WyItc2NvcmUiLDAsMV0:1w:abc", "cursor"),
        ("cursor=%F0%9F%8F%A0", "cursor"),
        ("scoremin=5", "scoremin"),
        ("page=2", "page"),
        ("%00=1", "\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_parameter_that_cannot_be_right_gets_400_naming_it(api, query, name) -> None:
    make_lead()
    assert name in problem(api.get(f"/api/leads?{query}"), 400)["errors"]


def test_an_unknown_parameter_is_told_what_there_is(api) -> None:
    message = problem(api.get("/api/leads?scoremin=5"), 400)["errors"]["scoremin"][0]
    assert "score_min" in message


@pytest.mark.parametrize(
    "value", ["1e400", "1e999999999", "-1e999999999", "99999999999999999999", "-99999999999999999999", "9" * 5000]
)
@pytest.mark.parametrize("name", ["score_min", "score_max"])
def test_a_score_beyond_all_scores_is_answered_at_once(api, name, value) -> None:
    # As a decimal, "1e999999999" would be spelled out in a billion digits, which takes minutes.
    assert not isinstance(lead_filterset(at=NOW).base_filters[name].field, forms.DecimalField)
    make_lead()
    assert api.get(f"/api/leads?{name}={value}").status_code in {200, 400}


def test_a_cursor_belongs_to_its_sort(api) -> None:
    make_equal_leads(3)
    following = api.get("/api/leads?limit=1&sort=id").json()["next"]
    assert "cursor" in problem(api.get(following.replace("sort=id", "sort=-id")), 400)["errors"]


def test_a_cursor_of_another_list_is_refused(api) -> None:
    for number in range(3):
        make_tag(name=f"T{number}")
    cursor = api.get("/api/tags?limit=1").json()["next"].partition("cursor=")[2].partition("&")[0]
    assert "cursor" in problem(api.get(f"/api/leads?cursor={cursor}"), 400)["errors"]


@pytest.mark.parametrize("lead_id", ["0", "-1", "abc", "9223372036854775808", "9" * 100, "9" * 5000, "1.5", "%00", "١"])
@pytest.mark.parametrize("rest", ["", "/score"])
def test_an_id_that_names_no_lead_gets_404(api, lead_id, rest) -> None:
    problem(api.get(f"/api/leads/{lead_id}{rest}"), 404)


def test_hostile_text_in_a_filter_is_only_text(api) -> None:
    make_lead()
    for text in ("' OR 1=1 --", "%", "_", "\\", "\ud83c", "x" * 200):
        query = quote(text, errors="replace")
        assert api.get(f"/api/leads?q={query}").json()["results"] == []


def test_an_address_with_a_slash_at_its_end_says_which_is_meant(api) -> None:
    assert "/api/leads" in problem(api.get("/api/leads/"), 404)["detail"]
