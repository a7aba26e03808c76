"""What other expiration days would do: to assignments, and by these to scores."""

import datetime as dt
from collections.abc import Sequence

from scoring.what_if import WhatIf, what_if
from tags.expirations import ExpirationChange, ExpirationEffect, preview_expirations, tags_of


def preview_expirations_with_scores(
    *, changes: Sequence[ExpirationChange], at: dt.datetime, threshold: int = 1000
) -> tuple[list[ExpirationEffect], WhatIf]:
    """The effect of each change on assignments, in the order given, and that of all together on scores.

    Nothing is written. Raises as `preview_expirations` does.
    """
    effects = preview_expirations(changes=changes, at=at)
    tags = tags_of(changes)
    for change in changes:
        tags[change.tag_id].expiration_days = change.days
    retroactive = [change.tag_id for change in changes if change.is_retroactive]
    return effects, what_if(proposed=list(tags.values()), at=at, threshold=threshold, retroactive_tag_ids=retroactive)
