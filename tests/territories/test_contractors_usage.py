"""Usage against caps: the contractor's own day and month, what came back not counted, the lowest cap binds."""

import datetime as dt

import pytest

from territories.contractors.usage import Usage, usage_of
from tests.conftest import NOW
from tests.territories.holders import make_contractor, make_referral

pytestmark = pytest.mark.django_db


def test_a_contractor_without_caps_has_no_rest() -> None:
    contractor = make_contractor()
    assert usage_of([contractor.pk], NOW) == {contractor.pk: Usage(today=0, month=0, total=0, remaining=None)}


def test_the_cap_that_binds_first_is_the_rest() -> None:
    contractor = make_contractor(daily_cap=10, monthly_cap=4, total_cap=100)
    for _ in range(3):
        make_referral(contractor=contractor)
    assert usage_of([contractor.pk], NOW)[contractor.pk] == Usage(today=3, month=3, total=3, remaining=1)


def test_a_cap_that_was_lowered_below_its_use_leaves_nothing_rather_than_less() -> None:
    contractor = make_contractor(daily_cap=1)
    make_referral(contractor=contractor)
    make_referral(contractor=contractor)
    assert usage_of([contractor.pk], NOW)[contractor.pk].remaining == 0


@pytest.mark.parametrize(
    ("status", "counted"),
    [
        ("assigned", 1),
        ("delivered", 1),
        ("converted", 1),
        ("cancelled", 0),
        ("expired", 1),
        ("returned", 0),
    ],
)
def test_all_that_was_assigned_counts_but_what_came_back(status: str, counted: int) -> None:
    contractor = make_contractor(daily_cap=5)
    make_referral(contractor=contractor, status=status)
    assert usage_of([contractor.pk], NOW)[contractor.pk].today == counted


def test_sandbox_referrals_and_those_of_others_do_not_count() -> None:
    contractor, other = make_contractor(), make_contractor()
    make_referral(contractor=contractor, is_sandbox=True)
    make_referral(contractor=other)
    usage = usage_of([contractor.pk, other.pk], NOW)
    assert (usage[contractor.pk].total, usage[other.pk].total) == (0, 1)


def test_day_and_month_begin_in_the_contractors_zone() -> None:
    """At 04:30 UTC on the first of July it is still June in Chicago, and half past twelve at night in New York."""
    at = dt.datetime(2026, 7, 1, 4, 30, tzinfo=dt.UTC)
    east = make_contractor(time_zone="America/New_York", daily_cap=5, monthly_cap=5)
    west = make_contractor(time_zone="America/Chicago", daily_cap=5, monthly_cap=5)
    for contractor in (east, west):
        make_referral(contractor=contractor, assigned_at=at - dt.timedelta(hours=1))  # 23:30 and 22:30 of 30 June
    usage = usage_of([east.pk, west.pk], at)
    assert (usage[east.pk].today, usage[east.pk].month, usage[east.pk].total) == (0, 0, 1)
    assert (usage[west.pk].today, usage[west.pk].month, usage[west.pk].total) == (1, 1, 1)


def test_a_month_begins_with_its_very_first_moment() -> None:
    first = dt.datetime(2026, 7, 1, 4, 0, tzinfo=dt.UTC)  # 00:00 in New York
    contractor = make_contractor(monthly_cap=5)
    for moment in (first - dt.timedelta(seconds=1), first):
        make_referral(contractor=contractor, assigned_at=moment)
    usage = usage_of([contractor.pk], first + dt.timedelta(days=9))
    assert usage[contractor.pk] == Usage(today=0, month=1, total=2, remaining=4)


def test_a_day_of_23_hours_begins_at_its_midnight() -> None:
    noon = dt.datetime(2026, 3, 8, 16, 0, tzinfo=dt.UTC)  # clocks went forward at 07:00 UTC
    contractor = make_contractor()
    make_referral(contractor=contractor, assigned_at=dt.datetime(2026, 3, 8, 5, 0, tzinfo=dt.UTC))
    make_referral(contractor=contractor, assigned_at=dt.datetime(2026, 3, 8, 4, 59, tzinfo=dt.UTC))
    assert usage_of([contractor.pk], noon)[contractor.pk].today == 1


def test_a_clock_that_went_back_does_not_give_more_room() -> None:
    contractor = make_contractor(daily_cap=1)
    make_referral(contractor=contractor)
    assert usage_of([contractor.pk], NOW - dt.timedelta(days=3))[contractor.pk].remaining == 0


def test_many_contractors_take_two_queries(django_assert_num_queries) -> None:
    ids = [make_contractor(daily_cap=5).pk for _ in range(20)]
    with django_assert_num_queries(2):
        assert set(usage_of(ids, NOW)) == set(ids)
    with django_assert_num_queries(0):
        assert usage_of([], NOW) == {}
