"""Rights of this room; what the engine writes stands on Lead and LeadTag."""

from django.db import models


class ScoringRights(models.Model):
    """No table: it only names the rights."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("recalculate_scores", "Can recalculate all scores")]

    def __str__(self) -> str:
        return "scoring rights"
