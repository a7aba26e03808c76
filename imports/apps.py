from django.apps import AppConfig


class ImportsConfig(AppConfig):
    name = "imports"

    def ready(self) -> None:
        from imports import lead_pages
        from imports.operations import IMPORT, merge_range, run_import
        from jobs.registry import register

        register(IMPORT, run_import, work=merge_range)
        lead_pages.register()
