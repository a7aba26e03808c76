"""The receipt: what it holds, that it adds up, and that it stays as it was."""

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from imports.models import ImportBatch, ImportRow
from leads.models import Lead
from tags.models import LeadTag, Tag, TagGroup
from territories.models import Referral
from territories.referrals.receipts import compose_receipts, deliver
from tests.conftest import NOW
from tests.factories import import_rows, make_scored_lead, make_tag
from tests.territories.factories import make_contractor, make_referral

pytestmark = pytest.mark.django_db


def assigned(lead: Lead, **fields) -> Referral:
    return make_referral(status="assigned", lead=lead, score=lead.score, **fields)


def test_it_holds_the_lead_the_points_and_how_old_each_reason_is() -> None:
    foreclosure = make_tag(name="Foreclosed", base_score=1000, expiration_days=365, decay_steps=[[10, 70]])
    lead = make_scored_lead(
        tags=[foreclosure],
        owner_name="IDA QUILL",
        phone="2015550123",
        email="ida@example.com",
        parcel_number="12015",
        mailing_address="PO BOX 12",
        mailing_city="NEWARK",
        mailing_state="NJ",
        mailing_zip="07102",
    )
    referral = assigned(lead)
    receipt = compose_receipts(ids=[referral.pk], at=NOW + dt.timedelta(days=12))[referral.pk]
    told = receipt["lead"]
    assert (told["id"], told["address"], told["zip"]) == (lead.pk, lead.address, "07030")
    assert (told["owner_name"], told["phone"], told["email"]) == ("IDA QUILL", "2015550123", "ida@example.com")
    assert told["mailing"] == {
        "address": "PO BOX 12",
        "unit": "",
        "city": "NEWARK",
        "state": "NJ",
        "zip": "07102",
        "raw": "",
    }
    assert receipt["score"] == {
        "total": 700,
        "when_assigned": 1000,
        "lines": [{"reason": "Foreclosed", "group": "", "base_score": 1000, "percent": 70, "points": 700}],
        "cap_lines": [],
    }
    assert receipt["evidence"] == [
        {
            "reason": "Foreclosed",
            "assigned_at": "2026-06-15T12:00:00Z",
            "age_days": 12,
            "expiration_at": "2027-06-15T12:00:00Z",
            "is_expired": False,
            "last_listed_at": None,
        }
    ]
    assert receipt["composed_at"] == "2026-06-27T12:00:00Z"


def test_lines_and_caps_add_up_to_the_total_to_the_point() -> None:
    group = TagGroup.objects.create(name="Money", cap=500)
    tags = [
        make_tag(base_score=333, group=group, decay_steps=[[1, 55]]),
        make_tag(base_score=401, group=group),
        make_tag(base_score=-77),
        make_tag(base_score=205, expiration_days=1, expired_percent=33),
    ]
    leads = [make_scored_lead(tags=tags[: number + 1]) for number in range(4)]
    referrals = [assigned(lead) for lead in leads]
    for days in (0, 1, 5):
        at = NOW + dt.timedelta(days=days)
        receipts = compose_receipts(ids=[referral.pk for referral in referrals], at=at)
        for referral in referrals:
            score = receipts[referral.pk]["score"]
            assert sum(line["points"] for line in score["lines"] + score["cap_lines"]) == score["total"]
    assert receipts[referrals[3].pk]["score"]["cap_lines"] == [{"group": "Money", "cap": 500, "points": -84}]
    assert [receipts[referral.pk]["score"]["total"] for referral in referrals] == [183, 500, 423, 491]


def test_reasons_that_give_no_points_because_they_are_archived_stay_inside() -> None:
    archived = make_tag(name="Internal")
    lead = make_scored_lead(tags=[archived, make_tag(name="Vacated")])
    Tag.objects.filter(pk=archived.pk).update(is_archived=True)
    referral = assigned(lead)
    receipt = compose_receipts(ids=[referral.pk], at=NOW)[referral.pk]
    assert [line["reason"] for line in receipt["score"]["lines"]] == ["Vacated"]
    assert [line["reason"] for line in receipt["evidence"]] == ["Vacated"]


