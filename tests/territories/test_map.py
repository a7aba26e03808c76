"""The map of territories: who holds what, and where leads wait."""

import datetime as dt
import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from territories.geo.map import COLOURS, Asked, Shown, territory_map
from territories.models import Contractor, Referral
from territories.queries import Holder, Waiting, holders_by_zip, waiting_by_zip
from tests.conftest import NOW
from tests.factories import make_lead
from tests.territories.factories import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db
MAP = "/territories/map/"


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


def lead_in(zip_code: str, score: int = 1200, **fields: object):
    return make_lead(zip=zip_code, score=score, **fields)


@pytest.fixture
def harbor() -> Contractor:
    """Holds 07102 in Essex, NJ; two leads wait in the free 07104, one in 07102 itself."""
    contractor = make_contractor(company="Harbor Roofing")
    make_territory(contractor=contractor, zip_code="07102")
    lead_in("07104", 1500), lead_in("07104", 1100), lead_in("07102", 1300)
    return contractor


# What waits -----------------------------------------------------------------------------------------------------------


def test_leads_wait_by_zip_with_their_number_and_quality() -> None:
    lead_in("07104", 1500), lead_in("07104", 1101), lead_in("07030", 2000), lead_in("07030", 999)
    assert waiting_by_zip(min_score=1000) == {"07104": Waiting(2, 1500, 1300), "07030": Waiting(1, 2000, 2000)}
    assert waiting_by_zip(min_score=1000, zips=["07104", "99999"]) == {"07104": Waiting(2, 1500, 1300)}
    assert waiting_by_zip(min_score=1000, zips=[]) == {}
    assert waiting_by_zip(min_score=3000) == {}


def test_a_lead_without_a_zip_or_suppressed_does_not_wait() -> None:
    lead_in("")
    lead_in("07104", suppressed_at=NOW, suppressed_reason="asked")
    assert waiting_by_zip(min_score=0) == {}


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        (Referral.Status.GENERATED, True),
        (Referral.Status.ASSIGNED, False),
        (Referral.Status.DELIVERED, False),
        (Referral.Status.CONVERTED, False),
        (Referral.Status.RETURNED, True),
        (Referral.Status.EXPIRED, True),
        (Referral.Status.CANCELLED, True),
    ],
)
def test_a_lead_waits_unless_a_contractor_has_it(status: str, waits: bool) -> None:
    make_referral(status=status, lead=lead_in("07104"))
    assert ("07104" in waiting_by_zip(min_score=0)) == waits


def test_a_released_lead_waits_again() -> None:
    make_referral(status=Referral.Status.CONVERTED, lead=lead_in("07104"), released_at=NOW)
    assert "07104" in waiting_by_zip(min_score=0)


def test_a_zip_has_its_holder_of_the_moment() -> None:
    first, second = make_contractor(company="First"), make_contractor(company="Second")
    early = make_territory(contractor=first, from_at=NOW - dt.timedelta(days=9), to_at=NOW)
    late = make_territory(contractor=second, from_at=NOW)
    assert holders_by_zip(at=NOW - dt.timedelta(seconds=1)) == {"07030": Holder(first.pk, "First", early.pk)}
    assert holders_by_zip(at=NOW) == {"07030": Holder(second.pk, "Second", late.pk)}
    assert holders_by_zip(at=NOW, zips=["07102"]) == {}
    assert holders_by_zip(at=NOW - dt.timedelta(days=10)) == {}


# The parts of the country ---------------------------------------------------------------------------------------------


def test_the_country_is_told_by_states(harbor: Contractor) -> None:
    found = territory_map(asked=Asked(), at=NOW)
    assert [(one.label, one.held, one.free, one.leads, one.best_score) for one in found.rows] == [
        ("New Jersey", 1, 1, 3, 1500)
    ]
    assert (found.total.held, found.total.free, found.total.leads) == (1, 1, 3)
    assert {one.id for one in found.outlines} >= {"NJ", "AK", "HI", "DC"}
    assert len(found.outlines) == 51
    assert [cloud.look for cloud in found.clouds] == ["free s2 q2", "held h1"]
    assert found.dots == []


def test_a_state_is_told_by_counties_and_a_county_by_zips(harbor: Contractor) -> None:
    state = territory_map(asked=Asked(state="NJ"), at=NOW)
    assert [(one.label, one.held, one.free, one.leads) for one in state.rows] == [("Essex", 1, 1, 3)]
    assert len(state.outlines) == 21
    assert [dot.spot.zip for dot in state.dots] == ["07104", "07102"]
    county = territory_map(asked=Asked(state="NJ", county="34013"), at=NOW)
    assert [(spot.zip, spot.holder and spot.holder.company, spot.waiting) for spot in county.spots] == [
        ("07102", "Harbor Roofing", Waiting(1, 1300, 1300)),
        ("07104", None, Waiting(2, 1500, 1300)),
    ]
    assert [outline.id for outline in county.outlines if outline.is_chosen] == ["c34013"]
    assert territory_map(asked=Asked(state="NY"), at=NOW).rows == []


