#!/usr/bin/env python
"""Django's command line, on embedded servers where DATABASE_URL or REDIS_URL is not set."""

import contextlib
import os
import sys
import warnings


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "leadscore.settings")
    try:
        from django.core.management import execute_from_command_line

        from leadscore.embedded import EmbeddedError
        from leadscore.embedded.environment import migration_turn, needs_servers, provide_servers
    except ImportError as error:
        sys.exit(f"{error}: run `make install`, then use .venv/bin/python.")

    arguments = sys.argv[1:]
    try:
        endpoints = provide_servers(arguments)
        if endpoints is not None:
            with migration_turn(endpoints) as is_due, contextlib.redirect_stdout(sys.stderr):
                if is_due:
                    execute_from_command_line([sys.argv[0], "migrate", "--noinput", "--verbosity=0"])
    except EmbeddedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    if not needs_servers(arguments):
        # makemigrations would like to ask a database; without one it says so at length, and works.
        warnings.filterwarnings("ignore", message="Got an error checking a consistent migration history")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