def test_it_says_when_the_newest_list_with_a_reason_came() -> None:
    row = "Address,City,State,Zip,Tags\n9 Elm St,Hoboken,NJ,07030,{}\n"
    import_rows(row.format("Vacant"), at=NOW - dt.timedelta(days=9))
    import_rows(row.format("Vacant; Probate"), at=NOW - dt.timedelta(days=4))
    import_rows(row.format("Probate"), at=NOW - dt.timedelta(days=2))
    lead = Lead.objects.get()
    referral = assigned(lead)
    receipt = compose_receipts(ids=[referral.pk], at=NOW)[referral.pk]
    listed = {line["reason"]: line["last_listed_at"] for line in receipt["evidence"]}
    assert listed == {"Vacant": "2026-06-11T12:00:00Z", "Probate": "2026-06-13T12:00:00Z"}


def test_a_rejected_row_is_no_evidence() -> None:
    rows = "Address,City,State,Zip,Tags\n9 Elm St,Hoboken,NJ,07030,Vacant\n"
    import_rows(rows, at=NOW - dt.timedelta(days=9))
    import_rows(rows, at=NOW - dt.timedelta(days=4))
    ImportRow.objects.filter(batch=ImportBatch.objects.latest("pk")).update(outcome="rejected", reason="no address")
    referral = assigned(Lead.objects.get())
    receipt = compose_receipts(ids=[referral.pk], at=NOW)[referral.pk]
    assert [line["last_listed_at"] for line in receipt["evidence"]] == ["2026-06-06T12:00:00Z"]


def test_what_was_delivered_stays_though_the_lead_changes() -> None:
    tag = make_tag(name="Vacated")
    lead = make_scored_lead(tags=[tag], owner_name="IDA QUILL")
    referral = assigned(lead)
    assert deliver(ids=[referral.pk], at=NOW, note="read over the API") == [referral.pk]
    referral.refresh_from_db()
    before = referral.receipt
    assert before is not None
    assert before["lead"]["owner_name"] == "IDA QUILL"
    assert (referral.status, referral.delivered_at) == ("delivered", NOW)
    Lead.objects.filter(pk=lead.pk).update(owner_name="SOMEBODY ELSE")
    LeadTag.objects.update(removed_at=NOW)
    later = NOW + dt.timedelta(days=3)
    assert deliver(ids=[referral.pk], at=later) == []
    referral.refresh_from_db()
    assert referral.receipt == before == compose_receipts(ids=[referral.pk], at=later)[referral.pk]
    assert referral.delivered_at == NOW


def test_a_receipt_that_a_webhook_has_sent_is_the_one_that_is_kept() -> None:
    referral = assigned(make_scored_lead(tags=[make_tag()]), receipt={"lead": {"owner_name": "AS SENT"}})
    deliver(ids=[referral.pk], at=NOW)
    referral.refresh_from_db()
    assert referral.receipt == {"lead": {"owner_name": "AS SENT"}}


def test_only_assigned_ones_are_delivered() -> None:
    contractor = make_contractor()
    made = {
        status: make_referral(status=status, contractor=None if status == "generated" else contractor, receipt=None)
        for status in ("generated", "assigned", "cancelled", "expired")
    }
    moved = deliver(ids=[referral.pk for referral in made.values()], at=NOW)
    assert moved == [made["assigned"].pk]
    assert set(Referral.objects.filter(receipt__isnull=False).values_list("pk", flat=True)) == set(moved)


def test_many_cost_as_many_queries_as_one() -> None:
    tag, contractor = make_tag(), make_contractor()
    counts = []
    for number in (1, 20):
        ids = [assigned(make_scored_lead(tags=[tag]), contractor=contractor).pk for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            deliver(ids=ids, at=NOW)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10
