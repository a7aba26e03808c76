"""The receipt of a referral: the lead, its explained score and its evidence, frozen when it is delivered."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from accounts.models import User
from leads.models import Lead
from scoring.queries import Lines, explain_many
from territories.models import Referral
from territories.referrals.lifecycle import move_referrals
from territories.sql.evidence import last_listed

Receipt = dict[str, Any]


def compose_receipts(*, ids: Sequence[int], at: dt.datetime) -> Mapping[int, Receipt]:
    """What each referral's lead is at `at`: {referral id: receipt}; one that has a receipt keeps it.

    Three reads, however many referrals. The points of `score` add up to its total; moments are ISO 8601 in UTC.
    """
    referrals = list(Referral.objects.filter(pk__in=list(ids)).select_related("lead"))
    leads = {referral.lead.pk: referral.lead for referral in referrals if not referral.receipt and referral.lead}
    explained = explain_many(lead_ids=sorted(leads), at=at) if leads else {}
    listed = last_listed(lead_ids=sorted(leads), at=at) if leads else {}
    receipts: dict[int, Receipt] = {}
    for referral in referrals:
        if referral.receipt:
            receipts[referral.pk] = referral.receipt
        elif referral.lead:
            receipts[referral.pk] = _receipt(referral, referral.lead, explained[referral.lead.pk], listed, at)
    return receipts


def deliver(*, ids: Sequence[int], at: dt.datetime, by: User | None = None, note: str = "") -> list[int]:
    """Note that the contractor has the full lead now: assigned ones become delivered, with their receipt frozen.

    The ids that moved. Those that were delivered before stay as they are.
    """
    with transaction.atomic():
        moved = move_referrals(ids=ids, to=Referral.Status.DELIVERED, at=at, by=by, note=note)
        receipts = compose_receipts(ids=moved, at=at)
        fresh = list(Referral.objects.filter(pk__in=moved, receipt__isnull=True).only("pk"))
        for referral in fresh:
            referral.receipt = receipts[referral.pk]
        if fresh:
            Referral.objects.bulk_update(fresh, ["receipt"])
    return moved


def _receipt(
    referral: Referral, lead: Lead, lines: Lines, listed: Mapping[tuple[int, int], dt.datetime], at: dt.datetime
) -> Receipt:
    counted = [line for line in lines.lines if line.is_counted]  # the others give no points
    return {
        "composed_at": utc_text(at),
        "lead": {
            "id": lead.pk,
            "address": lead.address,
            "unit": lead.unit,
            "city": lead.city,
            "state": lead.state,
            "zip": lead.zip,
            "plus4": lead.plus4,
            "county": lead.county,
            "parcel_number": lead.parcel_number,
            "owner_name": lead.owner_name,
            "co_owner": lead.co_owner,
            "mailing": {
                "address": lead.mailing_address,
                "unit": lead.mailing_unit,
                "city": lead.mailing_city,
                "state": lead.mailing_state,
                "zip": lead.mailing_zip,
                "raw": lead.raw_mailing,
            },
            "phone": lead.phone,
            "email": lead.email,
        },
        "score": {
            "total": lines.total,
            "when_assigned": referral.score,
            "lines": [
                {
                    "reason": line.tag,
                    "group": line.group,
                    "base_score": line.base_score,
                    "percent": line.percent,
                    "points": line.points,
                }
                for line in counted
            ],
            "cap_lines": [{"group": line.group, "cap": line.cap, "points": line.points} for line in lines.cap_lines],
        },
        "evidence": [
            {
                "reason": line.tag,
                "assigned_at": utc_text(line.assigned_at),
                "age_days": line.age_days,
                "expiration_at": utc_text(line.expiration_at),
                "is_expired": line.is_expired,
                "last_listed_at": utc_text(listed.get((lead.pk, line.tag_id))),
            }
            for line in counted
        ],
    }


def utc_text(moment: dt.datetime | None) -> str | None:
    """A moment as receipts and the API write it: ISO 8601, in UTC."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z") if moment else None
