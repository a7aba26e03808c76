from django.apps import AppConfig


class TagsConfig(AppConfig):
    name = "tags"

    def ready(self) -> None:
        from simple_history.signals import pre_create_historical_record

        from jobs.registry import register as register_job
        from tags import bulk, notices
        from tags.lead_pages import register
        from tags.operations import note_rule_change_in_history

        pre_create_historical_record.connect(note_rule_change_in_history, dispatch_uid="tags.rule_change")
        register_job(notices.CHECK, notices.run_check)
        register()
        register_job(bulk.BULK_TAG, bulk.run_bulk_tagging, work=bulk.tag_range, next_steps=bulk.next_steps)
        register_job(bulk.UNDO, bulk.run_undo, work=bulk.undo_range, next_steps=bulk.next_steps)
