"""How long tags last, over the API: one tag or many, with what that does to leads before it is done."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    Answer,
    IdempotentView,
    StrictBooleanField,
    StrictIntegerField,
    StrictSerializer,
    answers,
    person_of,
)
from jobs.api import JOB_EXAMPLE, LOCATION, JobSerializer
from jobs.models import Job
from scoring.expirations import preview_expirations_with_scores
from tags.api import (
    IF_MATCH,
    MAX_ID,
    REASON,
    VERSION,
    ClocksRunning,
    TagReferenceSerializer,
    asked_version,
    refuse_stale,
)
from tags.expirations import ExpirationChange, ExpirationEffect, publish_expirations
from tags.models import MAX_DAYS, RuleChange, Tag
from tags.operations import APPLY_RULE_CHANGE, NothingToPublish, StillApplying, start_rule_change_job

MOST = 500
DAYS: dict[str, Any] = {
    "allow_null": True,
    "min_value": 1,
    "max_value": MAX_DAYS,
    "error_messages": {
        "required": f"Say how many days, 1 to {MAX_DAYS:,}; null is never.",
        "min_value": f"Give 1 to {MAX_DAYS:,} days; null is never.",
        "max_value": f"Give 1 to {MAX_DAYS:,} days; null is never.",
    },
    "help_text": "Days of 24 hours until an assignment expires; null: never.",
}
RETROACTIVE = (
    "False: later assignments only. True: each existing assignment, too, gets its end anew from its own start; it "
    "expires or lives again as that falls."
)
DRY_RUN = "True: say what it would do, and do nothing."


class UpdateExpirationSerializer(StrictSerializer):
    new_expiration_days = StrictIntegerField(**DAYS)
    apply_retroactively = StrictBooleanField(default=False, help_text=RETROACTIVE)
    dry_run = StrictBooleanField(default=False, help_text=DRY_RUN)
    reason = serializers.CharField(**REASON)
    version = StrictIntegerField(**VERSION)


class ExpirationItemSerializer(StrictSerializer):
    """One tag of many."""

    tag = StrictIntegerField(help_text="Its id.")
    new_expiration_days = StrictIntegerField(**DAYS)
    apply_retroactively = StrictBooleanField(default=False, help_text=RETROACTIVE)
    version = StrictIntegerField(**VERSION)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return super().to_internal_value(data)
        except ValidationError as refusal:
            tag = data.get("tag") if isinstance(data, Mapping) else None
            if type(tag) is not int or not isinstance(refusal.detail, dict):
                raise
            # The position stands in the path of each message, the tag in its words.
            told = {name: [f"Tag {tag}: {text}" for text in texts] for name, texts in refusal.detail.items()}
            raise ValidationError(told) from None


class BulkExpirationSerializer(StrictSerializer):
    changes = ExpirationItemSerializer(  # type: ignore[call-arg]  # the stubs do not know what `many` takes
        many=True,
        allow_empty=False,
        max_length=MOST,
        help_text=f"1 to {MOST} tags, each once.",
        error_messages={
            "empty": "Name at least one tag: [{'tag': 3, 'new_expiration_days': 90}].",
            "max_length": f"At most {MOST} tags at once; send more in several requests.",
        },
    )
    dry_run = StrictBooleanField(default=False, help_text=DRY_RUN)
    reason = serializers.CharField(**REASON)


class ExpirationToldSerializer(serializers.Serializer):
    """A tag, and the days it had and gets."""

    tag = TagReferenceSerializer()
    old_expiration_days = serializers.IntegerField(allow_null=True)
    new_expiration_days = serializers.IntegerField(allow_null=True)
    apply_retroactively = serializers.BooleanField()


COUNTS = {
    "assignments": "Assignments of the tag that are not removed.",
    "affected": "Of these, how many get another end.",
    "expired": "Of these, how many end by it.",
    "revived": "Of these, how many live again by it.",
}
MOVES = {
    "leads_moving": "Leads whose scores move at once.",
    "leads_rising": "Of these, how many rise.",
    "leads_falling": "Of these, how many fall.",
}


def _numbers(named: Mapping[str, str]) -> dict[str, serializers.Field]:
    return {name: serializers.IntegerField(required=False, help_text=text) for name, text in named.items()}


class ExpirationEffectSerializer(ExpirationToldSerializer):
    """One tag of a dry run."""

    vars().update(_numbers(COUNTS))


class NothingWrittenSerializer(serializers.Serializer):
    """A dry run with its counts; or there was nothing to do."""

    dry_run = serializers.BooleanField()
    detail = serializers.CharField(help_text="What was found, in words.")
    rule_change = serializers.IntegerField(allow_null=True, help_text="null: nothing was published.")
    job = JobSerializer(allow_null=True)


class ExpirationNotWrittenSerializer(NothingWrittenSerializer, ExpirationToldSerializer):
    vars().update(_numbers(COUNTS | MOVES))


class BulkNotWrittenSerializer(NothingWrittenSerializer):
    changes = ExpirationEffectSerializer(many=True)
    vars().update(_numbers(COUNTS | MOVES))


class PublishedSerializer(serializers.Serializer):
    rule_change = serializers.IntegerField(help_text="The published change, all of it or nothing.")
    job = JobSerializer(help_text="The job that applies it to assignments and scores.")


class ExpirationPublishedSerializer(PublishedSerializer, ExpirationToldSerializer):
    pass


class BulkPublishedSerializer(PublishedSerializer):
    changes = ExpirationToldSerializer(many=True)


TOLD_EXAMPLE = {
    "tag": {"id": 3, "name": "Foreclosure"},
    "old_expiration_days": 365,
    "new_expiration_days": 180,
    "apply_retroactively": True,
}
COUNTS_EXAMPLE = {"assignments": 1204, "affected": 1204, "expired": 311, "revived": 0}
MOVES_EXAMPLE = {"leads_moving": 309, "leads_rising": 0, "leads_falling": 309}
NOTHING: dict[str, Any] = {"rule_change": None, "job": None}
FOUND_EXAMPLE = {"dry_run": True, "detail": "Nothing was changed: this was a dry run.", **NOTHING}
APPLYING = JOB_EXAMPLE | {"kind": APPLY_RULE_CHANGE, "title": "Apply a change of tag rules", "stage": "Changing clocks"}


class ItemsRefused(ValidationError):
    """Items of a list that cannot be taken; beside the messages, the ids that are unknown or came twice."""

    def __init__(self, errors: Any, *, unknown: Sequence[int], repeated: Sequence[int]) -> None:
        super().__init__(errors)
        self.members = {"unknown_tags": list(unknown), "repeated_tags": list(repeated)}


class ExpirationView(IdempotentView):
    permissions = {"POST": "tags.change_tag"}
    queryset = Tag.objects.all()

    def tags_for(self, seen: Mapping[int, int | None], *, is_dry: bool) -> dict[int, Tag]:
        """The tags by id, locked unless it is a dry run. Raises TagsStale where one is not as it was seen."""
        tags = self.queryset.filter(pk__in=seen).order_by("pk")
        found = {tag.pk: tag for tag in (tags if is_dry else tags.select_for_update(no_key=True))}
        refuse_stale([(tag, seen[pk]) for pk, tag in found.items()])
        return found

    def publish(
        self, request: Request, changes: Sequence[ExpirationChange], reason: str, at: dt.datetime
    ) -> int | None:
        """The number of the one change that publishes all of these; None when nothing differs."""
        try:
            return publish_expirations(changes=changes, by=person_of(request), at=at, reason=reason).pk
        except NothingToPublish:
            return None
        except StillApplying as refusal:
            raise ClocksRunning(refusal) from refusal

    def finish(self, answer: Answer) -> Answer:
        """The job is made when the change has been committed."""
        if answer.status != status.HTTP_202_ACCEPTED:
            return answer
        change = RuleChange.objects.get(pk=answer.body["rule_change"])
        jobs = Job.objects.filter(kind=APPLY_RULE_CHANGE, key=str(change.pk)).order_by("-pk")
        if not jobs.exists():  # whoever committed the change died right then
            start_rule_change_job(change=change)
        job = jobs[0]
        return Answer(
            status=answer.status,
            body=answer.body | {"job": JobSerializer(job).data},
            headers={"Location": reverse("api:job", args=[job.pk])},
        )


def _told(tag: Tag, change: ExpirationChange) -> dict[str, Any]:
    return {
        "tag": {"id": tag.pk, "name": tag.name},
        "old_expiration_days": tag.expiration_days,
        "new_expiration_days": change.days,
        "apply_retroactively": change.is_retroactive,
    }


def _counts(effects: Iterable[ExpirationEffect]) -> dict[str, int]:
    effects = list(effects)
    return {name: sum(getattr(effect, name) for effect in effects) for name in COUNTS}


def _preview(changes: Sequence[ExpirationChange], at: dt.datetime) -> tuple[list[ExpirationEffect], dict[str, int]]:
    """What each change would do, and what all of them do to scores."""
    effects, scores = preview_expirations_with_scores(changes=changes, at=at)
    return effects, {
        "leads_moving": scores.moving,
        "leads_rising": scores.rising,
        "leads_falling": scores.falling,
    }


class UpdateExpiration(ExpirationView):
    @extend_schema(
        operation_id="tags_update_expiration",
        summary="Change how long a tag lasts",
        description="Published as a change of rules; a job applies it. Later assignments get the new days; with "
        "`apply_retroactively` existing ones do, too, each from its own start. With `dry_run` the answer counts what "
        "that would do. 200 without `dry_run` says that nothing differed.",
        tags=["Tags"],
        request=UpdateExpirationSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED, IF_MATCH, LOCATION],
        responses=answers(202, ExpirationPublishedSerializer, 400, 404, 409, 415, 422)
        | {(200, "application/json"): ExpirationNotWrittenSerializer},
        examples=[
            OpenApiExample(
                "Half a year, also for existing assignments",
                {"new_expiration_days": 180, "apply_retroactively": True, "dry_run": True},
                request_only=True,
            ),
            OpenApiExample(
                "A dry run",
                FOUND_EXAMPLE | TOLD_EXAMPLE | COUNTS_EXAMPLE | MOVES_EXAMPLE,
                response_only=True,
                status_codes=["200"],
            ),
            OpenApiExample(
                "Published",
                {"rule_change": 12, **TOLD_EXAMPLE, "job": APPLYING},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.find(self.queryset.all(), pk)

        def act(at: dt.datetime) -> Answer:
            form = UpdateExpirationSerializer(data=request.data)
            form.is_valid(raise_exception=True)
            asked = form.validated_data
            change = ExpirationChange(
                tag_id=pk, days=asked["new_expiration_days"], is_retroactive=asked["apply_retroactively"]
            )
            seen = {pk: asked_version(request, asked.get("version"))}
            tags = self.tags_for(seen, is_dry=asked["dry_run"])
            if pk not in tags:
                raise NotFound(f"There is no tag with the id {pk}.")
            told = _told(tags[pk], change)
            if asked["dry_run"]:
                effects, moves = _preview([change], at)
                return Answer(status=200, body=FOUND_EXAMPLE | told | _counts(effects) | moves)
            published = self.publish(request, [change], asked.get("reason", ""), at)
            if published is None:
                return Answer(status=200, body=_nothing(told))
            return Answer(status=202, body={"rule_change": published, **told})

        return self.once(request, act)


def _nothing(told: dict[str, Any]) -> dict[str, Any]:
    detail = "Nothing differs from what holds today, so nothing was published."
    return {"dry_run": False, "detail": detail, **NOTHING, **told}


class BulkUpdateExpiration(ExpirationView):
    @extend_schema(
        operation_id="tags_bulk_update_expiration",
        summary="Change how long many tags last",
        description="All of them or none, as one change of rules that one job applies. Every item that cannot be taken "
        "is named by its position and tag; `unknown_tags` and `repeated_tags` list ids. With `dry_run` the answer "
        "counts tag by tag what it would do, and over all tags together how many leads' scores would move.",
        tags=["Tags"],
        request=BulkExpirationSerializer,
        parameters=[IDEMPOTENCY_KEY, REPLAYED, LOCATION],
        responses=answers(202, BulkPublishedSerializer, 400, 409, 415, 422)
        | {(200, "application/json"): BulkNotWrittenSerializer},
        examples=[
            OpenApiExample(
                "Two tags",
                {
                    "changes": [
                        {"tag": 3, "new_expiration_days": 180, "apply_retroactively": True},
                        {"tag": 9, "new_expiration_days": None},
                    ],
                    "reason": "courts are faster now",
                },
                request_only=True,
            ),
            OpenApiExample(
                "A dry run",
                {**FOUND_EXAMPLE, "changes": [TOLD_EXAMPLE | COUNTS_EXAMPLE], **COUNTS_EXAMPLE, **MOVES_EXAMPLE},
                response_only=True,
                status_codes=["200"],
            ),
            OpenApiExample(
                "Published",
                {"rule_change": 12, "changes": [TOLD_EXAMPLE], "job": APPLYING},
                response_only=True,
                status_codes=["202"],
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        def act(at: dt.datetime) -> Answer:
            asked = _checked(request.data)
            items = asked["changes"]
            changes = [
                ExpirationChange(
                    tag_id=item["tag"], days=item["new_expiration_days"], is_retroactive=item["apply_retroactively"]
                )
                for item in items
            ]
            seen = {item["tag"]: item.get("version") for item in items}
            tags = self.tags_for(seen, is_dry=asked["dry_run"])
            told = [_told(tags[change.tag_id], change) for change in changes]
            if asked["dry_run"]:
                effects, moves = _preview(changes, at)
                by_tag = {effect.tag_id: effect for effect in effects}
                each = [one | _counts([by_tag[one["tag"]["id"]]]) for one in told]
                return Answer(status=200, body={**FOUND_EXAMPLE, "changes": each, **_counts(effects), **moves})
            published = self.publish(request, changes, asked.get("reason", ""), at)
            if published is None:
                return Answer(status=200, body=_nothing({"changes": told}))
            return Answer(status=202, body={"rule_change": published, "changes": told})

        return self.once(request, act)


def _checked(data: Any) -> dict[str, Any]:
    """The request, sound. Raises ItemsRefused with all that is wrong with any item."""
    form = BulkExpirationSerializer(data=data)
    errors: dict[str, Any] = {} if form.is_valid() else dict(form.errors)
    items = data.get("changes") if isinstance(data, Mapping) else None
    unknown: list[int] = []
    repeated: list[int] = []
    if isinstance(items, list) and len(items) <= MOST:
        wrong = errors.get("changes", [])
        # REST framework gives the errors of items by their positions, those of the list as messages.
        by_position = {str(n): dict(one) for n, one in wrong.items()} if isinstance(wrong, dict) and items else {}
        ids = {
            n: item["tag"] for n, item in enumerate(items) if isinstance(item, dict) and type(item.get("tag")) is int
        }
        asked = {pk for pk in ids.values() if 0 < pk <= MAX_ID}
        known = set(Tag.objects.filter(pk__in=asked).values_list("pk", flat=True))
        unknown = sorted(set(ids.values()) - known)
        repeated = sorted(pk for pk, times in Counter(ids.values()).items() if times > 1)
        first: dict[int, int] = {}
        for n, pk in ids.items():
            texts = by_position.get(str(n), {}).get("tag", [])
            if pk not in known:
                texts = [*texts, f"There is no tag with the id {str(pk)[:40]}."]
            if first.setdefault(pk, n) != n:
                texts = [*texts, f"Tag {pk} stands at position {first[pk]} already; name each tag once."]
            if texts:
                by_position.setdefault(str(n), {})["tag"] = texts
        if by_position:
            errors["changes"] = by_position
    if errors:
        raise ItemsRefused(errors, unknown=unknown, repeated=repeated)
    values: dict[str, Any] = form.validated_data
    return values
