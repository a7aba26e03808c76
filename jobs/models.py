"""A Job is the truth about a piece of background work; the broker only wakes a worker."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

# A worker beats every few seconds; one that has been silent this long is taken for dead.
STALE_AFTER = timedelta(seconds=45)


class JobQuerySet(models.QuerySet["Job"]):
    def live(self) -> "JobQuerySet":
        """Queued or running."""
        return self.filter(status__in=Job.LIVE)

    def newest_first(self) -> "JobQuerySet":
        return self.order_by("-pk")


class Job(models.Model):
    """One piece of work with its progress, its result and, if it failed, the reason in words."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    LIVE = (Status.QUEUED, Status.RUNNING)

    kind = models.CharField(max_length=40)
    key = models.CharField(  # noqa: DJ001  (null: no single flight; unique among the rest)
        max_length=200, null=True, blank=True, help_text="Single flight: one live job per kind and key."
    )
    slot = models.CharField(  # noqa: DJ001  (null: asked for by a person, as often as they like)
        max_length=40,
        null=True,
        blank=True,
        help_text="What this run is for, such as a date: one job per kind and slot.",
    )
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    stage = models.CharField(max_length=60, blank=True)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(default=0)
    params = models.JSONField(default=dict, blank=True)
    cursor = models.JSONField(default=dict, blank=True, help_text="Where the next chunk begins.")
    chunk = models.PositiveIntegerField(default=0, help_text="Chunks committed; each names the one it follows.")
    attempt = models.PositiveIntegerField(default=0)
    attempts_before = models.PositiveIntegerField(
        default=0, help_text="Attempts made when a person last began it anew."
    )
    failures = models.PositiveSmallIntegerField(default=0, help_text="Unforeseen failures; a slot's job has three.")
    worker = models.CharField(max_length=120, blank=True, help_text="host:pid:start of the process at work.")
    as_of = models.DateTimeField(help_text="The moment that the whole job counts as now.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    announced_at = models.DateTimeField(null=True, blank=True)
    is_cancel_requested = models.BooleanField(default=False)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        permissions = [("view_metrics", "Can read the metrics")]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "key"],
                condition=Q(status__in=["queued", "running"]),
                name="job_single_flight",
            ),
            models.UniqueConstraint(fields=["kind", "slot"], condition=Q(slot__isnull=False), name="job_one_per_slot"),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running", "succeeded", "failed", "cancelled"]),
                name="job_known_status",
            ),
        ]
        indexes = [
            models.Index(
                fields=["status", "heartbeat_at"],
                condition=Q(status__in=["queued", "running"]),
                name="job_live",
            ),
            models.Index(fields=["kind", "-id"], name="job_by_kind"),
            models.Index(fields=["finished_at"], condition=Q(status="failed"), name="job_failed"),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.status})"

    def get_absolute_url(self) -> str:
        return reverse("jobs:detail", args=[self.pk])

    @property
    def is_live(self) -> bool:
        return self.status in self.LIVE

    @property
    def percent(self) -> int:
        """Whole percent done, 100 only when the job has ended well."""
        if self.status == self.Status.SUCCEEDED:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0


class Tick(models.Model):
    """The slot in which some light periodic work was last done, where a Job each time would be too much."""

    name = models.CharField(max_length=60)
    slot = models.CharField(max_length=200)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["name"], name="tick_one_per_name")]

    def __str__(self) -> str:
        return f"{self.name}: {self.slot}"


class JobRange(models.Model):
    """A slice (after, upto] of a job's work: one transaction of any worker, whose lock on this row is the claim."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="ranges")
    after = models.BigIntegerField()
    upto = models.BigIntegerField()
    done = models.PositiveBigIntegerField(default=0, help_text="What it adds to the job's bar.")
    counts = models.JSONField(null=True, blank=True, help_text="What it brought; null until it is done.")
    worker = models.CharField(max_length=120, blank=True, help_text="host:pid:start of the process that did it.")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(after__lt=models.F("upto")), name="jobrange_not_empty"),
        ]

    def __str__(self) -> str:
        return f"({self.after}, {self.upto}]"
