"""Dealing one lead to the holder of its ZIP: by hand, and in place of a returned one."""

import datetime as dt

from django.db import transaction

from accounts.models import User
from leads.models import Lead
from territories.generation.criteria import Criteria
from territories.generation.dealing import Owed, deal_one, owed_returns, rests_of, write_for
from territories.models import Contractor, Referral, ReferralReturn, Territory
from territories.referrals.announce import announce_assigned
from territories.sql import generation as statements
from territories.sql.generation import Room
from territories.sql.locks import lock_dealing

LEAST_SCORE = -(2**31)  # any lead's score


class AssignRefused(Exception):
    """The lead cannot be referred now; the message says why, and what would help."""


class NoHolder(AssignRefused):
    """Nobody who takes leads holds the lead's ZIP."""


class AlreadyReferred(AssignRefused):
    """The lead has a live referral."""


class Suppressed(AssignRefused):
    """The lead is offered to nobody."""


class CapReached(AssignRefused):
    """The holder has had as many leads as its caps allow."""


class NotWanted(AssignRefused):
    """The holder does not take leads of this score or with these tags."""


class ReturnedBefore(AssignRefused):
    """The lead was given back, and goes only to a later holder of its ZIP."""


def assign_lead(*, lead_id: int, at: dt.datetime, by: User | None) -> Referral:
    """Refer one lead to the holder of its ZIP, as a person wants it: no profile, but wishes, caps and returns hold.

    Raises NoHolder, AlreadyReferred, Suppressed, CapReached, NotWanted, ReturnedBefore, all AssignRefused; and
    Lead.DoesNotExist.
    """
    with transaction.atomic():
        lock_dealing()
        lead = Lead.objects.get(pk=lead_id)
        territory = Territory.objects.held(at).in_zip(lead.zip).filter(wound_up_at=None).select_related("contractor")
        holding = territory.first()
        rests = rests_of([holding.contractor_id], at) if holding else {}
        done = statements.deal(
            criteria=Criteria(min_score=LEAST_SCORE),
            at=at,
            most=1,
            room=Room(rests=rests),
            lead_id=lead.pk,
            write=write_for(at=at, by_id=by.pk if by else None, note="by hand"),
        )
        if not done.picks:
            reason = next(iter(done.left_out), "")
            raise _refusal(lead, holding.contractor if holding else None, reason)
        referral = Referral.objects.get(lead=lead, pk=done.picks[0].referral_id or 0)
        announce_assigned([referral.pk])
    return referral


def _refusal(lead: Lead, holder: Contractor | None, reason: str) -> AssignRefused:
    live = Referral.objects.live().filter(lead=lead).select_related("contractor").first()
    if live is not None:
        whose = f", to {live.contractor}" if live.contractor else ", for whoever takes its ZIP"
        return AlreadyReferred(
            f"This lead has a live referral: it is {live.status}{whose}. Cancel or release that one first."
        )
    if lead.suppressed_at is not None:
        return Suppressed(f"This lead is offered to nobody: {lead.suppressed_reason}. Lift that first.")
    if len(lead.zip) != 5:
        return NoHolder("This lead has no ZIP, so nobody can hold it. Give it an address with a ZIP.")
    if holder is None:
        return NoHolder(f"Nobody holds {lead.zip} now. Give the ZIP to a contractor first.")
    if reason == "holder_not_active":
        return NoHolder(f"{holder} holds {lead.zip} and is {holder.status}, so it takes no leads now.")
    if reason == "returned_before":
        return ReturnedBefore(
            f"{holder} gave this lead back, or it was taken back after its delivery. It goes only to a later holder of "
            f"{lead.zip}."
        )
    if reason == "score_not_wanted":
        return NotWanted(f"{holder} takes leads from {holder.min_score:,} points on, and this one has {lead.score:,}.")
    if reason == "tags_not_wanted":
        return NotWanted(f"{holder} does not take leads with these tags, or none of those it wants is on this lead.")
    if reason == "cap_reached":
        return CapReached(f"{holder} has had as many leads as its caps allow. Raise a cap, or wait for the next day.")
    return AssignRefused("Somebody changed this lead meanwhile. Load the page again.")


def replace_return(*, return_id: int, at: dt.datetime, by: User | None = None) -> Referral | None:
    """Give the contractor of an approved return the best other lead of its ZIPs, by the returned referral's profile.

    None when there is none now: the return stays owed, and the next runs pay it first. Call it in a transaction.
    """
    with transaction.atomic():
        lock_dealing()
        for owed in owed_returns(at=at, return_id=return_id):
            return pay(owed=owed, at=at, by=by)
    return None


def pay(*, owed: Owed, at: dt.datetime, by: User | None = None, job_id: int | None = None) -> Referral | None:
    """Make the referral that replaces a returned one, under the dealing lock; None when no lead fits."""
    write = write_for(
        at=at, job_id=job_id, by_id=by.pk if by else None, note="in place of a returned lead", is_run=False
    )
    rests = rests_of([owed.contractor_id], at)
    if rests.get(owed.contractor_id) == 0:
        return None  # not a look at all leads to learn that its caps are reached
    room = Room(rests=rests)
    pick = deal_one(owed=owed, at=at, room=room, write=write)
    if pick is None or pick.referral_id is None:
        return None
    referral = Referral.objects.get(pk=pick.referral_id)
    ReferralReturn.objects.filter(pk=owed.return_id).update(replacement=referral, is_replacement_owed=False)
    announce_assigned([referral.pk])
    return referral
