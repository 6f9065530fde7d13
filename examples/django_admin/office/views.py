"""The pages beside the admin's: one for everybody, and one for users."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.cache import never_cache


def home(request):
    return render(request, "home.html")


@never_cache  # nothing of it stays on the disk of a shared computer
@login_required
def account(request):
    # Exact, even when requests of one browser race.
    return render(request, "account.html", {"visits": request.session.increment("visits")})
