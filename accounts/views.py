from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from accounts.forms import MeForm
from accounts.models import User
from accounts.pages import HtmxHttpRequest, person_of, show


@require_http_methods(["GET", "HEAD", "POST"])
def me(request: HtmxHttpRequest) -> HttpResponse:
    """What the person who is logged in may set: time zone and mail. Nobody else's: the address names none."""
    person = User.objects.get(pk=person_of(request).pk)  # a form writes what was typed on its object, sound or not
    form = MeForm(request.POST if request.method == "POST" else None, instance=person)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("me")
    status = 422 if form.is_bound else 200
    return show(request, "accounts/me.html", {"form": form, "email": person_of(request).email}, status=status)
