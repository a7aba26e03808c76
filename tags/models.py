"""Tag: a reason to look at a lead. LeadTag: one reason on one lead, on its own clock."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from jobs.models import Job
from leads.models import Lead

MAX_BASE = 100_000
MAX_DAYS = 36_500
MAX_STEPS = 12
MAX_NAME_KEY = 160


def fold_name(name: str) -> str:
    """How tag names compare: without case, spaces and punctuation."""
    return "".join(c for c in name.casefold() if c.isalnum())


def validate_decay_steps(steps: Any) -> None:
    """Refuse anything but up to 12 pairs [days, percent] with rising days."""
    shape = "Write decay steps as [[days, percent], ...], such as [[30, 80], [90, 50]]"
    if not isinstance(steps, list):
        raise ValidationError(f"{shape}; this is not a list.")
    if len(steps) > MAX_STEPS:
        raise ValidationError(f"A tag has at most {MAX_STEPS} decay steps; these are {len(steps)}.")
    last = 0
    for number, step in enumerate(steps, 1):
        whole = isinstance(step, list) and len(step) == 2 and all(type(part) is int for part in step)
        if not whole:
            raise ValidationError(f"{shape}; step {number} is {step!r}.")
        days, percent = step
        if not 1 <= days <= MAX_DAYS:
            raise ValidationError(f"Step {number}: {days} days is outside 1 to {MAX_DAYS:,}.")
        if not 0 <= percent <= 100:
            raise ValidationError(f"Step {number}: {percent} percent is outside 0 to 100.")
        if days <= last:
            raise ValidationError(f"Step {number}: {days} days does not come after {last}; sort the steps by days.")
        last = days


class RuleChange(models.Model):
    """A published change of tags or groups: who, when, why; applied once every lead it touches is rescored."""

    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=200, blank=True)
    tag_ids = ArrayField(models.BigIntegerField(), default=list, help_text="Leads carrying these are rescored.")
    retroactive_tag_ids = ArrayField(
        models.BigIntegerField(),
        default=list,
        blank=True,
        help_text="Of these the running assignments got their expiration anew, each from its own start.",
    )
    affected = models.PositiveBigIntegerField(null=True, blank=True, help_text="Assignments whose expiration moved.")
    expired = models.PositiveBigIntegerField(null=True, blank=True, help_text="Of these, how many ended by it.")
    revived = models.PositiveBigIntegerField(null=True, blank=True, help_text="Of these, how many live again by it.")
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=Q(applied_at__isnull=True), name="rulechange_unapplied")]

    def __str__(self) -> str:
        return f"Rule change {self.pk}"


class HistoryOfRules(models.Model):
    """What each history row of a rule carries besides the values: the change that published them."""

    rule_change = models.ForeignKey(RuleChange, null=True, on_delete=models.DO_NOTHING, related_name="+")

    class Meta:
        abstract = True


class TagGroup(models.Model):
    """Tags that say much the same; a cap keeps them from counting twice."""

    name = models.CharField(max_length=80)
    cap = models.IntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(MAX_BASE * 10)],
        help_text="The most points that the group's tags give together; blank: no cap.",
    )
    history = HistoricalRecords(bases=[HistoryOfRules])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], name="taggroup_unique_name"),
            models.CheckConstraint(condition=Q(cap__isnull=True) | Q(cap__gte=0), name="taggroup_cap_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name


class TagQuerySet(models.QuerySet["Tag"]):
    def active(self) -> "TagQuerySet":
        return self.filter(is_archived=False)


class Tag(models.Model):
    """A reason to call, with its points, how they fade and when they end."""

    class Reassertion(models.TextChoices):
        KEEP = "keep", "Keep the running clock"
        RESTART = "restart", "Restart the clock"

    name = models.CharField(max_length=80)
    name_key = models.CharField(max_length=MAX_NAME_KEY, editable=False)
    description = models.CharField(max_length=200, blank=True)
    color = models.CharField(
        max_length=7,
        default="#667382",
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", "Write a colour as #rrggbb.")],
    )
    base_score = models.IntegerField(
        default=0,
        validators=[MinValueValidator(-MAX_BASE), MaxValueValidator(MAX_BASE)],
        help_text="Points of a fresh assignment; may be negative.",
    )
    expiration_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)],
        help_text="Days until an assignment expires; blank: never. Holds for later assignments.",
    )
    notice_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)],
        help_text="Days before its expiration from which it counts as expiring soon; blank: as the installation says.",
    )
    decay_steps = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_decay_steps],
        help_text="[[days, percent], ...]: from that age on, that percent of the points is left.",
    )
    expired_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(100)],
        help_text="The most percent of the points that is left after expiry.",
    )
    reassertion = models.CharField(
        max_length=8,
        choices=Reassertion,
        default=Reassertion.KEEP,
        help_text="What a later list does to a clock that still runs.",
    )
    group = models.ForeignKey(TagGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="tags")
    is_archived = models.BooleanField(default=False, help_text="Counts no more; its assignments are kept.")
    needs_review = models.BooleanField(default=False, help_text="Made by an import; give it points.")
    merged_into = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="merged_tags",
        help_text="The tag that took over its leads and its name; lists that use the name find that one.",
    )
    history = HistoricalRecords(bases=[HistoryOfRules])

    objects = TagQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        permissions = [("assign_tag", "Can put tags on leads")]
        constraints = [
            models.UniqueConstraint(
                fields=["name_key"],
                name="tag_unique_name",
                violation_error_message="Another tag has this name (case, spaces and punctuation do not count).",
            ),
            models.CheckConstraint(
                condition=Q(base_score__gte=-MAX_BASE) & Q(base_score__lte=MAX_BASE), name="tag_base_in_range"
            ),
            models.CheckConstraint(condition=Q(expired_percent__lte=100), name="tag_expired_percent_in_range"),
            models.CheckConstraint(
                condition=Q(expiration_days__isnull=True)
                | (Q(expiration_days__gte=1) & Q(expiration_days__lte=MAX_DAYS)),
                name="tag_expiration_days_in_range",
            ),
            models.CheckConstraint(
                condition=Q(notice_days__isnull=True) | (Q(notice_days__gte=1) & Q(notice_days__lte=MAX_DAYS)),
                name="tag_notice_days_in_range",
            ),
            models.CheckConstraint(
                condition=Q(merged_into__isnull=True) | Q(is_archived=True), name="tag_merged_is_archived"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.name_key = fold_name(self.name)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        self.name = " ".join(self.name.split())
        self.decay_steps = self.decay_steps or []  # an emptied box
        self.name_key = fold_name(self.name)
        if not self.name_key:
            raise ValidationError({"name": "A tag's name needs a letter or a digit."})
        if len(self.name_key) > MAX_NAME_KEY:  # one character may fold into three
            raise ValidationError({"name": "Spelled out for comparison this name is too long; choose a shorter one."})
        if self.pk and self.merged_into is not None and Tag.objects.filter(pk=self.pk, merged_into=self.merged_into):
            raise ValidationError(
                f"This tag was merged into {self.merged_into}, so its rule counts no more: "
                "undo the merge first, or change that tag."
            )
        if TagAlias.objects.filter(name_key=self.name_key).exclude(tag_id=self.pk).exists():
            raise ValidationError({"name": "This is a former name of another tag; choose a different one."})
        if Tag.objects.filter(name_key=self.name_key).exclude(pk=self.pk).exists():  # forms leave name_key out
            raise ValidationError({"name": "Another tag has this name (case, spaces and punctuation do not count)."})

    @property
    def notice(self) -> dt.timedelta:
        """How long before its expiration an assignment counts as expiring soon."""
        days = settings.EXPIRY_NOTICE_DAYS if self.notice_days is None else self.notice_days
        return dt.timedelta(days=days)


class TagAlias(models.Model):
    """A former name; lists that still use it find the tag."""

    name_key = models.CharField(max_length=MAX_NAME_KEY)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="aliases")

    class Meta:
        verbose_name_plural = "tag aliases"
        constraints = [models.UniqueConstraint(fields=["name_key"], name="tagalias_unique_name")]

    def __str__(self) -> str:
        return self.name_key

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.name_key = fold_name(self.name_key)
        super().save(*args, **kwargs)

    def clean(self) -> None:
        self.name_key = fold_name(self.name_key)
        if not self.name_key:
            raise ValidationError({"name_key": "A former name needs a letter or a digit."})
        if Tag.objects.filter(name_key=self.name_key, merged_into=None).exists():
            raise ValidationError({"name_key": "A tag has this name today; only former names are kept here."})


class LeadTagQuerySet(models.QuerySet["LeadTag"]):
    def live(self) -> "LeadTagQuerySet":
        """Neither removed nor expired, by the flag that scoring keeps."""
        return self.filter(removed_at__isnull=True, is_expired=False)

    def expiring(self, *, tags: Iterable[Tag], at: dt.datetime) -> "LeadTagQuerySet":
        """Live ones of these tags that expire after `at`, at the latest at the end of their tag's notice.

        Every bound is a constant, the widest one apart, so that an index on expiration_at can serve.
        """
        by_notice: dict[dt.timedelta, list[int]] = {}
        for tag in tags:
            if not tag.is_archived:
                by_notice.setdefault(tag.notice, []).append(tag.pk)
        if not by_notice:
            return self.none()
        soon = Q()
        for notice, tag_ids in by_notice.items():
            soon |= Q(tag__in=tag_ids, expiration_at__lte=at + notice)
        return self.live().filter(soon, expiration_at__gt=at, expiration_at__lte=at + max(by_notice))

    def kept(self) -> "LeadTagQuerySet":
        """Not removed; expired ones included."""
        return self.filter(removed_at__isnull=True)


class LeadTag(models.Model):
    """One tag on one lead, each on its own clock; removing keeps the row."""

    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="lead_tags", db_index=False)
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT, related_name="lead_tags", db_index=False)
    assigned_at = models.DateTimeField()
    expiration_at = models.DateTimeField(null=True, blank=True, help_text="Blank: never.")
    is_expired = models.BooleanField(db_default=False, default=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = LeadTagQuerySet.as_manager()

    class Meta:
        constraints = [
            # It holds the clocks too: a pass over all leads reads it alone and in its order, whatever the table's.
            models.UniqueConstraint(
                fields=["lead", "tag"], include=["assigned_at", "expiration_at", "removed_at"], name="leadtag_unique"
            ),
            models.CheckConstraint(
                condition=Q(expiration_at__isnull=True) | Q(expiration_at__gt=F("assigned_at")),
                name="leadtag_expires_after_start",
            ),
        ]
        # No index names is_expired, so that flipping a flag touches none of them (a HOT update).
        indexes = [
            models.Index(fields=["tag", "lead"], name="leadtag_by_tag"),
            BrinIndex(
                fields=["expiration_at"],
                opclasses=["timestamptz_minmax_multi_ops"],
                pages_per_range=32,
                autosummarize=True,
                name="leadtag_by_expiration",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tag} on {self.lead}"

    def has_expired(self, at: dt.datetime) -> bool:
        """Whether it is over at `at`: its date says so, as it does to scoring, whatever a sweep has flagged yet."""
        return self.is_expired if self.expiration_at is None else self.expiration_at <= at

    def is_expiring(self, at: dt.datetime) -> bool:
        """Whether it is within its tag's notice; see `LeadTagQuerySet.expiring`."""
        is_ahead = self.expiration_at is not None and at < self.expiration_at <= at + self.tag.notice
        return is_ahead and not self.tag.is_archived and self.removed_at is None