def test_a_county_is_shown_larger_than_its_state() -> None:
    def width(asked: Asked) -> float:
        return float(territory_map(asked=asked, at=NOW).view_box.split()[2])

    assert width(Asked()) == 975
    assert width(Asked(state="NJ", county="34013")) < width(Asked(state="NJ")) < 50


def test_what_is_shown_can_be_narrowed(harbor: Contractor) -> None:
    other = make_contractor(company="Other")
    make_territory(contractor=other, zip_code="07030")

    def zips(**asked: object) -> list[str]:
        return sorted(dot.spot.zip for dot in territory_map(asked=Asked(state="NJ", **asked), at=NOW).dots)

    assert zips() == ["07030", "07102", "07104"]
    assert zips(show=Shown.HELD) == ["07030", "07102"]
    assert zips(show=Shown.FREE) == ["07104"]
    assert zips(contractor_id=harbor.pk) == ["07102", "07104"]
    assert zips(contractor_id=harbor.pk, show=Shown.HELD) == ["07102"]
    assert zips(min_score=1501) == ["07030", "07102"]


def test_the_largest_contractors_have_colours_that_stay_in_each_part() -> None:
    zips = [f"{number:05d}" for number in range(7001, 7300)]
    contractors = [make_contractor() for _ in range(COLOURS + 2)]
    for position, contractor in enumerate(contractors):
        for _ in range(COLOURS + 2 - position):
            make_territory(contractor=contractor, zip_code=zips.pop())
    make_territory(contractor=contractors[-1], zip_code="07030")
    found = territory_map(asked=Asked(), at=NOW)
    assert [key.colour for key in found.keys] == [*range(1, COLOURS + 1), 0]
    assert found.keys[0].label == contractors[0].company
    assert found.keys[-1].label == "2 other contractors"
    # One without a colour of its own has one when it is asked for.
    [key] = territory_map(asked=Asked(contractor_id=contractors[-1].pk, show=Shown.HELD), at=NOW).keys
    assert (key.label, key.colour) == (contractors[-1].company, COLOURS)


def test_zips_that_the_map_cannot_place_are_in_the_tables() -> None:
    contractor = make_contractor()
    for zip_code in ("00901", "99999", "09012"):  # Puerto Rico, none at all, military
        make_territory(contractor=contractor, zip_code=zip_code)
    found = territory_map(asked=Asked(), at=NOW)
    assert found.unplaced == found.total.held == 3
    assert {one.label: one.held for one in found.rows} == {
        "Puerto Rico": 1,
        "Not in our list of ZIPs, or military": 2,
    }
    puerto_rico = territory_map(asked=Asked(state="PR"), at=NOW)
    assert not puerto_rico.is_drawn
    assert [one.label for one in puerto_rico.rows] == ["San Juan"]


def test_zips_of_no_known_county_stand_by_themselves() -> None:
    make_territory(contractor=make_contractor(), zip_code="11805")
    [row] = territory_map(asked=Asked(state="NY"), at=NOW).rows
    assert (row.label, row.held) == ("County unknown", 1)
    unknown = territory_map(asked=Asked(state="NY", county="elsewhere"), at=NOW)
    assert [spot.zip for spot in unknown.spots] == ["11805"]


def test_the_leads_of_the_whole_country_are_counted_twice_a_minute_at_most(harbor: Contractor) -> None:
    first = territory_map(asked=Asked(), at=NOW)
    lead_in("07104")
    again = territory_map(asked=Asked(), at=NOW + dt.timedelta(seconds=29))
    assert (again.as_of, again.total.leads) == (first.as_of, first.total.leads)
    assert territory_map(asked=Asked(), at=NOW + dt.timedelta(seconds=31)).total.leads == first.total.leads + 1
    # A clock that was put back reads nothing from the future.
    assert territory_map(asked=Asked(), at=NOW - dt.timedelta(days=1)).as_of == NOW - dt.timedelta(days=1)


def test_the_map_costs_the_same_queries_however_much_is_held(django_assert_num_queries, harbor: Contractor) -> None:
    for number in range(7001, 7040):
        make_territory(contractor=harbor, zip_code=f"{number:05d}")
    with django_assert_num_queries(2):
        territory_map(asked=Asked(), at=NOW)
    with django_assert_num_queries(2):
        territory_map(asked=Asked(state="NJ"), at=NOW)


