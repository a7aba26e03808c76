"""Tags that contractors and profiles name, and that were merged into another: it is meant by the name it has now."""

import datetime as dt

import pytest

from leads.models import Lead
from tags.models import LeadTag, Tag
from territories.generation.taking import TakenUp, take_up_zips
from territories.models import Referral
from tests.conftest import NOW
from tests.factories import make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_referral, make_territory
from tests.territories.test_generation import left_out, make_profile, referred

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


@pytest.fixture(params=["before its leads are moved", "once they are", "twice"])
def merged(request: pytest.FixtureRequest) -> tuple[Tag, Lead]:
    """The former tag, and a lead that carries it under one name or the other."""
    old, new, newest = (make_tag(base_score=500, name=name) for name in ("No Knock", "Do Not Knock", "No Visits"))
    lead = make_scored_lead(tags=[old])
    Tag.objects.filter(pk=old.pk).update(merged_into=new, is_archived=True)
    if request.param != "before its leads are moved":
        LeadTag.objects.filter(lead=lead).update(tag=newest if request.param == "twice" else new)
    if request.param == "twice":
        Tag.objects.filter(pk=new.pk).update(merged_into=newest, is_archived=True)
    return old, lead


def test_a_contractor_goes_on_refusing_it(merged) -> None:
    old, _ = merged
    contractor = make_contractor()
    contractor.unwanted_tags.add(old)
    make_territory(contractor=contractor)
    assert left_out(make_profile()) == {"tags_not_wanted": 1}


def test_a_contractor_goes_on_wanting_it(merged) -> None:
    old, lead = merged
    contractor = make_contractor()
    contractor.wanted_tags.add(old)
    make_territory(contractor=contractor)
    assert referred(make_profile()) == {lead.pk}


def test_a_profile_goes_on_requiring_it(merged) -> None:
    old, lead = merged
    make_scored_lead(tags=[make_tag(base_score=900)])
    assert referred(make_profile(required=[old])) == {lead.pk}


def test_a_profile_goes_on_leaving_it_out(merged) -> None:
    old, _ = merged
    other = make_scored_lead(tags=[make_tag(base_score=900)])
    assert referred(make_profile(excluded=[old])) == {other.pk}


@pytest.mark.parametrize(("asks", "taken_up"), [("required", TakenUp(assigned=1)), ("excluded", TakenUp(expired=1))])
def test_so_it_is_when_the_zip_is_taken(merged, asks, taken_up) -> None:
    old, lead = merged
    profile = make_profile(**{asks: [old]})
    make_referral(lead=lead, status=Referral.Status.GENERATED, at=NOW - DAY, profile=profile)
    make_territory(contractor=make_contractor(), from_at=NOW)
    assert take_up_zips(zips=["07030"], at=NOW) == taken_up
