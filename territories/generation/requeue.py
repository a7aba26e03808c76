"""What becomes of leads whose referral was taken back before the contractor had them."""

import datetime as dt
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from accounts.models import User
from territories.sql.requeue import requeue


def requeue_referrals(ids: Sequence[int], at: dt.datetime, by: User | None = None, note: str = "") -> int:
    """Let the leads of these cancelled referrals wait for a holder again; how many do.

    Left out are leads that are suppressed by now, and those that another referral holds.
    """
    expires_at = at + dt.timedelta(days=settings.REFERRAL_HOLD_DAYS)
    with transaction.atomic():
        return requeue(ids=ids, at=at, expires_at=expires_at, by_id=by.pk if by else None, note=note)
