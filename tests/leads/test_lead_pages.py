"""The table of all leads and the page of one."""

import json
import re

import pytest
from django.test import Client
from django.utils import timezone

from leads.models import Lead
from leads.queries import PAGE_SIZE
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
# Session, person, rights (2), running jobs, tags to choose from, count, ids, rows, tags, scores, referrals; what
# expires soon (2).
BASELINE_QUERIES = 14


def shown(response) -> list[str]:
    """The street lines of the table, in order."""
    return re.findall(r'<span class="line">([^<]*)</span>', response.content.decode())


def count_of(response) -> str:
    found = re.search(r'<p class="count"[^>]*>(.*?)</p>', response.content.decode())
    return re.sub(r"<[^>]+>", "", found[1]) if found else ""


def test_the_best_lead_comes_first_and_older_leads_first_among_equals(viewer_client):
    strong, weak = make_tag(base_score=900), make_tag(base_score=100)
    make_scored_lead(tags=[weak], address="1 WEAK ST")
    make_scored_lead(tags=[strong], address="2 STRONG ST")
    make_scored_lead(tags=[weak], address="3 WEAK ST")
    assert shown(viewer_client.get("/leads/")) == ["2 STRONG ST", "1 WEAK ST", "3 WEAK ST"]


def test_every_word_of_the_search_must_occur_in_address_or_owner(viewer_client):
    make_lead(address="12 MAIN ST", owner_name="Ana Silva")
    make_lead(address="12 OAK AVE", owner_name="Ana Brand")
    response = viewer_client.get("/leads/", {"q": "ANA main"})
    assert shown(response) == ["12 MAIN ST"]
    assert count_of(response) == "1 of 2 leads"


def test_zips_may_be_several_and_with_plus4(viewer_client):
    for zip_code in ("07030", "07302", "07002"):
        make_lead(address=f"1 {zip_code} ST", zip=zip_code)
    response = viewer_client.get("/leads/", {"zip": "07030-1234, 07002", "sort": "zip"})
    assert shown(response) == ["1 07002 ST", "1 07030 ST"]


def test_city_is_found_whatever_its_case(viewer_client):
    make_lead(address="1 A ST", city="JERSEY CITY")
    make_lead(address="2 B ST", city="HOBOKEN")
    assert shown(viewer_client.get("/leads/", {"city": " jersey  city "})) == ["1 A ST"]


def test_a_lead_must_hold_each_chosen_tag_live(viewer_client, now):
    first, second = make_tag(), make_tag()
    make_scored_lead(tags=[first], address="1 ONE ST")
    make_scored_lead(tags=[first, second], address="2 BOTH ST")
    lapsed = make_scored_lead(tags=[second], address="3 LAPSED ST")
    assign(lapsed, first, now, is_expired=True)
    assert shown(viewer_client.get("/leads/", {"tags": [first.pk, second.pk]})) == ["2 BOTH ST"]


def test_score_range(viewer_client):
    for points in (100, 200, 300):
        make_scored_lead(tags=[make_tag(base_score=points)], address=f"{points} ST")
    assert shown(viewer_client.get("/leads/", {"score_min": 150, "score_max": 250})) == ["200 ST"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"score_min": "abc"}, "Enter a whole number."),
        ({"zip": "7030"}, "“7030” is not a ZIP; write five digits, such as 07030."),
        ({"tags": "999999"}, "There is no tag with the id 999999."),
        ({"tags": "x"}, "“x” is not the id of a tag."),
        ({"tags": "9" * 30}, f"There is no tag with the id {'9' * 30}."),
        ({"q": "a\x00b"}, "Null characters are not allowed."),
        ({"q": "x" * 201}, "at most 200 characters"),
        ({"score_max": "1e400"}, ""),
        ({"score_min": "9" * 40}, ""),
        ({"sort": "nonsense"}, ""),
        ({"sort": "-"}, ""),
        ({"zip": " ".join(["07030"] * 201)}, "at most 200"),
    ],
)
def test_a_filter_that_cannot_be_right_says_so_and_keeps_what_was_typed(viewer_client, query, message):
    make_lead(address="1 MAIN ST")
    response = viewer_client.get("/leads/", query)
    page = response.content.decode()
    assert response.status_code == 200
    assert message in page
    if message and "\x00" not in str(query):
        assert next(iter(query.values()))[:20] in page


@pytest.mark.parametrize("page", ["0", "-1", "abc", "", "1.5", "99999999999999999999999", "²"])
def test_any_page_number_is_brought_into_range(viewer_client, page):
    make_lead(address="1 MAIN ST")
    response = viewer_client.get("/leads/", {"page": page})
    assert response.status_code == 200
    assert shown(response) == ["1 MAIN ST"]


def test_paging_shows_every_lead_once(viewer_client):
    for _ in range(PAGE_SIZE + 3):
        make_lead()
    first, second = (shown(viewer_client.get("/leads/", {"page": n})) for n in (1, 2))
    assert len(first) == PAGE_SIZE
    assert len({*first, *second}) == PAGE_SIZE + 3


def test_each_order_and_its_reverse_mirror_each_other(viewer_client):
    for number in (3, 1, 2):
        make_lead(address=f"{number} MAIN ST", owner_name=f"Owner {number}", zip=f"0703{number}", city=f"C{number}")
    for name in ("address", "owner", "city", "zip", "created", "score"):
        up, down = (shown(viewer_client.get("/leads/", {"sort": sort})) for sort in (name, f"-{name}"))
        assert up == down[::-1], name


