"""The pages. The user's data is in this package's session, the login in Django's."""

from pathlib import Path

from django.contrib import auth
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.views.decorators.http import require_POST

FORMS = """<!doctype html>
<title>Shop</title>
<form method="post" action="/cart">{% csrf_token %} <input name="item"> <button>Add to the cart</button></form>
<form method="post" action="/login">
  {% csrf_token %} <input name="user"> <input name="password" type="password"> <button>Log in</button>
</form>
<form method="post" action="/logout">{% csrf_token %} <button>Log out</button></form>
"""


def home(request):
    session = request.environ["session"]
    return JsonResponse({"hits": session.get("hits", 0), "cart": session.get("cart", [])})


def shop(request):
    return HttpResponse(engines["django"].from_string(FORMS).render(request=request))  # with Django's tokens


def count(request):
    # Exact, even when requests of one browser race; session["hits"] += 1 would keep only the last one.
    return JsonResponse({"hits": request.environ["session"].increment("hits")})


def cart(request):
    session = request.environ["session"]
    if request.method == "POST":
        session.append("cart", request.POST["item"])  # exact, too: no item from another tab is lost
    return JsonResponse({"cart": session.get("cart", [])})


@require_POST
def login(request):
    user = auth.authenticate(request, username=request.POST["user"], password=request.POST["password"])
    if user is None:
        return JsonResponse({"error": "wrong name or password"}, status=403)
    auth.login(request, user)
    session = request.environ["session"]
    session.rotate()  # Django's login() gave its own session a new id; this gives ours one
    session["user"] = user.get_username()
    return JsonResponse({"user": session["user"]})


@require_POST
def logout(request):
    auth.logout(request)
    request.environ["session"].destroy()
    return JsonResponse({"user": None})


def whoami(request):
    return JsonResponse({"user": request.environ["session"].get("user"), "django_user": request.user.get_username()})


def file(request):
    request.environ["session"].increment("downloads")
    return FileResponse(Path(__file__).open("rb"), content_type="text/x-python")


def stream(request):
    session = request.environ["session"]
    session["streamed"] = "a part"  # saved before the response headers go out with the first chunk

    def chunks():
        yield "one\n"
        session["streamed"] = "all of it"  # saved when the response ends
        yield "two\n"

    return StreamingHttpResponse(chunks(), content_type="text/plain")


def streamed(request):
    return JsonResponse({"streamed": request.environ["session"].get("streamed")})
