"""POST /api/tags/{id}/update-expiration and /api/tags/bulk-update-expiration."""

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Job
from jobs.operations import run_job
from leads.models import Lead
from scoring import operations
from scoring.operations import drain_due, start_recalculation
from scoring.rule_api import MOST
from tags.models import LeadTag, RuleChange, Tag
from tags.operations import publish_rule_change
from tags.queries import version_of
from tests.api import api_client, problem
from tests.factories import assign, make_lead, make_scored_lead, make_tag

pytestmark = pytest.mark.django_db
BULK = "/api/tags/bulk-update-expiration"


@pytest.fixture
def api(manager) -> Client:
    return api_client(manager)


def send(client, address, body, **headers):
    return client.post(address, body, content_type="application/json", headers=headers)


def one(tag):
    return f"/api/tags/{tag.pk}/update-expiration"


def lead_of_age(days, *tags):
    """A scored lead that got these tags that many days ago."""
    at = timezone.now() - dt.timedelta(days=days)
    lead = make_scored_lead(tags=list(tags), at=at)
    drain_due(at=timezone.now())
    return lead


def publish(tag, **fields):
    tag = Tag.objects.get(pk=tag.pk)
    for name, value in fields.items():
        setattr(tag, name, value)
    return publish_rule_change(save=[tag], by=None, at=timezone.now())


def scores():
    return list(Lead.objects.order_by("pk").values_list("score", flat=True))


# One tag --------------------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_and_writes_nothing(api) -> None:
    tag = make_tag(name="Haunted", base_score=700, expiration_days=90)
    for days in (5, 50, 100):
        lead_of_age(days, tag)
    body = {"new_expiration_days": 30, "apply_retroactively": True, "dry_run": True}
    before = list(LeadTag.objects.order_by("pk").values())
    response = send(api, one(tag), body)
    assert response.status_code == 200
    assert response.json() == {
        "dry_run": True,
        "detail": "Nothing was changed: this was a dry run.",
        "rule_change": None,
        "job": None,
        "tag": {"id": tag.pk, "name": "Haunted"},
        "old_expiration_days": 90,
        "new_expiration_days": 30,
        "apply_retroactively": True,
        "assignments": 3,
        "affected": 3,
        "expired": 1,
        "revived": 0,
        "leads_moving": 1,
        "leads_rising": 0,
        "leads_falling": 1,
    }
    longer = send(api, one(tag), body | {"new_expiration_days": None}).json()
    assert [longer[name] for name in ("affected", "expired", "revived", "leads_rising")] == [3, 0, 1, 1]
    later = send(api, one(tag), body | {"apply_retroactively": False}).json()
    assert [later[name] for name in ("assignments", "affected", "leads_moving")] == [3, 0, 0]
    assert list(LeadTag.objects.order_by("pk").values()) == before
    assert Tag.objects.get(pk=tag.pk).expiration_days == 90
    assert not RuleChange.objects.exists()
    assert not Job.objects.exists()


def test_with_retroactive_effect_each_assignment_is_counted_from_its_own_start(
    api, manager, django_capture_on_commit_callbacks
) -> None:
    tag = make_tag(base_score=700, expiration_days=90)
    young, old, gone = (lead_of_age(days, tag) for days in (5, 50, 100))
    with django_capture_on_commit_callbacks(execute=True):
        response = send(
            api, one(tag), {"new_expiration_days": 30, "apply_retroactively": True, "reason": "courts are fast"}
        )
    assert response.status_code == 202
    body = response.json()
    change = RuleChange.objects.get()
    assert (change.by, change.reason, change.retroactive_tag_ids) == (manager, "courts are fast", [tag.pk])
    assert (body["rule_change"], body["old_expiration_days"], body["new_expiration_days"]) == (change.pk, 90, 30)
    job = Job.objects.get()
    assert response["Location"] == f"/api/jobs/{job.pk}"
    assert (body["job"]["id"], body["job"]["status"]) == (job.pk, "queued")
    assert api.get(f"/api/leads/{old.pk}/score").json()["pending"] is True
    assert run_job(job_id=job.pk).status == Job.Status.SUCCEEDED
    for lead, is_expired in ((young, False), (old, True), (gone, True)):
        lead_tag = LeadTag.objects.get(lead=lead)
        assert lead_tag.expiration_at == lead_tag.assigned_at + dt.timedelta(days=30)
        assert lead_tag.is_expired is is_expired
    assert scores() == [700, 0, 0]
    # Never: all live again.
    response = send(api, one(tag), {"new_expiration_days": None, "apply_retroactively": True})
    run_job(job_id=response.json()["job"]["id"])
    assert scores() == [700, 700, 700]
    assert not LeadTag.objects.filter(expiration_at__isnull=False).exists()


