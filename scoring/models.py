"""ScoreChange: one row for each change of a lead's score. What the engine writes besides stands on Lead and LeadTag."""

from django.db import models

from leads.models import Lead


class ScoringRights(models.Model):
    """No table: it only names the rights."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("recalculate_scores", "Can recalculate all scores")]

    def __str__(self) -> str:
        return "scoring rights"


class ScoreChange(models.Model):
    """History of a score, written by the statement that writes the score. Partitioned by month of `at`.

    Narrow and without foreign keys: there may be a row for each lead and night. Table and index are made by
    migration 0002.
    """

    class Cause(models.IntegerChoices):
        """Why; where several meet, the lowest number tells. The first three are what makes a lead due."""

        RULE_CHANGE = Lead.Cause.RULE_CHANGE.value, "rule change"
        IMPORT = Lead.Cause.IMPORT.value, "import"
        TAG_CHANGE = Lead.Cause.TAG_CHANGE.value, "tag change"
        EXPIRATION = 4, "expiration"
        DECAY = 5, "decay"

    lead_id = models.BigIntegerField()
    at = models.DateTimeField()
    from_score = models.IntegerField()
    to_score = models.IntegerField()
    cause = models.SmallIntegerField(choices=Cause)
    job_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        managed = False
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.from_score} to {self.to_score}"
