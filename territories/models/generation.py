"""GenerationProfile: which leads are offered, and how many."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.urls import reverse

from tags.models import Tag


class GenerationProfile(models.Model):
    """Quality rules and limits of lead generation, saved under a name. A run keeps a copy in its job."""

    name = models.CharField(max_length=100)
    min_score = models.IntegerField(help_text="Leads with this score or more.")
    required_tags = models.ManyToManyField(Tag, blank=True, related_name="+", help_text="The lead has all of these.")
    excluded_tags = models.ManyToManyField(Tag, blank=True, related_name="+", help_text="The lead has none of these.")
    zips = ArrayField(models.CharField(max_length=5), default=list, blank=True, help_text="Only these ZIPs; none: all.")
    counties = ArrayField(
        models.CharField(max_length=5), default=list, blank=True, help_text="Only these counties, by FIPS; none: all."
    )
    max_reason_age_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="The newest reason is at most so old; blank: any age."
    )
    not_referred_days = models.PositiveIntegerField(
        default=90, help_text="Leaves out leads that were assigned to anybody within so many days."
    )
    max_referrals = models.PositiveIntegerField(default=1000, help_text="Most referrals of one run.")
    max_per_zip = models.PositiveIntegerField(null=True, blank=True, help_text="Most of one run in one ZIP.")
    max_per_contractor = models.PositiveIntegerField(
        null=True, blank=True, help_text="Most of one run for one contractor, beside the contractor's own caps."
    )
    includes_unheld = models.BooleanField(
        default=True, help_text="Also leads of ZIPs that nobody holds; they wait for the ZIP to be taken."
    )
    criteria = models.JSONField(
        default=dict, blank=True, help_text="Values of the criteria that other rooms have registered, by key."
    )
    runs_nightly = models.BooleanField(default=False, help_text="Runs each night after the scores.")
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        permissions = [("generate_leads", "Can make referrals from leads")]
        constraints = [
            models.UniqueConstraint(
                Lower("name"), condition=Q(archived_at__isnull=True), name="generationprofile_unique_name"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("territories:profile", args=[self.pk])
