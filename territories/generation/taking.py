"""What happens when a ZIP gets a holder: the leads that waited in it are looked at again, and assigned."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.models import User
from territories.generation import registry
from territories.generation.dealing import rests_of
from territories.models import Contractor, GenerationProfile, Referral, Territory
from territories.referrals.announce import announce_assigned
from territories.sql import generation as statements
from territories.sql.locks import lock_dealing

# What the events say.
WORDS = {
    "assigned": "the ZIP is taken",
    "suppressed": "the ZIP is taken, and the lead is suppressed",
    "score_fell": "the ZIP is taken, and the lead's score is below the profile's by now",
    "moved": "the ZIP is taken, and the lead has another ZIP by now",
    "tags_changed": "the ZIP is taken, and the lead's tags no longer meet the profile",
    "reasons_too_old": "the ZIP is taken, and the lead's reasons are too old for the profile by now",
    "criteria_changed": "the ZIP is taken, and the lead no longer meets the profile",
    "returned_before": "the ZIP is taken by a contractor to whom the lead cannot go after it was given back",
    "score_not_wanted": "the ZIP is taken, and the lead's score is below what the contractor takes",
    "tags_not_wanted": "the ZIP is taken, and the contractor does not take leads with these tags",
    "cap_reached": "the ZIP is taken, and better leads fill the contractor's caps",
}


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Referrals that waited: assigned to the holder, and expired because they no longer fit."""

    assigned: int = 0
    expired: int = 0


def take_up_zips(*, zips: Sequence[str], at: dt.datetime, by: User | None = None) -> TakenUp:
    """Assign what waits in ZIPs that somebody holds at `at`: by today's score, tags, wishes and caps, best first.

    The others expire; where the holder is not active they go on waiting. Call it in the transaction that changed the
    holder, or in one of its own; it takes the dealing lock.
    """
    if not zips:
        return TakenUp()
    with transaction.atomic():
        lock_dealing()
        holders = Territory.objects.held(at).filter(zip__in=zips).values_list("contractor_id", flat=True)
        profiles = GenerationProfile.objects.filter(
            Exists(Referral.objects.filter(status=Referral.Status.GENERATED, zip__in=zips, profile=OuterRef("pk")))
        ).exclude(criteria={})
        moved = statements.take_up(
            zips=zips,
            at=at,
            assigned_until=at + dt.timedelta(days=settings.REFERRAL_ASSIGNED_DAYS),
            rests=rests_of(set(holders), at),
            # A criterion that is no longer registered cannot be asked; the others can.
            values_by_profile={
                profile.pk: {key: value for key, value in profile.criteria.items() if key in registry.criteria}
                for profile in profiles
            },
            words=WORDS,
            by_id=by.pk if by else None,
        )
        assigned = [referral_id for referral_id, status in moved if status == Referral.Status.ASSIGNED]
        announce_assigned(assigned)
    return TakenUp(assigned=len(assigned), expired=len(moved) - len(assigned))


def sweep_waiting(*, at: dt.datetime) -> TakenUp:
    """Take up what waits in ZIPs that somebody took while it was being made. Index: referral_waiting."""
    holds = Territory.objects.held(at).filter(
        zip=OuterRef("zip"), wound_up_at=None, contractor__status=Contractor.Status.ACTIVE
    )
    waiting = Referral.objects.real().filter(Exists(holds), status=Referral.Status.GENERATED)
    return take_up_zips(zips=sorted(set(waiting.values_list("zip", flat=True))), at=at)
