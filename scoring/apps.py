from django.apps import AppConfig
from django.db.models.signals import post_migrate


def make_partitions(**kwargs: object) -> None:
    """After migrate: the history has room for the months to come."""
    from django.utils import timezone

    from scoring.sql import history

    history.make_partitions(at=timezone.now())


class ScoringConfig(AppConfig):
    name = "scoring"

    def ready(self) -> None:
        from jobs.registry import register as register_job
        from leads import registry
        from scoring import lead_pages, merges, nightly, operations
        from tags.queries import APPLY_RULE_CHANGE, MERGE_TAGS, UNDO_MERGE

        post_migrate.connect(make_partitions, sender=self, dispatch_uid="scoring.partitions")
        register_job(operations.RECALCULATE, operations.run_recalculation, work=operations.score_range)
        register_job(nightly.NIGHTLY, nightly.run_nightly, work=nightly.score_due_range, on_end=nightly.tell_people)
        register_job(APPLY_RULE_CHANGE, operations.run_rule_change, work=operations.score_carriers)
        register_job(MERGE_TAGS, merges.run_merge, work=merges.merge_range)
        register_job(UNDO_MERGE, merges.run_undo, work=merges.undo_range)
        registry.on_due(operations.drain_after_commit)
        lead_pages.register()