def test_htmx_gets_the_results_alone_and_an_address_without_empty_fields(viewer_client):
    make_lead(address="1 MAIN ST")
    response = viewer_client.get("/leads/", {"q": "main", "zip": "", "sort": "-score"}, headers=HTMX)
    assert b"<html" not in response.content
    assert b"1 MAIN ST" in response.content
    assert response["HX-Push-Url"] == "/leads/?q=main"
    assert "HX-Request" in response["Vary"]


def test_an_address_where_the_browser_stands_already_is_not_pushed_again(viewer_client):
    make_lead(address="1 MAIN ST")
    standing = HTMX | {"HX-Current-URL": "http://testserver/leads/?q=main"}
    same, other = (viewer_client.get("/leads/", {"q": q, "zip": ""}, headers=standing) for q in ("main", "oak"))
    assert same["HX-Push-Url"] == "false"
    assert other["HX-Push-Url"] == "/leads/?q=oak"


def test_sort_and_page_links_carry_the_form_and_work_without_scripts(viewer_client):
    for _ in range(PAGE_SIZE + 1):
        make_lead()
    page = viewer_client.get("/leads/", {"q": "main", "sort": "zip"}).content.decode()
    for vals, plain in [
        ({"sort": "-zip"}, "/leads/?q=main&amp;sort=-zip"),
        ({"sort": "address"}, "/leads/?q=main&amp;sort=address"),
        ({"page": "2"}, "/leads/?q=main&amp;sort=zip&amp;page=2"),
    ]:
        links = re.findall(rf'<a [^>]*href="{re.escape(plain)}"[^>]*>', page)
        assert links
        for link in links:
            assert f"hx-vals='{json.dumps(vals)}'" in link
            assert 'hx-include="#lead-filters"' in link


def test_bare_land_is_named_by_its_parcel_and_a_missing_place_is_said(viewer_client):
    lead = make_lead(address="", parcel_number="242236602", city="", state="", zip="", is_place_unknown=True)
    table = viewer_client.get("/leads/").content.decode()
    assert '<span class="line">Parcel 242236602</span>' in table
    assert '<td class="c-city"><span class="unknown">Place unknown</span>' in table
    assert "<h1>Parcel 242236602</h1>" in viewer_client.get(lead.get_absolute_url()).content.decode()


def test_a_page_restored_from_history_is_whole(viewer_client):
    response = viewer_client.get("/leads/", headers=HTMX | {"HX-History-Restore-Request": "true"})
    assert b"<html" in response.content


def test_the_number_of_queries_does_not_grow_with_the_rows(viewer_client, django_assert_num_queries):
    tags = [make_tag() for _ in range(3)]
    make_scored_lead(tags=tags)
    viewer_client.get("/leads/")
    with django_assert_num_queries(BASELINE_QUERIES):
        viewer_client.get("/leads/")
    for _ in range(30):
        make_scored_lead(tags=tags)
    with django_assert_num_queries(BASELINE_QUERIES):
        viewer_client.get("/leads/")


def test_empty_says_what_to_do_next(viewer_client, analyst_client):
    assert b"No leads yet" in viewer_client.get("/leads/").content
    assert b"Import a list" not in viewer_client.get("/leads/").content
    assert b"Import a list" in analyst_client.get("/leads/").content
    make_lead()
    assert b"No lead matches" in viewer_client.get("/leads/", {"q": "zzz"}).content


def test_what_lists_wrote_is_shown_as_text(viewer_client):
    lead = make_lead(owner_name="<script>alert(1)</script>", raw_address='"><img src=x>')
    for path in ("/leads/", f"/leads/{lead.pk}/"):
        page = viewer_client.get(path).content
        assert b"<script>alert" not in page
        assert b"<img src=x" not in page


def test_the_lead_page_shows_address_verbatim_text_and_flags(viewer_client):
    lead = make_lead(
        address="APT OF NOWHERE", raw_address="apt of  nowhere", is_address_parsed=False, is_place_unknown=True
    )
    page = viewer_client.get(f"/leads/{lead.pk}/").content.decode()
    assert "apt of  nowhere" in page
    assert "Place unknown." in page
    assert "Address not understood." in page


def test_the_lead_page_asks_each_room_for_its_panel_in_order(viewer_client):
    page = viewer_client.get(make_lead().get_absolute_url()).content.decode()
    assert re.findall(r'id="panel-title-(\w+)"', page) == [
        "score",
        "forecast",
        "referrals",
        "tags",
        "history",
        "evidence",
    ]


@pytest.mark.parametrize("number", ["0", "999999999", "9" * 30])
def test_a_lead_that_does_not_exist_is_not_found(viewer_client, number):
    assert viewer_client.get(f"/leads/{number}/").status_code == 404


def test_leads_need_a_login_and_the_right(person):
    lead = make_lead()
    stranger, contractor = Client(), Client()
    contractor.force_login(person("contractor"))
    for path in ("/leads/", f"/leads/{lead.pk}/"):
        assert stranger.get(path).url == f"/login/?next={path}"
        assert contractor.get(path).status_code == 403


def test_moments_are_in_the_persons_time_zone(viewer, viewer_client):
    viewer.time_zone = "Asia/Tokyo"
    viewer.save()
    lead = make_lead(at=timezone.datetime(2024, 3, 1, 20, 0, tzinfo=timezone.get_default_timezone()))
    assert Lead.objects.filter(pk=lead.pk).exists()
    page = viewer_client.get(f"/leads/{lead.pk}/").content.decode()
    assert "Mar 2, 2024" in page
    assert "JST" in page
