"""Pages of referrals: the board, the list, one referral and its moves, the report, and the panel of a lead."""

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from leads.suppression import suppress_leads
from territories.generation import operations
from territories.models import GenerationProfile, Referral, WebhookMessage
from territories.referrals.lifecycle import accept_referral
from territories.referrals.listing import CARDS, PAGE
from tests.factories import make_lead
from tests.territories.factories import WAYS, make_contractor, make_referral, make_return, make_territory

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
HTMX = {"HX-Request": "true"}


def text_of(response: Any) -> str:
    """What a person reads."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def streets(response: Any) -> list[str]:
    return re.findall(r'<a class="address" href="/referrals/\d+/"><span>([^<]*)</span>', response.content.decode())


def referral_at(street: str, **given: Any) -> Referral:
    lead = make_lead(address=street, score=given.pop("score", 500), zip=given.pop("zip_code", "07030"))
    return make_referral(lead=lead, **given)


# Board and list -------------------------------------------------------------------------------------------------------


def test_the_board_has_each_state_with_its_count_and_the_newest(viewer_client) -> None:
    for status in WAYS:
        referral_at(f"1 {status.upper()} ST", status=status)
    for number in range(CARDS + 1):
        referral_at(f"{number} NEW ST", status="delivered")
    response = viewer_client.get("/referrals/")
    assert re.findall(r'>(\w+) <strong class="tabular">(\d+)<', response.content.decode()) == [
        (status.capitalize(), str(CARDS + 2 if status == "delivered" else 1)) for status in WAYS
    ]
    shown = streets(response)
    assert f"{CARDS} NEW ST" in shown
    assert "1 DELIVERED ST" not in shown  # older than those that have a card
    assert "2 more" in text_of(response)


def test_sandbox_referrals_are_on_no_page_of_the_staff(viewer_client) -> None:
    double = make_referral(is_sandbox=True, contractor=make_contractor(sandbox_of=make_contractor()))
    assert "No referrals yet" in text_of(viewer_client.get("/referrals/"))
    assert viewer_client.get(f"/referrals/{double.pk}/").status_code == 404


def test_an_empty_board_and_list_say_what_to_do_next(viewer_client) -> None:
    for address in ("/referrals/", "/referrals/?view=list"):
        page = viewer_client.get(address).content.decode()
        assert "No referrals yet" in page
        assert "/leads/?referral=none" in page


@pytest.fixture
def various(now) -> dict[str, Any]:
    harbor, silva = make_contractor(company="Harbor"), make_contractor(company="Silva")
    profile = GenerationProfile.objects.create(name="Hot", min_score=1, created_at=now, updated_at=now)
    referral_at("1 A ST", contractor=harbor, score=100, zip_code="07030", profile=profile)
    referral_at("2 B ST", contractor=silva, score=900, zip_code="07302", at=now + 5 * DAY)
    referral_at("3 C ST", contractor=harbor, score=500, zip_code="07302", status="assigned", at=now + 10 * DAY)
    return {"harbor": harbor.pk, "silva": silva.pk, "profile": profile.pk}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["3 C ST", "2 B ST", "1 A ST"]),
        ("status=assigned", ["3 C ST"]),
        ("contractor={harbor}", ["3 C ST", "1 A ST"]),
        ("contractor={harbor}&contractor={silva}&zip=07302", ["3 C ST", "2 B ST"]),
        ("zip=07030-1234, 07002", ["1 A ST"]),
        ("score_min=400&score_max=600", ["3 C ST"]),
        ("profile={profile}", ["1 A ST"]),
        ("since=2026-06-20", ["3 C ST", "2 B ST"]),
        ("until=2026-06-20", ["2 B ST", "1 A ST"]),
        ("since=2026-06-20&until=2026-06-20", ["2 B ST"]),
        ("job=4711", []),
        ("sort=score", ["2 B ST", "3 C ST", "1 A ST"]),
        ("sort=oldest", ["1 A ST", "2 B ST", "3 C ST"]),
        ("sort=nonsense&page=99", ["3 C ST", "2 B ST", "1 A ST"]),
    ],
)
def test_the_list_is_narrowed_and_ordered_by_its_address(viewer_client, various, query, expected) -> None:
    response = viewer_client.get("/referrals/?view=list&" + query.format(**various))
    assert streets(response) == expected
    if query and not expected:
        assert "No referral matches" in text_of(response)


def test_the_board_is_narrowed_by_the_same_filters(viewer_client, various) -> None:
    assert streets(viewer_client.get(f"/referrals/?contractor={various['harbor']}")) == ["3 C ST", "1 A ST"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("zip=7030", "is not a ZIP"),
        ("status=sold", "is not known here; choose one of generated, assigned"),
        ("contractor=999999", "There is no contractor with the id 999999."),
        ("contractor=x", "is not the id of a contractor."),
        ("since=yesterday", "Write the day as YYYY-MM-DD"),
        ("score_min=abc", "Enter a whole number."),
        ("score_min=99999999999", "less than or equal to"),
        ("zip=a%00b", "Null characters are not allowed."),
        ("until=9999-12-31&since=0001-01-01", ""),
        ("job=0", "greater than or equal to 1"),
        ("profile=99999999999999999999999", "There is no generation profile with the id"),
    ],
)
def test_a_filter_that_cannot_be_right_says_so_and_is_left_out(viewer_client, various, query, words) -> None:
    response = viewer_client.get(f"/referrals/?view=list&{query}")
    assert response.status_code == 200
    assert words in text_of(response)
    assert len(streets(response)) == 3


def test_the_list_goes_page_by_page(viewer_client) -> None:
    contractor = make_contractor()
    for _ in range(PAGE + 2):
        make_referral(contractor=contractor)
    first, second = (viewer_client.get(f"/referrals/?view=list&page={number}") for number in (1, 2))
    assert (len(streets(first)), len(streets(second))) == (PAGE, 2)
    assert 'rel="next" href="/referrals/?view=list&amp;page=2"' in first.content.decode()
    assert not set(streets(first)) & set(streets(second))


def test_htmx_gets_the_results_and_the_address_that_holds_them(viewer_client, various) -> None:
    response = viewer_client.get("/referrals/?view=list&zip=07302&score_min=&status=", headers=HTMX)
    assert "<h1>" not in response.content.decode()
    assert streets(response) == ["3 C ST", "2 B ST"]
    assert response["HX-Push-Url"] == "/referrals/?view=list&zip=07302"


@pytest.mark.parametrize(("address", "queries"), [("/referrals/", 11), ("/referrals/?view=list", 11)])
def test_the_number_of_queries_does_not_grow_with_the_rows(
    viewer_client, django_assert_max_num_queries, address, queries
) -> None:
    contractor = make_contractor()
    for status in WAYS:
        for _ in range(3):
            make_referral(status=status, contractor=None if status == "generated" else contractor)
    with django_assert_max_num_queries(queries):
        viewer_client.get(address)


def test_returns_that_wait_are_told_on_the_board_to_who_decides(manager_client, viewer_client) -> None:
    make_return()
    assert "1 return waits for a decision." in text_of(manager_client.get("/referrals/"))
    assert "waits for a decision" not in text_of(viewer_client.get("/referrals/"))
    assert "Returns 1 waiting" in text_of(viewer_client.get("/referrals/"))


# One referral ---------------------------------------------------------------------------------------------------------


def test_a_referral_tells_its_steps_receipt_messages_and_returns(viewer_client, now, manager) -> None:
    referral = referral_at("1 MAIN ST", contractor=make_contractor(company="Harbor & Sons"))
    accept_referral(referral=referral, at=now + DAY, by=manager, note="Called <b>back</b>")
    make_return(referral=referral, note="Sold in May", requested_by=manager)
    WebhookMessage.objects.create(
        contractor=referral.contractor,
        referral=referral,
        kind="referral.assigned",
        body="{}",
        status="dead",
        attempts=8,
        last_status=503,
        last_error="Service Unavailable",
        created_at=now,
    )
    response = viewer_client.get(f"/referrals/{referral.pk}/")
    page = text_of(response)
    for words in (
        "Harbor &amp; Sons",
        "accepted Jun 16 by manager Called &lt;b&gt;back&lt;/b&gt;",
        "delivered Jun 15 by the program",
        "Contact data are wrong",
        "Sold in May",
        "referral.assigned dead 8",
        "503 Service Unavailable",
        "Haunted 500 Jun 1, 2026 14 days never by hand Score 500",
        "$25.00",
    ):
        assert words in page, words
    assert "<b>back" not in response.content.decode()
    assert "Cancel…" not in page  # a viewer looks on


def test_the_buttons_are_the_moves_that_its_state_allows(manager_client) -> None:
    wanted = {
        "generated": {"cancel"},
        "assigned": {"cancel"},
        "delivered": {"accept", "convert", "cancel", "return"},
        "converted": {"correct", "release"},
        "returned": set(),
        "expired": set(),
        "cancelled": set(),
    }
    for status in WAYS:
        page = manager_client.get(f"/referrals/{make_referral(status=status).pk}/").content.decode()
        assert set(re.findall(r'id="move-(\w+)"', page)) == wanted[status], status


def test_the_moves_of_a_person_one_after_the_other(analyst_client, analyst) -> None:
    referral = make_referral(at=timezone.now() - DAY)
    address = f"/referrals/{referral.pk}/"
    for what, typed in (
        ("accept", {}),
        ("contact", {"note": "By phone"}),
        ("convert", {"value": "12500.50", "note": ""}),
        ("release", {"note": "Wants a second trade"}),
    ):
        response = analyst_client.post(f"{address}{what}/", typed)
        assert (response.status_code, response.url) == (302, address), what
    referral.refresh_from_db()
    assert (referral.status, referral.value) == ("converted", Decimal("12500.50"))
    assert referral.released_at is not None
    told = [(event.what, event.note, event.by) for event in referral.events.order_by("pk")[3:]]
    assert told == [
        ("accepted", "", analyst),
        ("contacted", "By phone", analyst),
        ("converted", "", analyst),
        ("released", "Wants a second trade", analyst),
    ]


def test_cancelling_asks_why_and_keeps_what_was_typed(analyst_client) -> None:
    referral = make_referral(status="assigned")
    response = analyst_client.post(f"/referrals/{referral.pk}/cancel/", {"note": "  "})
    assert response.status_code == 422
    assert "Say why; the timeline of the referral keeps it." in text_of(response)
    assert '<details class="menu end move" open>' in response.content.decode()
    analyst_client.post(f"/referrals/{referral.pk}/cancel/", {"note": "The owner called us"})
    referral.refresh_from_db()
    assert (referral.status, referral.events.latest("pk").note) == ("cancelled", "The owner called us")


def test_a_move_that_came_too_late_is_refused_in_words(analyst_client) -> None:
    referral = make_referral(status="expired")
    response = analyst_client.post(f"/referrals/{referral.pk}/cancel/", {"note": "Too late"})
    assert response.status_code == 409
    assert "The referral is expired; only one that is generated or assigned or delivered" in text_of(response)
    assert "Too late" in response.content.decode()


@pytest.mark.parametrize(
    "value", ["-1", "abc", "1.234", "99999999999999", "NaN", "1e400", "1e5", "1_000", "18,50", "1,8500"]
)
def test_a_value_that_cannot_be_right_converts_nothing(analyst_client, value) -> None:
    referral = make_referral()
    assert analyst_client.post(f"/referrals/{referral.pk}/convert/", {"value": value}).status_code == 422
    assert Referral.objects.get(pk=referral.pk).status == "delivered"


@pytest.mark.parametrize("value", ["18500", "$18,500.00", " 18,500 ", "$ 18 500.0"])
def test_a_value_is_read_as_pages_print_money(analyst_client, value) -> None:
    referral = make_referral()
    analyst_client.post(f"/referrals/{referral.pk}/convert/", {"value": value})
    analyst_client.post(f"/referrals/{referral.pk}/correct/", {"value": value, "note": "As agreed"})
    assert Referral.objects.get(pk=referral.pk).value == 18_500
    page = analyst_client.post(f"/referrals/{referral.pk}/correct/", {"value": "1e5", "note": "More"})
    assert "Write an amount such as 18500.00." in text_of(page)
    assert 'value="1e5"' in page.content.decode()


def test_the_value_of_a_converted_one_is_corrected_on_its_page(analyst_client) -> None:
    referral = make_referral(status="converted", value="100.00")
    assert "Correct the value" in analyst_client.get(f"/referrals/{referral.pk}/").content.decode()
    url = f"/referrals/{referral.pk}/correct/"
    assert analyst_client.post(url, {"value": "", "note": "Wrong"}).status_code == 422
    page = analyst_client.post(url, {"value": "1000", "note": "A nought was missing"}, follow=True).content.decode()
    assert "The value is corrected." in page
    assert "Value 100.00 -&gt; 1000.00: A nought was missing" in page
    assert Referral.objects.get(pk=referral.pk).value == 1000
    assert "Correct the value" not in analyst_client.get(f"/referrals/{make_referral().pk}/").content.decode()


# Report ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def month(now) -> Any:
    """Harbor got six leads on June 15, one came back and one was taken back; Silva one on June 20."""
    harbor, silva = make_contractor(company="=Harbor"), make_contractor(company="Silva", price="40")
    for minutes in (10, 20, 90):
        referral = make_referral(contractor=harbor, at=now)
        accept_referral(referral=referral, at=now + dt.timedelta(minutes=minutes))
    make_referral(contractor=harbor, status="converted", at=now, value=Decimal("9000.00"))
    make_referral(contractor=harbor, status="returned", at=now)
    make_referral(contractor=harbor, status="cancelled", at=now, delivered_at=now)
    refused = make_referral(contractor=silva, at=now + 5 * DAY)
    make_return(referral=refused, status="refused")
    make_referral(contractor=silva, status="assigned", at=now)
    make_referral(contractor=silva, at=now - 60 * DAY)
    return harbor


def test_the_report_adds_up_by_contractor(viewer_client, month) -> None:
    page = text_of(viewer_client.get("/referrals/report/", {"from": "2026-06-15", "to": "2026-06-20"}))
    # Delivered, accepted, contacted, converted, rate, returned, refused, taken back, response, spend, value.
    assert "=Harbor 6 3 0 1 25.0% 1 0 1 20 min $100.00 $9,000.00" in page
    assert "Silva 1 0 0 0 0.0% 0 1 0 $40.00 $0" in page
    assert "All contractors 7 3 0 1 20.0% 1 1 1 $140.00 $9,000.00" in page


def test_what_was_invented_for_a_sandbox_is_in_no_report(viewer_client) -> None:
    harbor = make_contractor(company="Harbor")
    make_referral(contractor=harbor)
    make_referral(contractor=make_contractor(company="Double", sandbox_of=harbor), is_sandbox=True)
    page = text_of(viewer_client.get("/referrals/report/", {"from": "2026-06-15", "to": "2026-06-15"}))
    assert "Harbor 1" in page
    assert "Double" not in page


def test_both_days_of_a_report_are_included_in_the_business_time_zone(viewer_client, month) -> None:
    page = text_of(viewer_client.get("/referrals/report/", {"from": "2026-06-15", "to": "2026-06-15"}))
    assert "=Harbor 6" in page
    assert "Silva" not in page
    assert "Nothing was delivered in these days" in text_of(
        viewer_client.get("/referrals/report/", {"from": "2026-06-16", "to": "2026-06-19"})
    )


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [("2026-07-01", "2026-06-01", "is before"), ("soon", "", "Enter a valid date"), ("", "2026-02-30", "valid date")],
)
def test_days_that_cannot_be_right_are_said(viewer_client, since, until, words) -> None:
    response = viewer_client.get("/referrals/report/", {"from": since, "to": until})
    assert response.status_code == 422
    assert words in text_of(response)
    assert viewer_client.get("/referrals/report/", {"to": "0001-01-01"}).status_code == 200
    assert viewer_client.get("/referrals/report/", {"from": "9999-12-31"}).status_code == 200


def test_the_report_as_csv_is_safe_for_spreadsheets(analyst_client, viewer_client, month) -> None:
    query = {"from": "2026-06-15", "to": "2026-06-20"}
    response = analyst_client.get("/referrals/report/export/", query)
    lines = b"".join(response.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert response["Content-Disposition"] == 'attachment; filename="contractors-2026-06-15-to-2026-06-20.csv"'
    assert lines[0].startswith("contractor_id,contractor,delivered,accepted")
    assert lines[1] == f"{month.pk},'=Harbor,6,3,0,1,25.0,1,0,1,20,100.00,9000.00"
    assert len(lines) == 3
    assert viewer_client.get("/referrals/report/export/", query).status_code == 403


# On the pages of leads ------------------------------------------------------------------------------------------------


def test_the_panel_of_a_lead_tells_its_referrals_and_who_holds_its_zip(analyst_client, viewer_client) -> None:
    lead = make_lead(zip="07030")
    address = f"/referrals/lead/{lead.pk}/"
    assert "Nobody holds 07030 now" in text_of(analyst_client.get(address))
    make_territory(contractor=make_contractor(company="Harbor"), from_at=timezone.now() - DAY)
    assert "Refer to Harbor" in text_of(analyst_client.get(address))
    assert "Refer to" not in text_of(viewer_client.get(address))
    make_referral(lead=lead, status="expired", contractor=make_contractor(company="Silva"))
    assert "expired Silva" in text_of(analyst_client.get(address))
    make_referral(lead=lead, status="assigned", contractor=make_contractor(company="Brand"))
    page = text_of(analyst_client.get(address))
    assert "assigned Brand" in page
    assert "Refer to" not in page


def test_a_suppressed_lead_is_not_offered_from_its_page(analyst_client, now) -> None:
    lead = make_lead(zip="07030")
    make_territory(contractor=make_contractor())
    suppress_leads(lead_ids=[lead.pk], reason="Peace", by=None, at=now)
    assert "suppressed now" in text_of(analyst_client.get(f"/referrals/lead/{lead.pk}/"))


def test_referring_by_hand_deals_and_shows_the_panel_again(analyst_client, analyst, monkeypatch) -> None:
    lead, contractor = make_lead(zip="07030"), make_contractor(company="Harbor")

    def deal(*, lead_id: int, at: dt.datetime, by: Any) -> Referral:
        assert (lead_id, by) == (lead.pk, analyst)
        return make_referral(lead=lead, contractor=contractor, status="assigned", at=at)

    monkeypatch.setattr(operations, "assign_lead", deal)
    response = analyst_client.post(f"/referrals/lead/{lead.pk}/refer/", headers=HTMX)
    assert "assigned Harbor" in text_of(response)
    assert response["HX-Trigger"] == "lead-changed"


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_a_refusal_to_refer_is_said_in_the_panel(analyst_client, monkeypatch, headers) -> None:
    lead = make_lead(zip="07030")

    def refuse(**given: Any) -> Referral:
        raise operations.CapReached("Harbor has had its 10 leads of today.")

    monkeypatch.setattr(operations, "assign_lead", refuse)
    response = analyst_client.post(f"/referrals/lead/{lead.pk}/refer/", headers=headers)
    assert response.status_code == (422 if headers else 409)
    assert "Harbor has had its 10 leads of today." in text_of(response)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("none", ["1 FREE ST", "4 EXPIRED ST", "5 RELEASED ST"]),
        ("live", ["2 LIVE ST", "3 AGAIN ST"]),
        ("assigned", ["2 LIVE ST"]),
        ("expired", ["4 EXPIRED ST"]),
        ("delivered", ["3 AGAIN ST"]),
        ("converted", ["5 RELEASED ST"]),
        ("cancelled", []),
    ],
)
def test_leads_are_filtered_by_their_newest_referral(viewer_client: Client, now, value, expected) -> None:
    make_lead(address="1 FREE ST")
    make_referral(lead=make_lead(address="2 LIVE ST"), status="assigned")
    again = make_lead(address="3 AGAIN ST")
    make_referral(lead=again, status="expired")
    make_referral(lead=again, status="delivered")
    make_referral(lead=make_lead(address="4 EXPIRED ST"), status="expired")
    make_referral(lead=make_lead(address="5 RELEASED ST"), status="converted", released_at=now)
    response = viewer_client.get("/leads/", {"referral": value, "sort": "address"})
    assert re.findall(r'<span class="line">([^<]*)</span>', response.content.decode()) == expected
    assert viewer_client.get("/leads/", {"referral": "sold"}).status_code == 200


def test_the_table_of_leads_shows_the_newest_referral_of_each(viewer_client) -> None:
    lead = make_lead(address="1 MAIN ST")
    make_referral(lead=lead, status="expired")
    newest = make_referral(lead=lead, status="delivered")
    page = viewer_client.get("/leads/").content.decode()
    assert re.findall(r'class="referral-cell" href="([^"]+)"', page) == [newest.get_absolute_url()]


def test_the_way_to_the_referrals_is_in_the_frame(viewer_client, person) -> None:
    assert viewer_client.get("/").content.decode().count('href="/referrals/"') == 2  # sidebar, and a phone's menu
    contractor = Client()
    contractor.force_login(person("contractor"))
    assert b"/referrals/" not in contractor.get("/").content


def test_the_panel_of_a_lead_names_the_holder_without_a_second_full_stop(analyst_client) -> None:
    lead = make_lead()
    make_territory(contractor=make_contractor(company="Harbor Inc."), zip_code=lead.zip, from_at=timezone.now())
    page = text_of(analyst_client.get(f"/referrals/lead/{lead.pk}/"))
    assert f"Harbor Inc. holds {lead.zip} ." in page  # markup stands before the full stop
