"""The sandbox of a contractor: a double of it with invented referrals, on which its programmers may try everything."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from territories.models import Contractor, Referral, ReferralEvent, ReferralReturn
from territories.referrals.receipts import Receipt, utc_text

Status, Reason = Referral.Status, ReferralReturn.Reason
DAILY_CAP, MONTHLY_CAP = 25, 200
PRICE = 25
RETURN_WINDOW_DAYS = 14
READ_WITHIN = dt.timedelta(days=7)
FOLLOWED = ("company", "trade", "time_zone")  # what a double has of its contractor, as it is now


@dataclass(frozen=True, slots=True)
class _Invented:
    """One referral of the sandbox: where it stands, how many days ago it was assigned, and whose house it is."""

    status: str
    days: int
    street: str
    zip: str
    owner: str
    reasons: tuple[tuple[str, int, int], ...]  # reason, base points, percent left
    steps: tuple[str, ...] = ()
    wish: str = ""


# No post office has these ZIPs, and no telephone 555-01xx.
ZIPS = ("00101", "00102", "00103")
INVENTED = (
    _Invented(Status.ASSIGNED, 0, "12 LARKSPUR LN", ZIPS[0], "ODA MERRIWEATHER", (("Foreclosure", 1000, 100),)),
    _Invented(Status.ASSIGNED, 1, "48 QUARRY RD", ZIPS[1], "TOBIAS FENN", (("Probate", 800, 90), ("Vacant", 300, 100))),
    _Invented(Status.ASSIGNED, 2, "7 OLD MILL CT", ZIPS[2], "MARLOWE HOLDINGS LLC", (("Code Violation", 450, 100),)),
    _Invented(
        Status.DELIVERED, 3, "230 WILLOW ST", ZIPS[0], "IDA QUILL", (("Tax Delinquent", 700, 80), ("Vacant", 300, 100))
    ),
    _Invented(
        Status.DELIVERED, 4, "91 FERN HOLLOW RD", ZIPS[1], "AMOS BIRDSALL", (("Foreclosure", 1000, 90),), ("accepted",)
    ),
    _Invented(
        Status.DELIVERED,
        6,
        "5 CHAPEL ST",
        ZIPS[2],
        "LENORA PIKE",
        (("Divorce", 500, 100), ("Tax Delinquent", 700, 70)),
        ("accepted", "contacted"),
    ),
    _Invented(Status.DELIVERED, 45, "316 GRANITE AVE", ZIPS[0], "SILAS ORCHARD", (("Probate", 800, 60),)),
    _Invented(Status.DELIVERED, 5, "77 BELL TOWER RD", ZIPS[1], "HEDDA VANCE", (("Vacant", 300, 100),), wish="pending"),
    _Invented(
        Status.CONVERTED,
        30,
        "140 ORCHARD HILL RD",
        ZIPS[1],
        "PERCIVAL STROUD",
        (("Foreclosure", 1000, 70), ("Code Violation", 450, 100)),
        ("accepted", "contacted"),
    ),
    _Invented(Status.RETURNED, 20, "9 HARBOR VIEW", ZIPS[2], "CORA LINDQUIST", (("Vacant", 300, 90),), wish="approved"),
    _Invented(Status.EXPIRED, 12, "63 TANNERY ROW", ZIPS[0], "JUNO ABERNATHY", (("Tax Delinquent", 700, 100),)),
    _Invented(Status.CANCELLED, 9, "28 SPINNER ST", ZIPS[2], "EZRA HOLLOWAY", (("Divorce", 500, 90),)),
)
_DELIVERED = {Status.DELIVERED, Status.CONVERTED, Status.RETURNED}


def open_sandbox(*, contractor: Contractor, at: dt.datetime) -> Contractor:
    """The double of a contractor, made with its referrals when it is first asked for; called with each request."""
    double = Contractor.objects.filter(sandbox_of=contractor).first()
    if double is not None:
        _follow(double, contractor)
        return double
    with transaction.atomic():
        Contractor.objects.select_for_update(no_key=True).get(pk=contractor.pk)  # of two first ones, one makes it
        double, is_new = Contractor.objects.get_or_create(
            sandbox_of=contractor,
            defaults={
                **{name: getattr(contractor, name) for name in FOLLOWED},
                "daily_cap": DAILY_CAP,
                "monthly_cap": MONTHLY_CAP,
                "price": PRICE,
                "return_window_days": RETURN_WINDOW_DAYS,
                "return_quota_percent": 100,
                # "other" waits for a person, who does not come: that state is there to be seen, too.
                "auto_return_reasons": [reason for reason in Reason.values if reason != Reason.OTHER],
                "created_at": at,
            },
        )
        if is_new:
            _fill(double, at)
    return double


def _follow(double: Contractor, contractor: Contractor) -> None:
    changed = [name for name in FOLLOWED if getattr(double, name) != getattr(contractor, name)]
    for name in changed:
        setattr(double, name, getattr(contractor, name))
    if changed:
        double.save(update_fields=changed)


def invented_zips(double: Contractor) -> QuerySet[Referral]:
    """A referral of each ZIP of a sandbox, whose territories have no rows: those would take the ZIP from others."""
    first = Referral.objects.filter(contractor=double, is_sandbox=True).order_by("zip", "pk").distinct("zip")
    return Referral.objects.filter(pk__in=first.values("pk"))


def reset_sandbox(*, double: Contractor, at: dt.datetime) -> int:
    """Take away what was done in a sandbox and make its referrals anew; how many there are. Their ids are new."""
    assert double.sandbox_of_id is not None
    with transaction.atomic():
        Contractor.objects.select_for_update(no_key=True).get(pk=double.pk)
        Referral.objects.filter(contractor=double, is_sandbox=True).delete()
        return _fill(double, at)


def _fill(double: Contractor, at: dt.datetime) -> int:
    referrals = Referral.objects.bulk_create(
        [_referral(one, number, double, at) for number, one in enumerate(INVENTED)]
    )
    events: list[ReferralEvent] = []
    wishes: list[ReferralReturn] = []
    for referral, one in zip(referrals, INVENTED, strict=True):
        former = ""
        for what, moment in _way(referral, one):
            events.append(ReferralEvent(referral=referral, at=moment, what=what, from_status=former, note="sandbox"))
            former = what if what in Status.values else former
        if one.wish:
            is_decided = one.wish == ReferralReturn.Status.APPROVED
            wishes.append(
                ReferralReturn(
                    referral=referral,
                    reason=Reason.UNREACHABLE if is_decided else Reason.OTHER,
                    note="Nobody lives there." if not is_decided else "",
                    status=one.wish,
                    is_automatic=is_decided,
                    requested_at=referral.ended_at or at,
                    decided_at=referral.ended_at if is_decided else None,
                )
            )
    ReferralEvent.objects.bulk_create(events)
    ReferralReturn.objects.bulk_create(wishes)
    return len(referrals)


def _referral(one: _Invented, number: int, double: Contractor, at: dt.datetime) -> Referral:
    assigned_at = at - dt.timedelta(days=one.days, minutes=number)
    hour = dt.timedelta(hours=1)
    is_delivered = one.status in _DELIVERED
    receipt = _receipt(one, number, assigned_at)
    return Referral(
        lead=None,
        is_sandbox=True,
        zip=one.zip,
        score=receipt["score"]["total"],
        status=one.status,
        contractor=double,
        price=PRICE,
        value=18_500 if one.status == Status.CONVERTED else None,
        generated_at=assigned_at,
        assigned_at=assigned_at,
        delivered_at=assigned_at + hour if is_delivered else None,
        accepted_at=assigned_at + 2 * hour if "accepted" in one.steps else None,
        contacted_at=assigned_at + 20 * hour if "contacted" in one.steps else None,
        converted_at=assigned_at + dt.timedelta(days=8) if one.status == Status.CONVERTED else None,
        ended_at=assigned_at + READ_WITHIN
        if one.status in {Status.RETURNED, Status.EXPIRED, Status.CANCELLED}
        else None,
        # Unread ones expire as real ones do; a reset brings them back.
        expires_at=assigned_at + READ_WITHIN if one.status == Status.ASSIGNED else None,
        receipt=receipt,
    )


def _way(referral: Referral, one: _Invented) -> list[tuple[str, dt.datetime]]:
    """What happened to it and when, in order."""
    moments = [
        (Status.GENERATED.value, referral.generated_at),
        (Status.ASSIGNED.value, referral.assigned_at),
        (Status.DELIVERED.value, referral.delivered_at),
        ("accepted", referral.accepted_at),
        ("contacted", referral.contacted_at),
        (Status.CONVERTED.value, referral.converted_at),
        (one.status, referral.ended_at),
    ]
    return [(what, moment) for what, moment in moments if moment is not None]


def _receipt(one: _Invented, number: int, at: dt.datetime) -> Receipt:
    lines: list[dict[str, Any]] = [
        {"reason": reason, "group": "", "base_score": base, "percent": percent, "points": base * percent // 100}
        for reason, base, percent in one.reasons
    ]
    total = sum(line["points"] for line in lines)
    age = dt.timedelta(days=10 + 3 * number)
    return {
        "composed_at": utc_text(at),
        "lead": {
            "id": None,
            "address": one.street,
            "unit": "",
            "city": "ALDER FALLS",
            "state": "NJ",
            "zip": one.zip,
            "plus4": "",
            "county": "ALDER",
            "parcel_number": f"9{number:03}0{number % 7}",
            "owner_name": one.owner,
            "co_owner": "",
            "mailing": {
                "address": one.street,
                "unit": "",
                "city": "ALDER FALLS",
                "state": "NJ",
                "zip": one.zip,
                "raw": "",
            },
            "phone": f"201555{100 + number:04}",
            "email": f"owner{number + 1}@example.com",
        },
        "score": {"total": total, "when_assigned": total, "lines": lines, "cap_lines": []},
        "evidence": [
            {
                "reason": line["reason"],
                "assigned_at": utc_text(at - age),
                "age_days": age.days,
                "expiration_at": utc_text(at - age + dt.timedelta(days=365)),
                "is_expired": False,
                "last_listed_at": utc_text(at - age),
            }
            for line in lines
        ],
    }
