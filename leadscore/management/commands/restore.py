"""manage.py restore FILE"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from leadscore.backups import BackupRefused, read_backup


class Command(BaseCommand):
    help = "Bring a file of `backup` into an empty database, and up to this version's schema."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            read_backup(path=options["file"].absolute())
        except BackupRefused as refusal:
            raise CommandError(str(refusal)) from None
        call_command("migrate", interactive=False, verbosity=0)
        self.stdout.write(f"Restored. Uploads belong into {settings.UPLOAD_DIR}.")
