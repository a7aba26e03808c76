"""What expires soon: the banner and its links, the daily check, and the mail to who wants it."""

import datetime as dt
import logging
import re
import smtplib
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from accounts.models import User
from jobs.models import Job
from jobs.operations import cancel_job, retry_job, run_job
from leads.models import Lead
from tags import notices
from tags.models import LeadTag, RuleChange, Tag
from tags.notices import count_expiring, start_check, top_losses
from tags.operations import publish_rule_change, remove_tag
from tests.api import api_client, problem
from tests.conftest import NOW
from tests.factories import assign, make_lead, make_scored_lead, make_tag
from tests.tags.test_rule_pages import typed

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
DAY, HOUR, INSTANT = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(microseconds=1)
DUE = dt.datetime(2026, 6, 15, 11, tzinfo=dt.UTC)  # 7:00 in New York; NOW is an hour later


def expiring(tag: Tag, left: dt.timedelta, *, at: dt.datetime | None = None, lead: Lead | None = None) -> LeadTag:
    """An assignment that ends `left` after `at` (this moment, if not said)."""
    at = at or timezone.now()
    return assign(lead or make_lead(), tag, at - 400 * DAY, expiration_at=at + left)


def shown(response: Any) -> list[str]:
    return re.findall(r'<span class="line">([^<]*)</span>', response.content.decode())


def links(response: Any) -> dict[str, str]:
    """The banner's links: what they say -> where they lead."""
    found = re.search(r'<aside class="note warn expiring".*?</aside>', response.content.decode(), re.DOTALL)
    pairs = re.findall(r'<a href="([^"]+)">(.*?)</a>', found[0] if found else "")
    return {re.sub(r"<[^>]+>", "", text).replace("&nbsp;", " "): url.replace("&amp;", "&") for url, text in pairs}


# The banner and the list behind it ------------------------------------------------------------------------------------


def test_the_banner_counts_by_tag_and_each_link_leads_to_exactly_those_leads(viewer_client, viewer):
    flood, ghost, other = make_tag(name="Flooded"), make_tag(name="Haunted"), make_tag(name="Fine")
    ends = [expiring(flood, left) for left in (HOUR, 10 * DAY, 29 * DAY)]
    expiring(ghost, 5 * DAY, lead=ends[0].lead)
    expiring(flood, 31 * DAY)  # later
    expiring(flood, -HOUR)  # over, not flagged yet
    gone = expiring(flood, DAY)
    remove_tag(lead_id=gone.lead_id, tag=flood, at=timezone.now())
    LeadTag.objects.filter(pk=expiring(flood, DAY).pk).update(is_expired=True)
    expiring(make_tag(name="Old", is_archived=True), DAY)
    assign(make_lead(), other)  # never ends
    page = viewer_client.get("/leads/")
    assert "Expiring in the next 30 days:" in page.content.decode()
    found = links(page)
    assert list(found) == ["Flooded 3", "Haunted 1", "See all of them"]
    assert found["Flooded 3"] == f"/leads/?expiring={flood.pk}"
    listed = viewer_client.get(found["Flooded 3"])
    assert sorted(shown(listed)) == sorted(end.lead.address for end in ends)
    assert "Expiring soon: <strong>Flooded</strong>" in listed.content.decode()
    assert shown(viewer_client.get(found["Haunted 1"])) == [ends[0].lead.address]
    assert len(shown(viewer_client.get(found["See all of them"]))) == 3
    body = api_client(viewer).get(f"/api/leads?expiring={flood.pk}&expiring={ghost.pk}").json()
    assert {lead["id"] for lead in body["results"]} == {end.lead_id for end in ends}


def test_the_window_is_open_at_its_begin_and_closed_at_its_end():
    tag = make_tag(notice_days=7)
    for left in (dt.timedelta(0), INSTANT, 7 * DAY, 7 * DAY + INSTANT):
        expiring(tag, left, at=NOW)
    assert [(one.leads, one.days) for one in count_expiring(at=NOW).tags] == [(2, 7)]


