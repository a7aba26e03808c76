from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.pages import HtmxHttpRequest, needs, show, wants_part
from territories.geo.forms import MapForm
from territories.geo.map import territory_map


@require_safe
@needs("territories.view_territory")
def territory_map_page(request: HtmxHttpRequest) -> HttpResponse:
    """Who holds what, and where leads wait; the part of the country and what is shown stand in the address."""
    form = MapForm(request.GET)
    asked = form.asked()
    context = {
        "form": form,
        "problems": [(form.fields[name].label, notes[0]) for name, notes in form.errors.items()],
        "asked": asked,
        "map": territory_map(asked=asked, at=timezone.now()),
        "country_link": asked.address(state="", county=""),
        "state_link": asked.address(county=""),
        "all_link": asked.address(contractor_id=None),
    }
    response = show(request, "territories/map.html", context, part="results")
    if wants_part(request):
        address = asked.address()
        # Nothing where the browser stands there already, else Back would need a press more.
        response["HX-Push-Url"] = "false" if request.htmx.current_url_abs_path == address else address
    return response
