from django.apps import AppConfig


class TerritoriesConfig(AppConfig):
    name = "territories"

    def ready(self) -> None:
        """Each part of the room registers what it adds to jobs, lead pages and alarms."""
        from jobs.registry import register as register_job
        from scoring.alarms import add_source
        from territories import alarms, lead_pages
        from territories.generation import own_criteria, runs

        register_job(runs.GENERATE, runs.run_generation, next_steps=runs.next_steps)
        own_criteria.register()
        lead_pages.register()
        add_source(alarms.look, right="territories.view_webhookmessage")