def test_each_tag_has_its_own_notice_and_those_of_one_stand_together(viewer_client, settings):
    settings.EXPIRY_NOTICE_DAYS = 10
    near, far, usual = (
        make_tag(name="Near", notice_days=1),
        make_tag(name="Far", notice_days=90),
        make_tag(name="Usual"),
    )
    for tag in (near, far, usual):
        expiring(tag, HOUR)
        expiring(tag, 9 * DAY)
        expiring(tag, 80 * DAY)
    page = viewer_client.get("/leads/")
    text = re.sub(r"<[^>]+>|&nbsp;", " ", page.content.decode())
    assert re.search(r"next 1 day:\s+Near\s+1\s+Expiring in the next 10 days:\s+Usual\s+2\s", text)
    for name, leads in (("Near 1", 1), ("Usual 2", 2), ("Far 3", 3)):
        assert len(shown(viewer_client.get(links(page)[name]))) == leads
    # One address, each tag by its own notice.
    both = viewer_client.get("/leads/", {"expiring": [near.pk, far.pk]})
    assert len(shown(both)) == 4


def test_the_filter_holds_with_others_and_while_they_change(viewer_client):
    tag = make_tag(name="Haunted")
    expiring(tag, DAY, lead=make_lead(address="1 NEAR ST"))
    expiring(tag, DAY, lead=make_lead(address="2 FAR ST"))
    query = {"expiring": tag.pk, "q": "near"}
    assert shown(viewer_client.get("/leads/", query)) == ["1 NEAR ST"]
    page = viewer_client.get("/leads/", query).content.decode()
    assert f'<input type="hidden" name="expiring" value="{tag.pk}"' in page
    part = viewer_client.get("/leads/", query, headers=HTMX)
    assert part["HX-Push-Url"] == f"/leads/?q=near&expiring={tag.pk}"
    assert b'id="expiring"' not in part.content


@pytest.mark.parametrize(
    ("wrong", "said"), [("x", "“x” is not the id of a tag."), ("999999", "no tag with the id 999999")]
)
def test_a_tag_that_is_not_there_is_refused_in_words(viewer_client, viewer, wrong, said):
    make_lead()
    assert said in viewer_client.get("/leads/", {"expiring": wrong}).content.decode()
    assert said in problem(api_client(viewer).get(f"/api/leads?expiring={wrong}"), 400)["errors"]["expiring"][0]


def test_nothing_that_expires_soon_makes_no_banner(viewer_client):
    expiring(make_tag(), 40 * DAY)
    assert links(viewer_client.get("/leads/")) == {}


def test_a_person_puts_the_banner_away_until_tomorrow_and_takes_it_out_again(viewer_client, analyst_client, viewer):
    expiring(make_tag(name="Haunted"), DAY)
    hidden = viewer_client.post("/tags/expiring/hide/", headers=HTMX)
    assert b"Show it again" in hidden.content
    assert links(viewer_client.get("/leads/")) == {}
    assert "Haunted 1" in links(analyst_client.get("/leads/"))
    again = viewer_client.post("/tags/expiring/show/", headers=HTMX)
    assert "Haunted 1" in links(again)
    assert "Haunted 1" in links(viewer_client.get("/leads/"))
    # Without scripts both lead back to the list.
    for action in ("hide", "show"):
        assert viewer_client.post(f"/tags/expiring/{action}/").url == "/leads/"
        assert viewer_client.get(f"/tags/expiring/{action}/").status_code == 405
    yesterday = timezone.localdate() - DAY
    User.objects.filter(pk=viewer.pk).update(notices_hidden_date=yesterday)
    assert "Haunted 1" in links(viewer_client.get("/leads/"))
    LeadTag.objects.all().delete()
    assert viewer_client.post("/tags/expiring/show/", headers=HTMX).content == b""


def test_the_day_of_putting_away_is_the_persons_own(viewer):
    expiring(make_tag(), DAY, at=NOW)
    evening = dt.datetime(2026, 6, 16, 3, 30, tzinfo=dt.UTC)  # the 15th still, in Chicago
    with timezone.override("America/Chicago"):
        notices.hide_banner(person=viewer, at=NOW)
        assert viewer.notices_hidden_date == dt.date(2026, 6, 15)
        assert notices.banner_for(viewer, evening) is None
    with timezone.override("Europe/Paris"):
        assert notices.banner_for(viewer, evening) is not None


def test_others_than_those_who_see_leads_may_not_touch_the_banner(client, person):
    client.force_login(person("contractor"))
    for action in ("hide", "show"):
        assert client.post(f"/tags/expiring/{action}/").status_code == 403


def test_very_many_are_counted_once_a_minute_and_the_banner_says_as_of_when(viewer_client, monkeypatch):
    monkeypatch.setattr(notices, "MANY", 2)
    tag = make_tag(name="Haunted")
    expiring(tag, DAY)
    try:
        assert "Haunted 1" in links(viewer_client.get("/leads/"))
        expiring(tag, DAY)
        first = viewer_client.get("/leads/")
        assert "Haunted 2" in links(first)
        assert b"Counted at" not in first.content
        expiring(tag, DAY)
        kept = viewer_client.get("/leads/")
        assert "Haunted 2" in links(kept)
        assert b"Counted at" in kept.content
        later = notices.recent_notices(at=timezone.now() + notices.KEPT)
        assert [one.leads for one in later.tags] == [3]
    finally:
        cache.delete(notices.KEPT_AS)


