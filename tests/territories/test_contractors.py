"""Contractors: what pausing, resuming and ending does to each state, logins and tokens."""

import datetime as dt

import pytest

from accounts.models import ApiToken, User
from tags.models import Tag
from territories.contractors.operations import (
    CompanyTaken,
    Contact,
    LoginRefused,
    StatusRefused,
    create_login,
    end_contractor,
    pause_contractor,
    resume_contractor,
    save_contractor,
    standing_of,
)
from territories.contractors.tokens import TokenRefused, create_token, revoke_token, rotate_token, tokens_of
from territories.generation.taking import TakenUp
from territories.models import Contractor, Referral, ReferralReturn, Territory, TerritoryWait
from tests.conftest import NOW
from tests.factories import make_lead, make_tag
from tests.territories.holders import make_contractor, make_referral, make_territory

pytestmark = pytest.mark.django_db
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)


@pytest.fixture
def busy() -> Contractor:
    """A contractor with two territories, one to come, a place in line, and a referral in each state."""
    contractor = make_contractor(company="Busy")
    territory = make_territory(contractor, "07030")
    make_territory(contractor, "07031")
    make_territory(contractor, "07032", from_at=NOW + DAY, taken_up_at=None)
    make_territory(make_contractor(), "07033")
    TerritoryWait.objects.create(zip="07033", contractor=contractor, created_at=NOW)
    for status in ("assigned", "delivered", "converted", "returned"):
        make_referral(contractor=contractor, territory=territory, status=status)
    make_referral(contractor=contractor, territory=None, status="assigned")  # one by hand
    make_referral(contractor=make_contractor(), status="assigned")  # somebody else's
    return contractor


def states(contractor: Contractor) -> list[str]:
    return sorted(contractor.referrals.values_list("status", flat=True))


def test_before_it_is_told_what_would_be_touched(busy) -> None:
    standing = standing_of(contractor=busy, at=NOW)
    assert (standing.assigned, standing.delivered, standing.converted) == (2, 1, 1)
    assert (standing.held, standing.future, standing.waits) == (2, 1, 1)


def test_pausing_takes_back_what_was_not_delivered_and_offers_it_again_later(busy, manager) -> None:
    done = pause_contractor(contractor=busy, by=manager, at=NOW)
    assert (done.cancelled, done.requeued, done.delivered, done.converted) == (2, 2, 1, 1)
    assert states(busy) == ["cancelled", "cancelled", "converted", "delivered", "returned"]
    assert Referral.objects.filter(status="generated", contractor=None).count() == 2
    cancelled = busy.referrals.filter(status="cancelled").first().events.get()
    assert (cancelled.note, cancelled.by, cancelled.from_status) == ("contractor paused", manager, "assigned")
    assert Contractor.objects.get(pk=busy.pk).status == "paused"
    assert Territory.objects.held(NOW).filter(contractor=busy).count() == 2
    assert Referral.objects.filter(status="assigned").count() == 1


def test_resuming_looks_at_what_waits_in_its_zips(busy, monkeypatch) -> None:
    pause_contractor(contractor=busy, by=None, at=NOW)
    calls = []
    monkeypatch.setattr(
        "territories.contractors.operations.take_up_zips",
        lambda *, zips, at, by: calls.append((zips, at)) or TakenUp(assigned=2),
    )
    assert resume_contractor(contractor=busy, by=None, at=NOW + HOUR).assigned == 2
    assert calls == [(["07030", "07031"], NOW + HOUR)]
    assert Contractor.objects.get(pk=busy.pk).status == "active"


def test_ending_also_ends_its_territories_and_leaves_every_line(busy) -> None:
    done = end_contractor(contractor=busy, by=None, at=NOW)
    assert (done.cancelled, done.requeued, done.delivered, done.converted) == (2, 2, 1, 1)
    assert (done.ended.ended, done.ended.called_off) == (["07030", "07031"], ["07032"])
    assert states(busy) == ["cancelled", "cancelled", "converted", "delivered", "returned"]
    assert not Territory.objects.held(NOW).filter(contractor=busy).exists()
    assert not Territory.objects.held(NOW + 2 * DAY).filter(contractor=busy).exists()
    assert not TerritoryWait.objects.filter(ended_at=None).exists()
    assert Contractor.objects.get(pk=busy.pk).status == "ended"


def test_what_makes_no_sense_in_a_state_is_refused_and_changes_nothing(busy) -> None:
    with pytest.raises(StatusRefused, match=r"is active\. Only a paused"):
        resume_contractor(contractor=busy, by=None, at=NOW)
    pause_contractor(contractor=busy, by=None, at=NOW)
    with pytest.raises(StatusRefused, match=r"is paused\. Only an active"):
        pause_contractor(contractor=busy, by=None, at=NOW)
    end_contractor(contractor=busy, by=None, at=NOW)
    before = list(Referral.objects.order_by("pk").values())
    for refused in (pause_contractor, resume_contractor, end_contractor):
        with pytest.raises(StatusRefused):
            refused(contractor=busy, by=None, at=NOW)
    assert list(Referral.objects.order_by("pk").values()) == before


def test_ending_a_contractor_ends_what_is_owed_to_it() -> None:
    contractor = make_contractor()
    referral = make_referral(contractor=contractor, status="returned")
    wish = ReferralReturn.objects.create(
        referral=referral, reason="sold", status="approved", requested_at=NOW, decided_at=NOW, is_replacement_owed=True
    )
    end_contractor(contractor=contractor, by=None, at=NOW)
    wish.refresh_from_db()
    assert not wish.is_replacement_owed


