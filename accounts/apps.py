from django.apps import AppConfig
from django.contrib.auth.signals import user_login_failed
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from accounts.guessing import note_wrong_login
        from accounts.roles import grant_role_permissions

        # Permissions exist only after every room has migrated, so the last signal grants them all.
        post_migrate.connect(grant_role_permissions, dispatch_uid="accounts.roles")
        user_login_failed.connect(note_wrong_login, dispatch_uid="accounts.guessing")
