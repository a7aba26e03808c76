from django.apps import AppConfig


class TagsConfig(AppConfig):
    name = "tags"

    def ready(self) -> None:
        from simple_history.signals import pre_create_historical_record

        from jobs.registry import register as register_job
        from tags import notices
        from tags.lead_pages import register
        from tags.operations import note_rule_change_in_history

        pre_create_historical_record.connect(note_rule_change_in_history, dispatch_uid="tags.rule_change")
        register_job(notices.CHECK, notices.run_check)
        register()
