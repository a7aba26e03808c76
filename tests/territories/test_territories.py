"""Who holds which ZIP: all or nothing, one holder at a time, and what follows for leads that were not delivered."""

import datetime as dt

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from territories import tasks
from territories.generation.taking import TakenUp
from territories.holdings.operations import (
    NotAHolder,
    PeriodRefused,
    SameHolder,
    Swept,
    TerritoryOver,
    TerritoryTaken,
    WaitRefused,
    assign_territories,
    call_off_territory,
    end_territories,
    join_waitlist,
    leave_waitlist,
    lift_end,
    sweep_territories,
    transfer_territory,
)
from territories.holdings.zips import ZipsRefused, read_zip_file, read_zips
from territories.models import Contractor, Referral, Territory, TerritoryEvent, TerritoryWait
from territories.sql.locks import lock_zips
from tests.conftest import NOW
from tests.factories import make_lead
from tests.territories.holders import make_contractor, make_referral, make_territory
from tests.territories.locks import TABLE, ZIP, locks_held

pytestmark = pytest.mark.django_db
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)


@pytest.fixture
def taken_up(monkeypatch) -> list[list[str]]:
    """The ZIPs whose waiting leads were looked at, call by call."""
    calls: list[list[str]] = []

    def take_up_zips(*, zips, at, by=None) -> TakenUp:
        calls.append(list(zips))
        return TakenUp()

    monkeypatch.setattr("territories.holdings.operations.take_up_zips", take_up_zips)
    return calls


def give(contractor: Contractor, *zips: str, from_at=NOW, to_at=None, at=NOW):
    return assign_territories(zips=zips, contractor=contractor, from_at=from_at, to_at=to_at, by=None, at=at)


def holder_of(zip_code: str, at: dt.datetime) -> str:
    held = list(Territory.objects.held(at).in_zip(zip_code).select_related("contractor"))
    assert len(held) <= 1
    return held[0].contractor.company if held else ""


def events_of(zip_code: str) -> list[str]:
    return list(TerritoryEvent.objects.filter(zip=zip_code).order_by("pk").values_list("kind", flat=True))


# A planned end that is taken back -------------------------------------------------------------------------------------


def test_a_planned_end_is_taken_back_with_an_event() -> None:
    territory = make_territory(make_contractor(company="Acme"), to_at=NOW + DAY)
    lift_end(territory=territory, by=None, at=NOW, note="they stay")
    assert holder_of("07030", NOW + 9 * DAY) == "Acme"
    event = TerritoryEvent.objects.get()
    assert (event.kind, event.effective_at) == ("assigned", NOW)
    assert event.note == "without an end again, no longer until Jun 16, 2026, 8:00 AM: they stay"
    with pytest.raises(PeriodRefused, match="without an end already"):
        lift_end(territory=territory, by=None, at=NOW)


def test_an_end_after_which_somebody_follows_or_that_has_come_stays() -> None:
    territory = make_territory(make_contractor(), to_at=NOW + DAY)
    with pytest.raises(TerritoryOver):
        lift_end(territory=territory, by=None, at=NOW + DAY)
    make_territory(make_contractor(company="Next"), from_at=NOW + 5 * DAY)
    with pytest.raises(TerritoryTaken, match="held by Next"):
        lift_end(territory=territory, by=None, at=NOW)
    assert not TerritoryEvent.objects.exists()


# Assigning ------------------------------------------------------------------------------------------------------------


def test_zips_are_given_with_their_events_and_what_waits_there_is_looked_at_at_once(manager, taken_up) -> None:
    acme = make_contractor()
    done = assign_territories(
        zips=["07031", "07030", "07030"], contractor=acme, from_at=NOW, to_at=NOW + DAY, by=manager, at=NOW
    )
    assert done.zips == ["07030", "07031"]
    assert done.has_begun
    rows = Territory.objects.filter(pk__in=done.territory_ids).order_by("zip")
    assert [(row.zip, row.from_at, row.to_at, row.taken_up_at) for row in rows] == [
        (zip_code, NOW, NOW + DAY, NOW) for zip_code in ("07030", "07031")
    ]
    event = TerritoryEvent.objects.get(zip="07030")
    assert (event.kind, event.by, event.at, event.effective_at) == ("assigned", manager, NOW, NOW)
    assert taken_up == [["07030", "07031"]]


