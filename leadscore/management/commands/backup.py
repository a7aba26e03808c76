"""manage.py backup FILE"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from leadscore.backups import BackupRefused, write_backup


class Command(BaseCommand):
    help = "Write the database into a new file, while everything runs; `restore` brings it back."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"].absolute()
        try:
            size = write_backup(path=path)
        except BackupRefused as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(
            f"Wrote {path} ({size / 1e6:,.1f} MB). Keep with it: {settings.UPLOAD_DIR} and, where SECRET_KEY is not "
            f"set, {settings.DATA_DIR / 'secret_key'}."
        )