class TagMerge(models.Model):
    """One tag merged into another, and what undoing it needs besides the assignments."""

    change = models.OneToOneField(RuleChange, on_delete=models.PROTECT, related_name="merge")
    merged = models.ForeignKey(Tag, on_delete=models.PROTECT, related_name="merges_away")
    into = models.ForeignKey(Tag, on_delete=models.PROTECT, related_name="merges")
    was_archived = models.BooleanField()
    alias_keys = ArrayField(models.CharField(max_length=160), help_text="Former names that went over with it.")
    moved = models.PositiveBigIntegerField(null=True, help_text="Assignments of leads that had the first tag only.")
    joined = models.PositiveBigIntegerField(null=True, help_text="Assignments of leads that had both tags.")
    undo_change = models.OneToOneField(RuleChange, null=True, on_delete=models.PROTECT, related_name="undone_merge")
    restored = models.PositiveBigIntegerField(null=True, help_text="Assignments that undoing gave back.")
    left = models.PositiveBigIntegerField(null=True, help_text="Assignments changed since, which undoing left alone.")

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=~Q(merged=F("into")), name="tagmerge_of_two_tags")]

    def __str__(self) -> str:
        return f"{self.merged} into {self.into}"


class MergedAssignment(models.Model):
    """What a merge found on one lead, and the clock that it left there: kept for 30 days, for undoing it."""

    merge = models.ForeignKey(TagMerge, on_delete=models.CASCADE, related_name="assignments", db_index=False)
    lead_id = models.BigIntegerField()
    assigned_at = models.DateTimeField()
    expiration_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    own_assigned_at = models.DateTimeField(null=True, help_text="Of the surviving tag; null: the lead had none.")
    own_expiration_at = models.DateTimeField(null=True)
    own_removed_at = models.DateTimeField(null=True)
    left_assigned_at = models.DateTimeField()
    left_expiration_at = models.DateTimeField(null=True)
    left_removed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["merge", "lead_id"], name="mergedassignment_unique")]

    def __str__(self) -> str:
        return f"lead {self.lead_id} in merge {self.merge_id}"