def test_what_begins_later_is_looked_at_when_its_moment_has_come(taken_up) -> None:
    give(make_contractor(), "07030", from_at=NOW + DAY)
    assert taken_up == []
    assert sweep_territories(at=NOW + DAY - HOUR) == Swept()
    assert sweep_territories(at=NOW + DAY).begun == 1
    assert taken_up == [["07030"]]
    assert sweep_territories(at=NOW + 2 * DAY) == Swept()


def test_one_taken_zip_refuses_all_and_every_conflict_is_named() -> None:
    acme, other = make_contractor(company="Acme Roofing"), make_contractor(company="Other")
    make_territory(acme, "07030", to_at=NOW + DAY)
    make_territory(acme, "07032", from_at=NOW + 5 * DAY)
    with pytest.raises(TerritoryTaken) as refusal:
        give(other, "07030", "07031", "07032", "07033")
    assert [one.zip for one in refusal.value.conflicts] == ["07030", "07032"]
    assert "07030 is held by Acme Roofing, from Jun 14, 2026" in str(refusal.value)
    assert not Territory.objects.filter(contractor=other).exists()
    assert not TerritoryEvent.objects.exists()


def test_a_period_may_begin_where_the_last_one_ends() -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    give(acme, "07030", to_at=NOW + DAY)
    give(other, "07030", from_at=NOW + DAY)
    assert holder_of("07030", NOW + DAY - dt.timedelta(microseconds=1)) == "Acme"
    assert holder_of("07030", NOW + DAY) == "Other"


def test_a_period_may_end_where_the_next_one_begins() -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    give(other, "07030", from_at=NOW + DAY)
    give(acme, "07030", to_at=NOW + DAY)
    assert holder_of("07030", NOW + DAY - dt.timedelta(microseconds=1)) == "Acme"
    assert holder_of("07030", NOW + DAY) == "Other"


def test_a_period_that_ends_at_this_very_moment_is_over(taken_up) -> None:
    with pytest.raises(PeriodRefused, match="would rewrite who held the ZIP"):
        give(make_contractor(), "07030", from_at=NOW - DAY, to_at=NOW)
    assert taken_up == []
    give(make_contractor(), "07030", from_at=NOW - DAY, to_at=NOW + dt.timedelta(microseconds=1))
    assert taken_up != []


def test_the_database_itself_refuses_two_holders() -> None:
    make_territory(make_contractor(), "07030")
    with pytest.raises(IntegrityError, match="territory_one_holder_per_zip"), transaction.atomic():
        make_territory(make_contractor(), "07030", from_at=NOW + 100 * DAY)


def test_what_slips_past_the_locks_is_still_refused_in_words(monkeypatch) -> None:
    make_territory(make_contractor(company="Acme"), "07030")
    looks = iter([[], list(Territory.objects.all())])
    monkeypatch.setattr("territories.holdings.operations.overlapping", lambda **kwargs: next(looks))
    with pytest.raises(TerritoryTaken, match="07030 is held by Acme"):
        give(make_contractor(), "07030", "07031")
    assert Territory.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"zips": ["7030"]}, ZipsRefused),
        ({"zips": []}, ZipsRefused),
        ({"to_at": NOW}, PeriodRefused),
        ({"to_at": NOW - DAY}, PeriodRefused),
        ({"from_at": NOW - 2 * DAY, "to_at": NOW - DAY}, PeriodRefused),
        ({"from_at": NOW - 2 * DAY, "to_at": NOW}, PeriodRefused),
    ],
)
def test_what_makes_no_sense_is_refused(changes, refusal) -> None:
    values = {"zips": ["07030"], "contractor": make_contractor(), "from_at": NOW, "to_at": None, "by": None, "at": NOW}
    with pytest.raises(refusal):
        assign_territories(**(values | changes))
    assert not Territory.objects.exists()


def test_neither_a_contractor_that_ended_nor_a_sandbox_holds_anything() -> None:
    ended = make_contractor(status="ended")
    sandbox = make_contractor(sandbox_of=make_contractor())
    for contractor in (ended, sandbox):
        with pytest.raises(NotAHolder):
            give(contractor, "07030")
    paused = make_contractor(status="paused")
    give(paused, "07030")
    assert holder_of("07030", NOW) == paused.company


def test_more_zips_than_there_are_locks_are_given_under_one() -> None:
    zips = [f"{number:05}" for number in range(10_000, 10_600)]
    assert len(give(make_contractor(), *zips).territory_ids) == 600