def test_a_contractor_that_rests_for_a_day_loses_no_place_under_its_caps() -> None:
    contractor = make_contractor(total_cap=3)
    territory = make_territory(contractor)
    for _ in range(3):
        make_referral(contractor=contractor, territory=territory)
    assert pause_contractor(contractor=contractor, by=None, at=NOW).requeued == 3
    assert resume_contractor(contractor=contractor, by=None, at=NOW + HOUR).assigned == 3


def test_a_contractor_is_saved_with_wishes_and_contacts_but_never_with_another_status() -> None:
    wanted, unwanted = make_tag(), make_tag()
    contractor = save_contractor(
        contractor=Contractor(company="Acme"),
        at=NOW,
        by=None,
        wanted_tags=[wanted],
        unwanted_tags=Tag.objects.filter(pk=unwanted.pk),
        contacts=[Contact(name="Ada", email="ada@example.com"), Contact(name="Ben")],
    )
    assert (contractor.created_at, list(contractor.wanted_tags.all())) == (NOW, [wanted])
    contractor.status, contractor.daily_cap = "ended", 5
    save_contractor(contractor=contractor, at=NOW + DAY, by=None, contacts=[Contact(name="Ben")])
    now = Contractor.objects.get()
    assert (now.status, now.daily_cap, now.created_at) == ("active", 5, NOW)
    assert [one.name for one in now.contacts.all()] == ["Ben"]
    assert list(now.unwanted_tags.all()) == [unwanted]
    with pytest.raises(CompanyTaken, match="ACME"):
        save_contractor(contractor=Contractor(company="ACME"), at=NOW, by=None)


def test_a_login_is_made_on_demand_once_without_a_password_in_the_group_of_contractors() -> None:
    User.objects.create_user("acme-roofing")
    acme = make_contractor(company="Acme Roofing!")
    user = create_login(contractor=acme, at=NOW, by=None)
    assert user.username == "acme-roofing-2"
    assert not user.has_usable_password()
    assert [group.name for group in user.groups.all()] == ["contractor"]
    assert Contractor.objects.get(pk=acme.pk).user == user
    with pytest.raises(LoginRefused, match="already"):
        create_login(contractor=acme, at=NOW, by=None)
    for name in ("ACME-roofing", "two words", "x" * 151):
        with pytest.raises(LoginRefused):
            create_login(contractor=make_contractor(), at=NOW, by=None, username=name)


def test_tokens_are_made_rotated_and_revoked() -> None:
    acme = make_contractor()
    with pytest.raises(TokenRefused, match="no login"):
        create_token(contractor=acme, name="crm", days=30, is_sandbox=False, at=NOW, by=None)
    create_login(contractor=acme, at=NOW, by=None)
    acme.refresh_from_db()
    made = create_token(contractor=acme, name="crm", days=30, is_sandbox=True, at=NOW, by=None)
    assert (made.token.expiry, made.token.is_sandbox, made.token.user) == (NOW + 30 * DAY, True, acme.user)
    assert made.text not in str(ApiToken.objects.values())
    ApiToken.objects.filter(pk=made.token.pk).update(created=NOW)
    new = rotate_token(contractor=acme, token_key=made.token.token_key, hours=24, at=NOW + DAY, by=None)
    assert (new.token.name, new.token.is_sandbox, new.token.expiry) == ("crm", True, NOW + 31 * DAY)
    assert ApiToken.objects.get(pk=made.token.pk).expiry == NOW + 2 * DAY
    assert {token.pk for token in tokens_of(acme, NOW + DAY)} == {made.token.pk, new.token.pk}
    assert [token.pk for token in tokens_of(acme, NOW + 2 * DAY)] == [new.token.pk]
    assert revoke_token(contractor=acme, token_key=new.token.token_key, at=NOW, by=None) == "crm"
    with pytest.raises(TokenRefused, match="not there any more"):
        revoke_token(contractor=acme, token_key=new.token.token_key, at=NOW, by=None)


def test_rotating_never_lengthens_the_life_of_the_former_token_and_may_close_it_at_once() -> None:
    acme = make_contractor()
    create_login(contractor=acme, at=NOW, by=None)
    acme.refresh_from_db()
    short = create_token(contractor=acme, name="short", days=1, is_sandbox=False, at=NOW, by=None).token
    rotate_token(contractor=acme, token_key=short.token_key, hours=100, at=NOW, by=None)
    assert ApiToken.objects.get(pk=short.pk).expiry == NOW + DAY
    endless = create_token(contractor=acme, name="endless", days=None, is_sandbox=False, at=NOW, by=None).token
    new = rotate_token(contractor=acme, token_key=endless.token_key, hours=0, at=NOW, by=None)
    assert new.token.expiry is None
    assert not ApiToken.objects.filter(pk=endless.pk).exists()


def test_a_token_of_somebody_else_cannot_be_touched() -> None:
    acme, other = make_contractor(), make_contractor()
    for contractor in (acme, other):
        create_login(contractor=contractor, at=NOW, by=None)
        contractor.refresh_from_db()
    token = create_token(contractor=other, name="crm", days=None, is_sandbox=False, at=NOW, by=None).token
    for act in (revoke_token, lambda **kw: rotate_token(hours=1, **kw)):
        with pytest.raises(TokenRefused):
            act(contractor=acme, token_key=token.token_key, at=NOW, by=None)
    assert ApiToken.objects.filter(pk=token.pk, expiry=None).exists()


def test_a_lead_that_was_suppressed_meanwhile_does_not_wait_again() -> None:
    contractor = make_contractor()
    make_referral(make_lead(suppressed_at=NOW, suppressed_reason="asked"), contractor=contractor)
    done = pause_contractor(contractor=contractor, by=None, at=NOW)
    assert (done.cancelled, done.requeued) == (1, 0)
