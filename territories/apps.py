from django.apps import AppConfig


class TerritoriesConfig(AppConfig):
    name = "territories"

    def ready(self) -> None:
        """Each part of the room registers what it adds to jobs and lead pages."""