class FormerAssignment(models.Model):
    """What a bulk change found of one tag on one lead, and what it left: undo puts back the former where the latter
    still stands. Kept for 30 days.

    `written_assigned_at` null: it left no assignment.
    """

    pk = models.CompositePrimaryKey("job_id", "lead_id")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="+", db_index=False)
    # The statement that writes these takes lead and tag from the assignments themselves.
    lead = models.ForeignKey(Lead, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    existed = models.BooleanField(help_text="False: the lead had no assignment of the tag, not even a removed one.")
    assigned_at = models.DateTimeField(null=True)
    expiration_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    written_assigned_at = models.DateTimeField(null=True)
    written_expiration_at = models.DateTimeField(null=True)
    written_removed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(existed=True, assigned_at__isnull=False) | Q(existed=False, assigned_at__isnull=True),
                name="formerassignment_existed_had_a_start",
            ),
        ]

    def __str__(self) -> str:
        return f"tag {self.tag_id} on lead {self.lead_id} before job {self.job_id}"


def calculate_tag_expiration(*, assigned_at: dt.datetime, expiration_days: int | None) -> dt.datetime | None:
    """When an assignment ends: `assigned_at + expiration_days x 24 h`; None is never."""
    return None if expiration_days is None else assigned_at + dt.timedelta(days=expiration_days)