def test_without_it_only_later_assignments_get_the_new_days(api) -> None:
    tag = make_tag(expiration_days=90)
    lead_of_age(50, tag)
    response = send(api, one(tag), {"new_expiration_days": 30})
    run_job(job_id=response.json()["job"]["id"])
    lead_tag = LeadTag.objects.get()
    assert lead_tag.expiration_at == lead_tag.assigned_at + dt.timedelta(days=90)
    assert scores() == [100]
    tag.refresh_from_db()
    later = assign(make_lead(), tag)
    assert later.expiration_at == later.assigned_at + dt.timedelta(days=30)


def test_where_nothing_differs_nothing_is_published_and_the_answer_says_so(api) -> None:
    tag = make_tag(expiration_days=90)
    lead_of_age(5, tag)
    for body in ({"new_expiration_days": 90}, {"new_expiration_days": 90, "apply_retroactively": True}):
        response = send(api, one(tag), body)
        assert response.status_code == 200
        assert "nothing was published" in response.json()["detail"]
        assert (response.json()["rule_change"], response.json()["job"]) == (None, None)
    assert not RuleChange.objects.exists()


DAYS = [0, -1, 1.5, 30.0, 36_501, 10**40, True, "30", "", [], {}]


@pytest.mark.parametrize("days", DAYS, ids=lambda days: repr(days)[:12])
def test_days_that_no_tag_can_have_are_refused(api, days) -> None:
    tag = make_tag(expiration_days=90)
    for dry_run in (True, False):
        errors = problem(send(api, one(tag), {"new_expiration_days": days, "dry_run": dry_run}), 400)["errors"]
        assert list(errors) == ["new_expiration_days"]
        assert "days" in errors["new_expiration_days"][0] or "whole number" in errors["new_expiration_days"][0]
    assert not RuleChange.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "new_expiration_days"),
        ({"expiration_days": 3}, "expiration_days"),
        ({"new_expiration_days": 3, "apply_retroactively": "yes"}, "apply_retroactively"),
        ({"new_expiration_days": 3, "dry_run": 1}, "dry_run"),
        ({"new_expiration_days": 3, "reason": "x" * 101}, "reason"),
        ({"new_expiration_days": 3, "version": "3"}, "version"),
        ([], "request"),
    ],
)
def test_what_cannot_be_meant_is_named(api, body, field) -> None:
    assert field in problem(send(api, one(make_tag()), body), 400)["errors"]
    assert not RuleChange.objects.exists()


def test_a_stale_version_is_refused_with_what_differs_in_a_dry_run_too(api) -> None:
    tag = make_tag(expiration_days=90)
    publish(tag, base_score=5)
    seen = version_of(tag)
    publish(tag, expiration_days=60)
    for response in (
        send(api, one(tag), {"new_expiration_days": 30, "version": seen, "dry_run": True}),
        send(api, one(tag), {"new_expiration_days": 30, "version": seen}),
        send(api, one(tag), {"new_expiration_days": 30}, **{"If-Match": f'"{seen}"'}),
    ):
        refusal = problem(response, 409)
        assert refusal["differences"] == [{"field": "expiration_days", "old": 90, "new": 60}]
        assert refusal["version"] == version_of(tag)
    assert Tag.objects.get(pk=tag.pk).expiration_days == 60
    done = send(api, one(tag), {"new_expiration_days": 30}, **{"If-Match": f'"{version_of(tag)}"'})
    assert done.status_code == 202


def test_days_for_later_assignments_wait_for_a_retroactive_change(api) -> None:
    tag = make_tag(expiration_days=90)
    lead_of_age(5, tag)
    assert send(api, one(tag), {"new_expiration_days": 30, "apply_retroactively": True}).status_code == 202
    response = send(api, one(tag), {"new_expiration_days": 60})
    assert problem(response, 409)["code"] == "still_applying"
    assert response["Retry-After"]
    assert send(api, one(tag), {"new_expiration_days": 60, "apply_retroactively": True}).status_code == 202


