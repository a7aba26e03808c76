"""What the contractors' API says and reads: bodies, their description, and examples with invented people."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api import StrictSerializer, UtcDateTimeField
from territories.contractor_api.filters import STATUSES
from territories.models import Contractor, Referral, ReferralReturn, Territory
from territories.referrals.receipts import utc_text

MOMENTS = (
    "assigned_at",
    "expires_at",
    "delivered_at",
    "accepted_at",
    "contacted_at",
    "converted_at",
    "ended_at",
)
# What of a referral goes into its body.
COLUMNS = ("id", "status", "zip", "score", *MOMENTS, "price", "value", "receipt")


def referral_body(referral: Referral) -> dict[str, Any]:
    """A referral as its contractor may see it: the lead only once it was delivered.

    Written by hand: a page of them is asked for twice a second, and serializers take most of its time.
    """
    return {
        "id": referral.pk,
        "status": referral.status,
        "zip": referral.zip,
        "score": referral.score,
        **{name: utc_text(getattr(referral, name)) for name in MOMENTS},
        "price": _money(referral.price),
        "value": _money(referral.value),
        "receipt": referral.receipt if referral.delivered_at else None,
    }


def full_body(referral: Referral, wish: ReferralReturn | None) -> dict[str, Any]:
    """One referral with its newest return."""
    told = None
    if wish is not None:
        told = {
            "status": wish.status,
            "reason": wish.reason,
            "note": wish.note,
            "requested_at": utc_text(wish.requested_at),
            "decided_at": utc_text(wish.decided_at),
            "decision_note": wish.decision_note,
            "replacement_id": wish.replacement_id,
        }
    return referral_body(referral) | {"return": told}


def territory_body(territory: Territory, at: dt.datetime) -> dict[str, Any]:
    has_ended = territory.to_at is not None and territory.to_at <= at
    return {
        "zip": territory.zip,
        "from_at": utc_text(territory.from_at),
        "to_at": utc_text(territory.to_at),
        "is_held": territory.from_at <= at and not has_ended,
    }


SAYS = {
    Contractor.Status.ACTIVE: "New leads come as your territories, wishes and caps allow.",
    Contractor.Status.PAUSED: "Paused: no new leads come. What was delivered can be read and worked on as before.",
    Contractor.Status.ENDED: "Ended: no new leads come. What was delivered can be read and worked on as before.",
}


def me_body(contractor: Contractor, limits: Mapping[str, int]) -> dict[str, Any]:
    return {
        "id": contractor.pk,
        "company": contractor.company,
        "trade": contractor.trade,
        "status": contractor.status,
        "says": SAYS[Contractor.Status(contractor.status)],
        "is_sandbox": contractor.sandbox_of_id is not None,
        "time_zone": str(contractor.zone),
        "price": _money(contractor.price),
        "min_score": contractor.min_score,
        "return_window_days": contractor.return_window_days,
        "return_quota_percent": contractor.return_quota_percent,
        "requests_per_minute": dict(limits),
    }


def _money(amount: Any) -> str | None:
    return None if amount is None else f"{amount:.2f}"


# Descriptions ---------------------------------------------------------------------------------------------------------


def _one_of(values: Sequence[str]) -> str:
    """In words: as an enum, `status` would get a made-up name beside the other lists of states."""
    return f"One of {', '.join(values)}."


class ReceiptMailingSerializer(serializers.Serializer):
    """Where the owner gets mail."""

    address = serializers.CharField()
    unit = serializers.CharField()
    city = serializers.CharField()
    state = serializers.CharField()
    zip = serializers.CharField()
    raw = serializers.CharField(help_text="As the list wrote it.")


class ReceiptLeadSerializer(serializers.Serializer):
    """The property and its owner; text that is not known is empty."""

    id = serializers.IntegerField(allow_null=True, help_text="Name it when you ask about the lead; null: invented.")
    address = serializers.CharField()
    unit = serializers.CharField()
    city = serializers.CharField()
    state = serializers.CharField()
    zip = serializers.CharField()
    plus4 = serializers.CharField()
    county = serializers.CharField()
    parcel_number = serializers.CharField()
    owner_name = serializers.CharField()
    co_owner = serializers.CharField()
    mailing = ReceiptMailingSerializer()
    phone = serializers.CharField()
    email = serializers.CharField()


class ReceiptLineSerializer(serializers.Serializer):
    """One reason and the points it gave."""

    reason = serializers.CharField()
    group = serializers.CharField(help_text="Empty: in no group.")
    base_score = serializers.IntegerField()
    percent = serializers.IntegerField(help_text="How much of the base was left.")
    points = serializers.IntegerField()


class ReceiptCapLineSerializer(serializers.Serializer):
    """What the cap of a group took away."""

    group = serializers.CharField()
    cap = serializers.IntegerField()
    points = serializers.IntegerField(help_text="Negative.")


class ReceiptScoreSerializer(serializers.Serializer):
    """Points of all lines and cap lines add up to the total."""

    total = serializers.IntegerField(help_text="At the moment of delivery.")
    when_assigned = serializers.IntegerField()
    lines = ReceiptLineSerializer(many=True)
    cap_lines = ReceiptCapLineSerializer(many=True)


class ReceiptEvidenceSerializer(serializers.Serializer):
    """How old a reason was."""

    reason = serializers.CharField()
    assigned_at = UtcDateTimeField(help_text="From when the reason counts, as its list dates it.")
    age_days = serializers.IntegerField()
    expiration_at = UtcDateTimeField(allow_null=True, help_text="Null: never.")
    is_expired = serializers.BooleanField()
    last_listed_at = UtcDateTimeField(allow_null=True, help_text="When the newest list with it came; null: no list.")


class ReceiptSerializer(serializers.Serializer):
    """The lead as it was delivered; it stays as it is, whatever becomes of the lead."""

    composed_at = UtcDateTimeField()
    lead = ReceiptLeadSerializer()
    score = ReceiptScoreSerializer()
    evidence = ReceiptEvidenceSerializer(many=True)


class ContractorReferralSerializer(serializers.Serializer):
    """A lead that was offered to you."""

    id = serializers.IntegerField()
    status = serializers.CharField(help_text=_one_of(STATUSES))
    zip = serializers.CharField()
    score = serializers.IntegerField(help_text="When it was assigned.")
    assigned_at = UtcDateTimeField()
    expires_at = UtcDateTimeField(
        allow_null=True, help_text="If you have not read it by then, it goes back. Null: it stays."
    )
    delivered_at = UtcDateTimeField(allow_null=True)
    accepted_at = UtcDateTimeField(allow_null=True)
    contacted_at = UtcDateTimeField(allow_null=True)
    converted_at = UtcDateTimeField(allow_null=True)
    ended_at = UtcDateTimeField(allow_null=True, help_text="When it was returned, cancelled or had expired.")
    price = serializers.DecimalField(
        max_digits=10, decimal_places=2, allow_null=True, help_text="Dollars; one returned or taken back costs nothing."
    )
    value = serializers.DecimalField(max_digits=12, decimal_places=2, allow_null=True, help_text="Dollars; from you.")
    receipt = ReceiptSerializer(allow_null=True, help_text="Null until the lead is delivered.")


class ContractorReturnSerializer(serializers.Serializer):
    """Your wish to give the lead back."""

    status = serializers.CharField(help_text=_one_of(ReferralReturn.Status.values))
    reason = serializers.CharField(help_text=_one_of(ReferralReturn.Reason.values))
    note = serializers.CharField()
    requested_at = UtcDateTimeField()
    decided_at = UtcDateTimeField(allow_null=True)
    decision_note = serializers.CharField()
    replacement_id = serializers.IntegerField(
        allow_null=True, help_text="The referral that replaces this one; null: none, or none yet."
    )


class ContractorReferralFullSerializer(ContractorReferralSerializer):
    """One referral, with what became of returning it."""

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "return": ContractorReturnSerializer(allow_null=True)}


class ContractorTerritorySerializer(serializers.Serializer):
    """A ZIP whose leads are yours alone for a time."""

    zip = serializers.CharField()
    from_at = UtcDateTimeField()
    to_at = UtcDateTimeField(allow_null=True, help_text="Null: no end is set.")
    is_held = serializers.BooleanField(help_text="False: it begins later.")


class CapSerializer(serializers.Serializer):
    used = serializers.IntegerField()
    cap = serializers.IntegerField(allow_null=True, help_text="Null: no cap.")
    remaining = serializers.IntegerField(allow_null=True)


class ContractorUsageSerializer(serializers.Serializer):
    """Leads you took against your caps; the lowest that is reached stops. Approved returns do not count."""

    at = UtcDateTimeField()
    time_zone = serializers.CharField(help_text="Where your day and month begin.")
    today = CapSerializer()
    month = CapSerializer()
    total = CapSerializer()
    remaining = serializers.IntegerField(allow_null=True, help_text="How many may still come now; null: no cap.")


class RequestLimitsSerializer(serializers.Serializer):
    reads = serializers.IntegerField()
    writes = serializers.IntegerField()


class ContractorMeSerializer(serializers.Serializer):
    """Who you are here."""

    id = serializers.IntegerField()
    company = serializers.CharField()
    trade = serializers.CharField()
    status = serializers.CharField(help_text=_one_of(Contractor.Status.values))
    says = serializers.CharField(help_text="What the status means, in words.")
    is_sandbox = serializers.BooleanField(help_text="True: everything you see is invented.")
    time_zone = serializers.CharField()
    price = serializers.DecimalField(max_digits=10, decimal_places=2, help_text="Dollars a lead.")
    min_score = serializers.IntegerField(allow_null=True)
    return_window_days = serializers.IntegerField(help_text="Days after delivery in which a lead may be returned.")
    return_quota_percent = serializers.IntegerField(
        help_text="Most returns of the leads delivered in 30 days, at least one; 0 allows none."
    )
    requests_per_minute = RequestLimitsSerializer()


class SandboxResetSerializer(serializers.Serializer):
    referrals = serializers.IntegerField(help_text="How many there are now; their ids are new.")


DOLLARS = r"[0-9]{1,10}(\.[0-9]{1,2})?"


@extend_schema_field({"type": "string", "pattern": f"^{DOLLARS}$"})
class DollarsField(serializers.Field):
    """An amount as text, or as a number of JSON; Decimal alone would read 1_000 and the digits of every script."""

    default_error_messages = {
        "invalid": 'Write dollars and cents as "18500.00": up to ten digits, no sign and no commas, then two at most.'
    }

    def to_internal_value(self, data: Any) -> Decimal:
        text = str(data).strip() if isinstance(data, str | int | float) and not isinstance(data, bool) else ""
        if not re.fullmatch(DOLLARS, text):
            self.fail("invalid")
        return Decimal(text)


class ConvertSerializer(StrictSerializer):
    """What the lead became worth."""

    value = DollarsField(help_text="Dollars, 0 or more; a number of JSON is taken, too.")


class ReturnSerializer(StrictSerializer):
    """Why the lead is given back."""

    reason = serializers.ChoiceField(
        choices=ReferralReturn.Reason.choices, error_messages={"invalid_choice": _one_of(ReferralReturn.Reason.values)}
    )
    note = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=2000, help_text="In your words; helps who decides."
    )


# Examples -------------------------------------------------------------------------------------------------------------

ASSIGNED_EXAMPLE: dict[str, Any] = {
    "id": 815,
    "status": "assigned",
    "zip": "07030",
    "score": 1300,
    "assigned_at": "2026-06-15T12:00:00Z",
    "expires_at": "2026-06-22T12:00:00Z",
    "delivered_at": None,
    "accepted_at": None,
    "contacted_at": None,
    "converted_at": None,
    "ended_at": None,
    "price": "25.00",
    "value": None,
    "receipt": None,
}
RECEIPT_EXAMPLE: dict[str, Any] = {
    "composed_at": "2026-06-15T13:00:00Z",
    "lead": {
        "id": 4711,
        "address": "123 N MAIN ST",
        "unit": "APT 4",
        "city": "HOBOKEN",
        "state": "NJ",
        "zip": "07030",
        "plus4": "1234",
        "county": "HUDSON",
        "parcel_number": "1201502",
        "owner_name": "ELM STREET HOLDINGS LLC",
        "co_owner": "",
        "mailing": {
            "address": "PO BOX 12",
            "unit": "",
            "city": "NEWARK",
            "state": "NJ",
            "zip": "07102",
            "raw": "P.O. Box 12, Newark NJ 07102",
        },
        "phone": "2015550123",
        "email": "",
    },
    "score": {
        "total": 1300,
        "when_assigned": 1300,
        "lines": [
            {"reason": "Foreclosure", "group": "", "base_score": 1000, "percent": 100, "points": 1000},
            {"reason": "Vacant", "group": "", "base_score": 400, "percent": 75, "points": 300},
        ],
        "cap_lines": [],
    },
    "evidence": [
        {
            "reason": "Foreclosure",
            "assigned_at": "2026-06-01T00:00:00Z",
            "age_days": 14,
            "expiration_at": "2027-06-01T00:00:00Z",
            "is_expired": False,
            "last_listed_at": "2026-06-03T09:12:44Z",
        },
        {
            "reason": "Vacant",
            "assigned_at": "2026-03-01T00:00:00Z",
            "age_days": 106,
            "expiration_at": None,
            "is_expired": False,
            "last_listed_at": "2026-06-03T09:12:44Z",
        },
    ],
}
DELIVERED_EXAMPLE: dict[str, Any] = ASSIGNED_EXAMPLE | {
    "status": "delivered",
    "expires_at": None,
    "delivered_at": "2026-06-15T13:00:00Z",
    "receipt": RECEIPT_EXAMPLE,
    "return": None,
}
ACCEPTED_EXAMPLE = DELIVERED_EXAMPLE | {"accepted_at": "2026-06-15T13:05:00Z"}
CONTACTED_EXAMPLE = ACCEPTED_EXAMPLE | {"contacted_at": "2026-06-16T09:30:00Z"}
CONVERTED_EXAMPLE = CONTACTED_EXAMPLE | {
    "status": "converted",
    "converted_at": "2026-07-02T15:00:00Z",
    "value": "18500.00",
}
RETURNED_EXAMPLE = ACCEPTED_EXAMPLE | {
    "return": {
        "status": "pending",
        "reason": "unreachable",
        "note": "Both numbers are dead.",
        "requested_at": "2026-06-17T10:00:00Z",
        "decided_at": None,
        "decision_note": "",
        "replacement_id": None,
    },
}
TERRITORY_EXAMPLE = {"zip": "07030", "from_at": "2026-01-01T05:00:00Z", "to_at": None, "is_held": True}
USAGE_EXAMPLE = {
    "at": "2026-06-15T12:00:00Z",
    "time_zone": "America/New_York",
    "today": {"used": 3, "cap": 10, "remaining": 7},
    "month": {"used": 41, "cap": 200, "remaining": 159},
    "total": {"used": 380, "cap": None, "remaining": None},
    "remaining": 7,
}
ME_EXAMPLE = {
    "id": 12,
    "company": "Alder Roofing",
    "trade": "Roofing",
    "status": "active",
    "says": SAYS[Contractor.Status.ACTIVE],
    "is_sandbox": False,
    "time_zone": "America/New_York",
    "price": "25.00",
    "min_score": 800,
    "return_window_days": 14,
    "return_quota_percent": 20,
    "requests_per_minute": {"reads": 600, "writes": 120},
}