def test_the_assignments_that_expire_soon_are_found_by_an_index_that_leaves_flags_in_place():
    tag = make_tag()
    lead_ids = [
        lead.pk
        for lead in Lead.objects.bulk_create(
            Lead(address_key=f"1|{n}", address=f"{n} ELM ST", created_at=NOW, updated_at=NOW) for n in range(3_000)
        )
    ]
    LeadTag.objects.bulk_create(
        LeadTag(lead_id=pk, tag=tag, assigned_at=NOW + n * DAY / 4, expiration_at=NOW + 365 * DAY + n * DAY / 4)
        for n, pk in enumerate(lead_ids)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE tags_leadtag")
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = LeadTag.objects.expiring(tags=[tag], at=NOW + 400 * DAY).order_by().explain()
        hot = "SELECT pg_stat_get_xact_tuples_hot_updated('tags_leadtag'::regclass)"
        cursor.execute(hot)
        [before] = cursor.fetchone()
        LeadTag.objects.filter(lead_id=lead_ids[0]).update(is_expired=True)
        cursor.execute(hot)
        [after] = cursor.fetchone()
    assert "leadtag_by_expiration" in plan
    assert after - before == 1


# The rule of a tag ----------------------------------------------------------------------------------------------------


def test_a_manager_publishes_a_notice_and_the_versions_tell_it(manager_client, viewer_client, settings):
    settings.EXPIRY_NOTICE_DAYS = 45
    tag = make_tag(name="Haunted", expiration_days=365)
    assert "Blank: 45, as everywhere." in manager_client.get(f"/tags/{tag.pk}/").content.decode()
    assert manager_client.post(f"/tags/{tag.pk}/", typed(tag, notice_days=14)).status_code == 302
    tag.refresh_from_db()
    assert tag.notice == 14 * DAY
    changes = manager_client.get("/tags/changes/").content.decode()
    for part in ("Notice before expiry", "as the installation says", "14 days"):
        assert part in changes
    assert "<dt>Notice before expiry</dt><dd>14 days</dd>" in viewer_client.get(f"/tags/{tag.pk}/").content.decode()
    change = RuleChange.objects.get()
    tag.notice_days = None
    publish_rule_change(save=[tag], by=None, at=timezone.now())
    assert tag.notice == 45 * DAY
    latest = RuleChange.objects.order_by("pk").last()
    manager_client.post(f"/tags/changes/{change.pk}/", {"seen": latest.pk})
    tag.refresh_from_db()
    assert tag.notice_days == 14


@pytest.mark.parametrize(
    ("wrong", "said"), [("0", "greater than or equal to 1"), ("36501", "36500"), ("1.5", "whole"), ("-3", "1")]
)
def test_a_notice_that_cannot_be_is_refused(manager_client, wrong, said):
    tag = make_tag()
    response = manager_client.post(f"/tags/{tag.pk}/", typed(tag, notice_days=wrong))
    assert response.status_code == 422
    assert said in response.content.decode()
    assert not RuleChange.objects.exists()


def test_admin_publishes_it_too(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("root", password="correct horse battery"))
    tag = make_tag(name="Haunted")
    page = client.get(f"/admin/tags/tag/{tag.pk}/change/")
    form = page.context["adminform"].form
    values = {name: "" if value is None else value for name, value in form.initial.items() if name != "decay_steps"}
    values = {name: value for name, value in values.items() if value is not False}
    response = client.post(f"/admin/tags/tag/{tag.pk}/change/", values | {"decay_steps": "[]", "notice_days": "21"})
    assert response.status_code == 302, response.context["adminform"].form.errors
    tag.refresh_from_db()
    assert tag.notice_days == 21
    assert RuleChange.objects.get().tag_ids == [tag.pk]


# The daily check ------------------------------------------------------------------------------------------------------


@pytest.fixture
def settled(settings) -> None:
    """An installation of old age, whose daily check is due at 7:00 in New York."""
    settings.NOTICE_HOUR, settings.TIME_ZONE = 7, "America/New_York"
    settings.BASE_URL = "https://leads.example.com"
    install(DUE - 100 * DAY)


def install(at: dt.datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_migrations SET applied = %s", [at])


def check(at: dt.datetime = NOW) -> Job:
    job = start_check(at=at, announce=False)
    assert job is not None
    ended = run_job(job_id=job.pk)
    assert ended is not None
    return ended


@pytest.fixture
def reader(person):
    """Make a person who wants the digest."""

    def make(name: str, role: str = "viewer", **fields: Any) -> User:
        user = person(role)
        values = {"username": name, "email": f"{name}@example.com", "wants_digest": True} | fields
        User.objects.filter(pk=user.pk).update(**values)
        return User.objects.get(pk=user.pk)

    return make


def test_a_day_has_one_check_however_often_it_is_asked_for(settled):
    first = start_check(at=DUE, announce=False)
    assert first is not None
    assert (first.slot, first.title, first.as_of) == ("2026-06-15", "Expiry notices of June 15, 2026", DUE)
    run_job(job_id=first.pk)
    for later in (HOUR, DAY - INSTANT):
        again = start_check(at=DUE + later, announce=False)
        assert again is not None
        assert again.pk == first.pk
    tomorrow = start_check(at=DUE + DAY, announce=False)
    assert tomorrow is not None
    assert tomorrow.slot == "2026-06-16"


def test_the_day_of_the_installation_needs_none(settled):
    install(DUE + INSTANT)
    assert start_check(at=NOW, announce=False) is None
    assert start_check(at=DUE + DAY, announce=False) is not None


def test_beat_asks_for_it_each_minute(settled, settings):
    from tags.tasks import start_check as task

    assert {"task": task.name, "schedule": 60.0} in settings.CELERY_BEAT_SCHEDULE.values()
    task()
    task()
    assert Job.objects.get().kind == notices.CHECK


def test_it_finds_and_logs_what_expires_soon(settled, caplog):
    caplog.set_level(logging.INFO, "tags")
    flood, ghost = make_tag(name="Flooded"), make_tag(name="Haunted", notice_days=7)
    for left in (DAY, 8 * DAY):
        expiring(flood, left, at=NOW)
        expiring(ghost, left, at=NOW)
    job = check()
    assert job.status == "succeeded", job.error
    assert job.result == {
        "expiring": 3,
        "by_tag": ["Haunted 1 within 7 days", "Flooded 2 within 30 days"],
        "digests_sent": 0,
        "digests_failed": [],
        "perhaps_not_sent": [],
    }
    assert "Haunted: 1 within 7 days; Flooded: 2 within 30 days" in caplog.text
    assert not mail.outbox


def test_a_digest_goes_to_those_who_want_it_may_see_leads_and_have_an_address(settled, reader, person):
    reader("ana")
    reader("unread", "analyst", wants_digest=False)
    reader("nowhere", "manager", email="")
    reader("contractor", "contractor")
    reader("gone", "admin", is_active=False)
    tag = make_tag(name="Haunted", base_score=700)
    lead = make_scored_lead(tags=[], address="12 MAIN ST")
    expiring(tag, 3 * DAY, at=dt.datetime(2026, 6, 15, tzinfo=dt.UTC), lead=lead)
    job = check()
    assert (job.result or {})["digests_sent"] == 1
    [sent] = mail.outbox
    assert sent.to == ["ana@example.com"]
    assert sent.subject == "LeadScore: 1 tag on leads expires soon"
    assert "In the next 30 days\n  Haunted: 1 lead\n" in sent.body
    assert f"https://leads.example.com/leads/?expiring={tag.pk}\n" in sent.body
    # 00:00 UTC is the list's own day, though the evening before in New York.
    assert "12 MAIN ST, HOBOKEN\n    Haunted until Jun 18, 2026\n" in sent.body
    assert f"https://leads.example.com/leads/{lead.pk}/\n" in sent.body
    assert "https://leads.example.com/me/" in sent.body
    assert "&" not in sent.body


def test_days_in_a_digest_are_those_of_its_reader(settled, reader):
    reader("ana", time_zone="America/Los_Angeles")
    reader("kenji", "analyst", time_zone="Asia/Tokyo")
    expiring(make_tag(name="Haunted"), 3 * DAY + 9 * HOUR, at=NOW)  # 21:00 UTC on the 18th
    check()
    assert [re.findall(r"until (.*)", sent.body) for sent in mail.outbox] == [["Jun 18, 2026"], ["Jun 19, 2026"]]


def test_nothing_to_tell_sends_nothing(settled, reader):
    reader("ana")
    expiring(make_tag(), 60 * DAY, at=NOW)
    assert (check().result or {})["expiring"] == 0
    assert not mail.outbox


def test_the_best_leads_that_lose_something_come_first_with_what_they_lose():
    strong, weak = make_tag(name="Strong"), make_tag(name="Weak")
    best, second = make_lead(address="1 BEST ST", score=900), make_lead(address="2 NEXT ST", score=400)
    make_lead(score=2_000)
    expiring(weak, 5 * DAY, at=NOW, lead=best)
    expiring(strong, 2 * DAY, at=NOW, lead=best)
    expiring(weak, DAY, at=NOW, lead=second)
    expiring(make_tag(), 90 * DAY, at=NOW, lead=second)
    found = [(loss.lead, [one.tag.name for one in loss.lead_tags]) for loss in top_losses(at=NOW)]
    assert found == [(best, ["Strong", "Weak"]), (second, ["Weak"])]
    assert [loss.lead for loss in top_losses(at=NOW, count=1)] == [best]


def test_one_address_that_fails_stops_no_other_and_the_result_names_it(settled, reader, manager_client, monkeypatch):
    for name, role in (("ana", "viewer"), ("bad", "analyst"), ("cleo", "admin")):
        reader(name, role)
    expiring(make_tag(), DAY, at=NOW)
    send = notices.EmailMessage.send

    def failing(message: Any) -> int:
        if message.to == ["bad@example.com"]:
            raise smtplib.SMTPRecipientsRefused({"bad@example.com": (550, b"no such box")})
        return send(message)

    monkeypatch.setattr(notices.EmailMessage, "send", failing)
    job = check()
    assert job.status == "succeeded"
    assert (job.result or {})["digests_sent"] == 2
    assert (job.result or {})["digests_failed"] == ["bad (SMTPRecipientsRefused)"]
    assert [sent.to for sent in mail.outbox] == [["ana@example.com"], ["cleo@example.com"]]
    page = manager_client.get(job.get_absolute_url()).content.decode()
    assert "bad (SMTPRecipientsRefused)" in page
    assert "bad@example.com" not in page


class Killed(BaseException):
    """The worker is gone: nothing after this line runs."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_is_killed_between_mails_writes_to_nobody_twice(settled, reader, monkeypatch, moment):
    for name, role in (("ana", "viewer"), ("ben", "analyst"), ("cleo", "admin")):
        reader(name, role)
    expiring(make_tag(), DAY, at=NOW)
    job = start_check(at=NOW, announce=False)
    assert job is not None
    send = notices.EmailMessage.send

    def dying(message: Any) -> int:
        if message.to == ["ben@example.com"] and moment == "before":
            raise Killed
        done = send(message)
        if message.to == ["ben@example.com"]:
            raise Killed
        return done

    monkeypatch.setattr(notices.EmailMessage, "send", dying)
    with pytest.raises(Killed):
        run_job(job_id=job.pk)
    monkeypatch.setattr(notices.EmailMessage, "send", send)
    # What a dead worker leaves: a running job without a heartbeat.
    Job.objects.filter(pk=job.pk).update(worker="elsewhere:1:1", heartbeat_at=NOW - DAY)
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert ended.status == "succeeded"
    assert ended.attempt == 2
    to = [sent.to[0] for sent in mail.outbox]
    assert len(to) == len(set(to))
    assert to == ["ana@example.com", *(["ben@example.com"] if moment == "after" else []), "cleo@example.com"]
    # Nobody knows whether the second mail left: it is not sent again, and the result says so.
    assert (ended.result or {})["perhaps_not_sent"] == ["ben"]
    assert (ended.result or {})["digests_sent"] == 2
    assert start_check(at=NOW + HOUR, announce=False) == ended


def test_a_check_that_is_cancelled_goes_on_with_those_who_are_left(settled, reader, monkeypatch):
    reader("ana")
    reader("ben", "analyst")
    expiring(make_tag(), DAY, at=NOW)
    job = start_check(at=NOW, announce=False)
    assert job is not None
    send = notices.EmailMessage.send

    def cancelling(message: Any) -> int:
        cancel_job(job_id=job.pk)
        return send(message)

    monkeypatch.setattr(notices.EmailMessage, "send", cancelling)
    stopped = run_job(job_id=job.pk)
    assert stopped is not None
    assert stopped.status == "cancelled"
    monkeypatch.setattr(notices.EmailMessage, "send", send)
    assert retry_job(job_id=job.pk)
    ended = run_job(job_id=job.pk)
    assert ended is not None
    assert ended.status == "succeeded"
    assert [sent.to[0] for sent in mail.outbox] == ["ana@example.com", "ben@example.com"]
