from django.apps import AppConfig


class ScoringConfig(AppConfig):
    name = "scoring"

    def ready(self) -> None:
        from jobs.registry import register as register_job
        from leads import registry
        from scoring import lead_pages, operations
        from tags.operations import APPLY_RULE_CHANGE

        register_job(operations.RECALCULATE, operations.run_recalculation, work=operations.score_range)
        register_job(APPLY_RULE_CHANGE, operations.run_rule_change, work=operations.score_carriers)
        registry.on_due(operations.drain_after_commit)
        lead_pages.register()