def test_a_retroactive_change_in_the_middle_of_a_scoring_run_ends_right(api, settings, monkeypatch) -> None:
    settings.SCORE_RANGE_LEADS, settings.JOB_CONNECTIONS = 2, 1
    tag, other = make_tag(base_score=700, expiration_days=90), make_tag(base_score=50)
    for days in (5, 50, 100, 5, 50, 100):
        lead_of_age(days, tag, other)
    full = start_recalculation(at=timezone.now(), by=None, announce=False)
    changes: list[int] = []
    score_range = operations.passes.score_range

    def then_somebody_changes_the_days(**params):
        scored = score_range(**params)
        if not changes:
            response = send(api, one(tag), {"new_expiration_days": 30, "apply_retroactively": True})
            changes.append(response.json()["job"]["id"])
        return scored

    monkeypatch.setattr(operations.passes, "score_range", then_somebody_changes_the_days)
    assert run_job(job_id=full.pk).status == Job.Status.SUCCEEDED
    assert run_job(job_id=changes[0]).status == Job.Status.SUCCEEDED
    drain_due(at=timezone.now())
    assert scores() == [750, 50, 50] * 2
    monkeypatch.undo()
    again = start_recalculation(at=timezone.now(), by=None, announce=False)
    run_job(job_id=again.pk)
    assert scores() == [750, 50, 50] * 2


# Many tags ------------------------------------------------------------------------------------------------------------


def item(tag, days, **more):
    return {"tag": tag if isinstance(tag, int) else tag.pk, "new_expiration_days": days, **more}


def test_many_tags_change_together_as_one_change_with_one_job(api, django_capture_on_commit_callbacks) -> None:
    first, second = make_tag(base_score=700, expiration_days=90), make_tag(base_score=50, expiration_days=90)
    untouched = make_tag(expiration_days=10)
    lead_of_age(50, first, second)
    changes = [item(second, None), item(first, 30, apply_retroactively=True), item(untouched, 10)]
    found = send(api, BULK, {"changes": changes, "dry_run": True})
    assert found.status_code == 200
    dry = found.json()
    assert [one["tag"]["id"] for one in dry["changes"]] == [second.pk, first.pk, untouched.pk]
    assert [one["expired"] for one in dry["changes"]] == [0, 1, 0]
    assert [dry[name] for name in ("assignments", "affected", "expired", "revived")] == [2, 1, 1, 0]
    assert (dry["leads_moving"], dry["leads_falling"]) == (1, 1)
    assert not RuleChange.objects.exists()

    with django_capture_on_commit_callbacks(execute=True):
        response = send(api, BULK, {"changes": changes, "reason": "new law"})
    assert response.status_code == 202
    change, job = RuleChange.objects.get(), Job.objects.get()
    assert (change.reason, change.tag_ids, change.retroactive_tag_ids) == (
        "new law", [first.pk, second.pk], [first.pk],
    )  # fmt: skip
    assert response["Location"] == f"/api/jobs/{job.pk}"
    assert (response.json()["rule_change"], response.json()["job"]["id"]) == (change.pk, job.pk)
    assert [one["old_expiration_days"] for one in response.json()["changes"]] == [90, 90, 10]
    run_job(job_id=job.pk)
    assert scores() == [50]
    assert dict(Tag.objects.filter(pk__in=change.tag_ids).values_list("pk", "expiration_days")) == {
        first.pk: 30, second.pk: None,
    }  # fmt: skip


def test_where_nothing_differs_in_any_tag_nothing_is_published(api) -> None:
    response = send(api, BULK, {"changes": [item(make_tag(expiration_days=3), 3), item(make_tag(), None)]})
    assert (response.status_code, response.json()["rule_change"]) == (200, None)
    assert not RuleChange.objects.exists()


