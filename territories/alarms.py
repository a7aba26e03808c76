"""What people must hear of: leads that a contractor's own system did not take, and a night that made no referrals."""

import datetime as dt

from django.urls import reverse
from django.utils import timezone

from scoring.alarms import Alarm
from territories.generation.runs import GENERATE
from territories.sql.alarms import read_state

NEWS_FOR = dt.timedelta(days=7)


def look(at: dt.datetime) -> list[Alarm]:
    """The alarms of this moment."""
    state, alarms = read_state(since=at - NEWS_FOR, kind=GENERATE), []
    if state["messages"]:
        messages = "1 message" if state["messages"] == 1 else f"{state['messages']:,} messages"
        whom = "a contractor" if state["contractors"] == 1 else f"{state['contractors']:,} contractors"
        alarms.append(
            Alarm(
                name="webhooks-dead",
                title=f"{messages} to {whom} did not arrive.",
                advice="Their system refused them, or did not answer in eight tries. Tell them, then send again.",
                url=reverse("territories:webhooks"),
                link="See the dead letters",
            )
        )
    if state["gone"]:
        whose = state["company"] if state["gone"] == 1 else f"{state['gone']:,} contractors"
        leads = "1 lead waits" if state["leads"] == 1 else f"{state['leads']:,} leads wait"
        is_one, until = state["gone"] == 1, timezone.localtime(state["expires_at"])
        alarms.append(
            Alarm(
                name="webhooks-gone",
                title=f"The webhook of {whose} is off: it answered that it is gone for ever.",
                advice=f"{leads} there, the first until {until:%B %-d}. Ask for the new address and switch it on; they "
                "can be fetched by the API, too.",
                url=reverse("territories:webhook", args=[state["contractor_id"]])
                if is_one
                else reverse("territories:webhooks"),
                link="Its webhook" if is_one else "The webhooks",
            )
        )
    if state["id"]:
        alarms.append(
            Alarm(
                name="generation-failed",
                title=f"{state['title']} failed on {timezone.localtime(state['finished_at']):%B %-d}.",
                advice="What it had made by then stands; the rest of the leads wait.",
                url=reverse("jobs:detail", args=[state["id"]]),
                link="See why",
            )
        )
    return alarms
