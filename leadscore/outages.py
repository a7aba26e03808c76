"""Knows a database that is away from a bug, and keeps the log short meanwhile."""

import logging

from django.db import InterfaceError, OperationalError

# 08: the connection broke. 57P: the server stops, starts or recovers. 53300: no connection is free.
AWAY_STATES = ("08", "57P", "53300")


def is_database_away(error: BaseException | None) -> bool:
    """Whether nobody answered, or the connection was lost; a deadlock or a timeout is something else."""
    if isinstance(error, OperationalError):
        state = getattr(error.__cause__, "sqlstate", None)  # none when nobody answered
        return state is None or state.startswith(AWAY_STATES)
    return isinstance(error, InterfaceError)


class OutageInOneLine(logging.Filter):
    """One line instead of a traceback: while the database is away every request and task would write its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and is_database_away(error):
            why = str(error).strip().partition("\n")[0]
            record.msg, record.args = f"{record.getMessage()} (the database is away: {why})", ()
            record.exc_info = record.exc_text = None
        return True