def test_few_zips_share_the_lock_of_the_table_so_that_very_many_wait_for_them() -> None:
    lock_zips(["07030"])
    assert locks_held() == {TABLE: "ShareLock", ZIP: "ExclusiveLock"}


# Ending ---------------------------------------------------------------------------------------------------------------


def test_what_ends_now_gives_undelivered_leads_back_and_keeps_the_rest(taken_up) -> None:
    acme = make_contractor()
    territory = make_territory(acme)
    lead = make_lead()
    waiting = make_referral(lead, contractor=acme, territory=territory, score=512, urgency=7)
    kept = [make_referral(contractor=acme, territory=territory, status=status) for status in ("delivered", "converted")]
    done = end_territories(ids=[territory.pk], by=None, at=NOW, note="left town")
    assert (done.ended, done.cancelled, done.requeued) == (["07030"], 1, 1)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.ended_at) == ("cancelled", NOW)
    assert waiting.events.get().note == "territory ended"
    again = Referral.objects.get(lead=lead, status="generated")
    assert (again.score, again.urgency, again.contractor, again.expires_at) == (
        512,
        7,
        None,
        NOW + settings.REFERRAL_HOLD_DAYS * DAY,
    )
    assert [event.what for event in again.events.all()] == ["generated"]
    assert [Referral.objects.get(pk=one.pk).status for one in kept] == ["delivered", "converted"]
    territory.refresh_from_db()
    assert (territory.to_at, territory.wound_up_at) == (NOW, NOW)
    assert TerritoryEvent.objects.get(kind="ended").note == "left town"
    assert holder_of("07030", NOW) == ""
    assert taken_up == []


def test_what_ends_later_is_wound_up_by_the_sweep_and_the_next_holder_comes_at_once(taken_up) -> None:
    acme, other = make_contractor(), make_contractor(company="Other")
    territory = make_territory(acme)
    referral = make_referral(contractor=acme, territory=territory)
    end_territories(ids=[territory.pk], to_at=NOW + DAY, by=None, at=NOW)
    give(other, "07030", from_at=NOW + DAY)
    assert Referral.objects.get(pk=referral.pk).status == "assigned"
    swept = sweep_territories(at=NOW + DAY)
    assert (swept.begun, swept.ended, swept.cancelled, swept.requeued) == (1, 1, 1, 1)
    assert taken_up == [["07030"]]
    assert sweep_territories(at=NOW + DAY) == Swept()


def test_a_clock_that_goes_back_does_nothing_twice() -> None:
    acme = make_contractor()
    territory = make_territory(acme, to_at=NOW + DAY)
    make_referral(contractor=acme, territory=territory)
    assert sweep_territories(at=NOW + DAY).cancelled == 1
    before = list(Territory.objects.values())
    for at in (NOW - 9 * DAY, NOW, NOW + DAY, NOW + 2 * DAY):
        assert sweep_territories(at=at) == Swept()
    assert list(Territory.objects.values()) == before
    assert Referral.objects.filter(status="generated").count() == 1


def test_an_end_in_the_past_or_of_what_is_over_is_refused() -> None:
    territory = make_territory(make_contractor())
    with pytest.raises(PeriodRefused, match="past"):
        end_territories(ids=[territory.pk], to_at=NOW - HOUR, by=None, at=NOW)
    end_territories(ids=[territory.pk], by=None, at=NOW)
    with pytest.raises(TerritoryOver, match="no longer holds 07030"):
        end_territories(ids=[territory.pk], by=None, at=NOW + HOUR)
    assert Territory.objects.get().to_at == NOW


def test_an_end_may_move_later_until_the_next_holder_begins() -> None:
    territory = make_territory(make_contractor(), to_at=NOW + DAY)
    make_territory(make_contractor(company="Next"), from_at=NOW + 3 * DAY, taken_up_at=None)
    end_territories(ids=[territory.pk], to_at=NOW + 3 * DAY, by=None, at=NOW)
    with pytest.raises(TerritoryTaken, match="Next"):
        end_territories(ids=[territory.pk], to_at=NOW + 4 * DAY, by=None, at=NOW)
    assert Territory.objects.get(pk=territory.pk).to_at == NOW + 3 * DAY