def test_every_wrong_item_is_listed_and_nothing_is_applied(api) -> None:
    tags = [make_tag(expiration_days=90) for _ in range(len(DAYS))]
    changes = [item(tag, days) for tag, days in zip(tags, DAYS, strict=True)]
    fine, twice = make_tag(expiration_days=90), make_tag(expiration_days=90)
    changes += [item(fine, 30), item(999_999, 30), item(twice, 30), item(10**30, 0), item(twice, 30), {"tag": fine.pk}]
    changes += [{"new_expiration_days": 3}, item(fine, 30, color=3), "x", item(True, 3)]
    for dry_run in (True, False):
        refusal = problem(send(api, BULK, {"changes": changes, "dry_run": dry_run}), 400)
        errors = refusal["errors"]
        for number, tag in enumerate(tags):
            assert errors[f"changes.{number}.new_expiration_days"][0].startswith(f"Tag {tag.pk}: ")
        n = len(tags)
        assert f"changes.{n}.tag" not in errors
        assert errors[f"changes.{n + 1}.tag"] == ["There is no tag with the id 999999."]
        assert "There is no tag" in errors[f"changes.{n + 3}.tag"][0]
        assert f"changes.{n + 3}.new_expiration_days" in errors
        assert errors[f"changes.{n + 4}.tag"] == [
            f"Tag {twice.pk} stands at position {n + 2} already; name each tag once."
        ]
        assert f"changes.{n + 5}.new_expiration_days" in errors
        assert f"changes.{n + 6}.tag" in errors
        assert "Unknown field" in errors[f"changes.{n + 7}.color"][0]
        assert f"changes.{n + 8}" in errors
        assert f"changes.{n + 9}.tag" in errors
        assert refusal["unknown_tags"] == [999_999, 10**30]
        assert refusal["repeated_tags"] == [fine.pk, twice.pk]
    assert set(Tag.objects.filter(pk__in=[fine.pk, twice.pk]).values_list("expiration_days", flat=True)) == {90}
    assert not RuleChange.objects.exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "required"),
        ({"changes": []}, "at least one tag"),
        ({"changes": {}}, "list"),
        ({"changes": None}, "null"),
        ({"changes": "3"}, "list"),
        ({"changes": [{"tag": n, "new_expiration_days": 3} for n in range(1, MOST + 2)]}, "At most 500"),
        ([], "dictionary"),
    ],
    ids=["none", "empty", "object", "null", "text", "many", "list"],
)
def test_a_list_that_cannot_be_meant_is_refused(api, body, said) -> None:
    assert said in problem(send(api, BULK, body), 400)["detail"]


def test_five_hundred_tags_are_taken_at_once(api, django_assert_max_num_queries) -> None:
    tags = Tag.objects.bulk_create(
        [Tag(name=f"Many {n}", name_key=f"many{n}", expiration_days=90) for n in range(MOST)]
    )
    with django_assert_max_num_queries(40):
        assert send(api, BULK, {"changes": [item(tag, 30) for tag in tags], "dry_run": True}).status_code == 200
    assert send(api, BULK, {"changes": [item(tag, 30) for tag in tags]}).status_code == 202
    assert Tag.objects.filter(name_key__startswith="many", expiration_days=30).count() == MOST
    assert RuleChange.objects.count() == 1


def test_stale_versions_of_a_bulk_are_listed_and_nothing_is_applied(api) -> None:
    tags = [make_tag(expiration_days=90) for _ in range(3)]
    seen = [version_of(publish(tag, base_score=7) and tag) for tag in tags]
    publish(tags[0], expiration_days=60)
    publish(tags[2], base_score=9)
    changes = [item(tag, 30, version=version) for tag, version in zip(tags, seen, strict=True)]
    refusal = problem(send(api, BULK, {"changes": changes}), 409)
    assert refusal["stale"] == [
        {
            "tag": tags[0].pk,
            "seen": seen[0],
            "version": version_of(tags[0]),
            "differences": [{"field": "expiration_days", "old": 90, "new": 60}],
        },
        {
            "tag": tags[2].pk,
            "seen": seen[2],
            "version": version_of(tags[2]),
            "differences": [{"field": "base_score", "old": 7, "new": 9}],
        },
    ]
    assert Tag.objects.get(pk=tags[1].pk).expiration_days == 90


def test_a_repeated_bulk_is_done_once(api) -> None:
    body = {"changes": [item(make_tag(expiration_days=90), 30)]}
    first, again = (send(api, BULK, body, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.content == again.content
    assert again["Idempotent-Replayed"] == "true"
    assert RuleChange.objects.count() == 1


# Who may what ---------------------------------------------------------------------------------------------------------


def test_viewers_and_analysts_change_nothing_and_preview_nothing(viewer, analyst) -> None:
    tag = make_tag(expiration_days=90)
    for person in (viewer, analyst):
        for dry_run in (True, False):
            body = {"new_expiration_days": 3, "dry_run": dry_run}
            problem(send(api_client(person), one(tag), body), 403)
            problem(send(api_client(person), BULK, {"changes": [item(tag, 3)], "dry_run": dry_run}), 403)
    assert not RuleChange.objects.exists()


def test_a_logged_in_browser_may_too(manager_client) -> None:
    assert send(manager_client, one(make_tag()), {"new_expiration_days": 3}).status_code == 202


def test_a_tag_that_is_not_there_is_not_found(api) -> None:
    for pk in ("0", "999999", "9223372036854775808"):
        problem(send(api, f"/api/tags/{pk}/update-expiration", {"new_expiration_days": 3}), 404)
