"""ImportBatch: one file's journey. ImportRow: what became of each row, and the evidence it brought."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from jobs.models import Job
from leads.models import Lead


class ImportBatch(models.Model):
    """One file: how it is read, what was asked, and the counts that add up."""

    class OnDuplicate(models.TextChoices):
        FILL = "fill", "Fill blanks"
        OVERWRITE = "overwrite", "Overwrite"
        SKIP = "skip", "Keep what is there"

    class UnknownTags(models.TextChoices):
        CREATE = "create", "Create them, to be reviewed"
        REJECT = "reject", "Reject their rows"

    class Status(models.TextChoices):
        DRAFT = "draft"
        STARTED = "started"
        SUCCEEDED = "succeeded"

    name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField(help_text="bytes")
    stored_as = models.CharField(max_length=255, help_text="Name of the file in the upload directory.")
    source = models.CharField(max_length=100, help_text="Who the list comes from.")
    default_city = models.TextField(blank=True)
    default_state = models.TextField(blank=True)
    on_duplicate = models.CharField(max_length=10, choices=OnDuplicate, default=OnDuplicate.FILL)
    unknown_tags = models.CharField(max_length=10, choices=UnknownTags, default=UnknownTags.CREATE)
    tag_ids = ArrayField(models.BigIntegerField(), default=list, blank=True, help_text="Tags for the whole file.")
    layout = models.JSONField(default=dict, help_text="How the file is read (files.Layout).")
    mapping = models.JSONField(default=dict, help_text="Which column feeds which field (mapping.Mapping).")
    job = models.OneToOneField(Job, null=True, blank=True, on_delete=models.PROTECT, related_name="import_batch")
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    created_at = models.DateTimeField()
    staged = models.PositiveIntegerField(default=0, help_text="Rows staged, blank ones included.")
    rows = models.PositiveIntegerField(default=0)
    created = models.PositiveIntegerField(default=0)
    updated = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    blank = models.PositiveIntegerField(default=0)
    new_tag_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    notes = models.JSONField(default=list, blank=True)

    class Meta:
        permissions = [("import_leads", "Can import leads")]
        constraints = [
            models.CheckConstraint(
                condition=~Q(status="succeeded") | Q(rows=F("created") + F("updated") + F("unchanged") + F("rejected")),
                name="importbatch_counts_add_up",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("imports:detail", args=[self.pk])


class ImportRow(models.Model):
    """Evidence: one row of one file, what became of it, and what it said that no field holds."""

    class Outcome(models.TextChoices):
        CREATED = "created"
        UPDATED = "updated"
        UNCHANGED = "unchanged"
        REJECTED = "rejected"

    # The one statement that writes rows takes lead and batch from the tables themselves; checking each row again
    # at commit would cost a tenth of the import.
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.CASCADE, related_name="row_set", db_index=False, db_constraint=False
    )
    line = models.PositiveIntegerField()
    lead = models.ForeignKey(
        Lead, null=True, on_delete=models.SET_NULL, related_name="import_rows", db_constraint=False
    )
    outcome = models.CharField(max_length=9, choices=Outcome)
    reason = models.TextField(blank=True, db_default="", help_text="Why it was rejected.")
    tag_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    asserted_at = models.DateTimeField(null=True, blank=True, help_text="The date from which its tags count.")
    before = models.JSONField(null=True, blank=True, help_text="Values of the lead that this row changed.")
    extra = models.JSONField(null=True, blank=True, help_text="Columns that matched nothing; of a rejected row, all.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["batch", "line"], name="importrow_unique_line"),
            models.CheckConstraint(
                condition=Q(outcome="rejected", reason__gt="") | (~Q(outcome="rejected") & Q(reason="")),
                name="importrow_rejected_says_why",
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.line} of {self.batch_id}"