def test_a_territory_that_has_not_begun_is_called_off_and_the_zip_is_free_for_others() -> None:
    acme = make_contractor()
    future = Territory.objects.get(pk=give(acme, "07030", from_at=NOW + DAY).territory_ids[0])
    done = call_off_territory(territory=future, by=None, at=NOW)
    assert (done.ended, done.called_off) == ([], ["07030"])
    assert events_of("07030") == ["assigned", "called_off"]
    assert sweep_territories(at=NOW + 2 * DAY) == Swept()
    give(make_contractor(company="Other"), "07030")
    assert holder_of("07030", NOW + 2 * DAY) == "Other"
    with pytest.raises(PeriodRefused, match="ended, not called off"):
        call_off_territory(territory=Territory.objects.held(NOW).get(), by=None, at=NOW)


def test_what_was_called_off_can_be_neither_ended_nor_handed_on_nor_called_off_again() -> None:
    acme, other = make_contractor(), make_contractor()
    future = make_territory(acme, from_at=NOW + DAY, taken_up_at=None)
    call_off_territory(territory=future, by=None, at=NOW)
    for act in (
        lambda: end_territories(ids=[future.pk], to_at=NOW + 9 * DAY, by=None, at=NOW),
        lambda: transfer_territory(territory=future, contractor=other, by=None, at=NOW),
        lambda: call_off_territory(territory=future, by=None, at=NOW),
    ):
        with pytest.raises(TerritoryOver, match="called off"):
            act()
    assert Territory.objects.get().to_at == NOW + DAY


def test_suppressed_leads_and_those_that_another_referral_holds_do_not_wait_again() -> None:
    acme = make_contractor()
    territory = make_territory(acme)
    make_referral(make_lead(suppressed_at=NOW, suppressed_reason="asked"), contractor=acme, territory=territory)
    make_referral(contractor=acme, territory=territory)
    done = end_territories(ids=[territory.pk], by=None, at=NOW)
    assert (done.cancelled, done.requeued) == (2, 1)


# Transferring ---------------------------------------------------------------------------------------------------------


def test_a_transfer_now_ends_one_and_begins_the_other_at_the_same_moment(taken_up) -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    territory = make_territory(acme, to_at=NOW + 9 * DAY)
    make_referral(contractor=acme, territory=territory)
    done = transfer_territory(territory=territory, contractor=other, by=None, at=NOW)
    assert (done.ended.ended, done.ended.cancelled, done.ended.requeued) == (["07030"], 1, 1)
    new = Territory.objects.get(pk=done.territory_id)
    assert (new.contractor, new.from_at, new.to_at, new.taken_up_at) == (other, NOW, NOW + 9 * DAY, NOW)
    assert holder_of("07030", NOW - dt.timedelta(microseconds=1)) == "Acme"
    assert holder_of("07030", NOW) == "Other"
    assert taken_up == [["07030"]]
    told = [(event.kind, event.note) for event in TerritoryEvent.objects.order_by("pk")]
    assert told == [("transferred", "to Other"), ("assigned", "from Acme")]


def test_a_transfer_at_a_date_leaves_no_gap_and_is_carried_out_by_the_sweep(taken_up) -> None:
    acme, other = make_contractor(company="Acme"), make_contractor(company="Other")
    territory = make_territory(acme)
    referral = make_referral(contractor=acme, territory=territory)
    transfer_territory(territory=territory, contractor=other, from_at=NOW + DAY, by=None, at=NOW)
    assert Referral.objects.get(pk=referral.pk).status == "assigned"
    assert (holder_of("07030", NOW), holder_of("07030", NOW + DAY)) == ("Acme", "Other")
    swept = sweep_territories(at=NOW + DAY)
    assert (swept.ended, swept.begun, swept.cancelled) == (1, 1, 1)


def test_a_transfer_to_the_holder_itself_after_the_end_or_into_another_ones_time_is_refused() -> None:
    acme, other = make_contractor(), make_contractor(company="Other")
    territory = make_territory(acme, to_at=NOW + DAY)
    make_territory(other, from_at=NOW + DAY, taken_up_at=None)
    with pytest.raises(SameHolder):
        transfer_territory(territory=territory, contractor=acme, by=None, at=NOW)
    with pytest.raises(PeriodRefused, match="earlier than its end"):
        transfer_territory(territory=territory, contractor=other, from_at=NOW + DAY, by=None, at=NOW)
    with pytest.raises(PeriodRefused, match="past"):
        transfer_territory(territory=territory, contractor=other, from_at=NOW - DAY, by=None, at=NOW)
    assert Territory.objects.count() == 2


