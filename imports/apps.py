from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "imports"

    def ready(self) -> None:
        from imports.operations import IMPORT, run_import
        from jobs.registry import register
        from leads.registry import Panel, add_panel

        register(IMPORT, run_import)
        add_panel(Panel(key="evidence", title="What the lists say", url_name="imports:lead-panel", order=30))