def test_addresses_name_only_what_is_not_usual() -> None:
    assert Asked().address() == MAP
    asked = Asked(state="NJ", county="34013", show=Shown.FREE, contractor_id=3, min_score=500)
    assert asked.address() == f"{MAP}?state=NJ&county=34013&show=free&contractor=3&min_score=500"
    assert asked.address(county="", contractor_id=None) == f"{MAP}?state=NJ&show=free&min_score=500"


# The page -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "analyst", "manager", "admin"])
def test_people_who_may_see_territories_see_the_map(person, role: str) -> None:
    client = Client()
    client.force_login(person(role))
    assert client.get(MAP).status_code == 200
    assert client.post(MAP).status_code == 405


def test_a_contractor_does_not(person) -> None:
    client = Client()
    client.force_login(person("contractor"))
    assert client.get(MAP).status_code == 403
    assert Client().get(MAP).url == f"/login/?next={MAP}"


def test_a_dot_says_its_zip_its_holder_and_what_waits(viewer_client, harbor: Contractor) -> None:
    page = viewer_client.get(f"{MAP}?state=nj").content.decode()
    assert "<title>07102 Newark: held by Harbor Roofing, 1 lead waiting, best 1,300</title>" in page
    assert "<title>07104 Newark: free, 2 leads waiting, best 1,500</title>" in page
    assert 'href="/territories/zip/07102/"' in page
    assert 'maps/NJ.svg#c34013"' in page
    assert 'href="/territories/map/?state=NJ&amp;county=34013"' in page


def test_the_table_says_what_the_picture_says(viewer_client, harbor: Contractor) -> None:
    page = viewer_client.get(f"{MAP}?state=NJ&county=34013").content.decode()
    table = re.sub(r"<[^>]+>|\s+", " ", page[page.index("<table") : page.index("</table>")])
    assert re.search(r"07102\s+Newark\s+Harbor Roofing\s+1\s+1,300\s+1,300", table)
    assert re.search(r"07104\s+Newark\s+free\s+2\s+1,500\s+1,300", table)
    assert "may reach into several counties" in page


def test_an_empty_map_says_what_to_do(manager_client, viewer_client) -> None:
    page = manager_client.get(MAP).content.decode()
    assert "Nobody holds a ZIP" in page
    assert "Assign territories" in page
    assert "Assign territories" not in viewer_client.get(MAP).content.decode()
    assert "Nobody holds a ZIP in New Jersey" in viewer_client.get(f"{MAP}?state=NJ").content.decode()
    assert "Lower the score" in viewer_client.get(f"{MAP}?state=NJ&county=34013").content.decode()
    assert "The map does not show Guam" in viewer_client.get(f"{MAP}?state=GU").content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=ZZ", "There is no such state."),
        ("state=NJ&county=99999", "is no county; write its five digits"),
        ("state=NJ&county=<b>", "is no county; write its five digits"),
        ("contractor=77", "There is no such contractor."),
        ("contractor=x", "There is no such contractor."),
        ("min_score=lots", "Enter a whole number."),
        ("min_score=99999999999", "less than or equal to"),
        ("show=everything", "not one of the available choices"),
        ("state=%00", "There is no such state."),
    ],
)
def test_what_cannot_be_right_is_left_out_and_said(viewer_client, query: str, words: str) -> None:
    response = viewer_client.get(f"{MAP}?{query}")
    assert response.status_code == 200
    assert words in response.content.decode()
    assert "<b>" not in response.content.decode()


def test_choosing_another_state_leaves_the_county(viewer_client) -> None:
    page = viewer_client.get(f"{MAP}?state=NY&county=34013").content.decode()
    assert "left out" not in page
    assert "<strong>New York</strong>" in page


def test_a_swap_brings_the_results_and_the_address(viewer_client, harbor: Contractor) -> None:
    query = {"state": "NJ", "show": "all", "contractor": "", "min_score": "", "county": ""}
    response = viewer_client.get(MAP, query, headers={"HX-Request": "true"})
    assert response["HX-Push-Url"] == f"{MAP}?state=NJ"
    assert b"<html" not in response.content
    assert b"Counties of New Jersey" in response.content


def test_the_map_is_of_this_moment(viewer_client) -> None:
    make_territory(contractor=make_contractor(), zip_code="07102", from_at=timezone.now() + dt.timedelta(hours=1))
    assert "<strong>0</strong> held" in viewer_client.get(f"{MAP}?state=NJ").content.decode()