def test_what_has_not_begun_is_handed_on_from_its_own_beginning() -> None:
    acme, other = make_contractor(), make_contractor(company="Other")
    future = make_territory(acme, from_at=NOW + DAY, taken_up_at=None)
    transfer_territory(territory=future, contractor=other, by=None, at=NOW)
    assert holder_of("07030", NOW) == ""
    assert holder_of("07030", NOW + DAY) == "Other"


# The line -------------------------------------------------------------------------------------------------------------


def test_a_contractor_waits_once_in_its_place_until_it_gets_the_zip() -> None:
    holder, first, second = make_contractor(), make_contractor(), make_contractor()
    territory = make_territory(holder)
    wait = join_waitlist(zip_code="07030", contractor=first, at=NOW)
    join_waitlist(zip_code="07030", contractor=second, at=NOW + HOUR)
    assert join_waitlist(zip_code="07030", contractor=first, at=NOW + 2 * HOUR) == wait
    transfer_territory(territory=territory, contractor=first, by=None, at=NOW + DAY)
    assert list(TerritoryWait.objects.filter(ended_at=None)) == [TerritoryWait.objects.get(contractor=second)]
    remaining = TerritoryWait.objects.get(contractor=second)
    assert leave_waitlist(wait=remaining, at=NOW + DAY)
    assert not leave_waitlist(wait=remaining, at=NOW + 2 * DAY)


def test_nobody_waits_for_what_is_free_or_its_own() -> None:
    acme = make_contractor()
    with pytest.raises(WaitRefused, match="Nobody holds 07030"):
        join_waitlist(zip_code="07030", contractor=acme, at=NOW)
    make_territory(acme)
    with pytest.raises(WaitRefused, match="itself"):
        join_waitlist(zip_code="07030", contractor=acme, at=NOW)


# The sweep, and ZIPs as people write them -----------------------------------------------------------------------------


def test_the_sweep_runs_each_minute() -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["sweep-territories"]
    assert (entry["task"], entry["schedule"]) == (tasks.sweep.name, 60.0)
    make_territory(make_contractor(), taken_up_at=None)
    tasks.sweep()
    assert Territory.objects.get().taken_up_at is not None


def test_zips_are_read_from_text_however_they_are_parted() -> None:
    read = read_zips("07030, 07031;07030\n7032\t07033-1234 | 070341234 Hoboken 123456")
    assert read.zips == ["07030", "07031", "07032", "07033", "07034"]
    assert read.odd == ["“Hoboken”", "“123456”"]


@pytest.mark.parametrize(
    ("data", "zips"),
    [
        (b"ZIP\n07030\n7031\n", ["07030", "07031"]),
        (b"\xef\xbb\xbfCity,Zip Code\r\nHoboken,07030\r\n\r\n", ["07030"]),
        (b"07030\n07031\n", ["07030", "07031"]),
        ("Ort;ZIP\n".replace(";", ",").encode() + "Señor,07030\n".encode("cp1252"), ["07030"]),
        (b"City;ZIP\nHoboken, NJ;07030\n", ["07030"]),
        (b"City\tZIP\nHoboken, NJ\t07030\n", ["07030"]),
        ("City\tZIP\r\nHoboken\t07030\r\n".encode("utf-16"), ["07030"]),
        (b'ZIP\n="07031"\n"=""07032"""\n07030.0\n7033.00\n', ["07030", "07031", "07032", "07033"]),
    ],
)
def test_zips_are_read_from_a_file(data: bytes, zips: list[str]) -> None:
    assert read_zip_file(data).zips == zips


def test_a_cell_that_is_no_zip_is_named_with_its_line() -> None:
    assert read_zip_file(b"City,ZIP\nHoboken,07030\n\nNewark,Newark\nNewark,Newark\n").odd == ["“Newark” (line 4)"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"City,State\nHoboken,NJ\n", "No column is called ZIP; the columns are City, State"),
        (b'ZIP\n"07030\n', "cannot be read as CSV"),
        (b"PK\x03\x04\0\0", "no CSV file"),
    ],
)
def test_a_file_without_zips_says_what_is_wrong(data: bytes, words: str) -> None:
    with pytest.raises(ZipsRefused, match=words):
        read_zip_file(data)
