"""A session beside Flask's own, and the CSRF protection that Flask lacks.

Start it in this directory::

    export WSGI_SESSION_SECRET=$(wsgi-session keygen) FLASK_SECRET_KEY=$(wsgi-session keygen)
    gunicorn --workers 2 --preload flask_app:app

``flask.session`` stays Flask's: its cookie holds all of it, readable by the browser. The server keeps
``request.environ["session"]``, typed ``get_session(request.environ)``: in ``wsgi-session.sqlite3`` here, or in the
store that ``WSGI_SESSION_STORE`` names.
"""

from flask import Flask, flash, get_flashed_messages, render_template_string, request, stream_with_context

from wsgi_session import SessionMiddleware, get_session
from wsgi_session.csrf import CSRFMiddleware, csrf_field

FORMS = """<!doctype html>
<title>Shop</title>
{% set field = csrf_field(request.environ) | safe %}
<form method="post" action="/cart">{{ field }} <input name="item"> <button>Add to the cart</button></form>
<form method="post" action="/login">{{ field }} <input name="user"> <button>Log in</button></form>
<form method="post" action="/logout">{{ field }} <button>Log out</button></form>
"""

app = Flask(__name__)
app.config.from_prefixed_env()  # FLASK_SECRET_KEY signs Flask's own session, which carries the flashed messages
app.wsgi_app = SessionMiddleware(CSRFMiddleware(app.wsgi_app))
app.add_template_global(csrf_field)


@app.get("/")
def home():
    session = get_session(request.environ)
    return {"hits": session.get("hits", 0), "cart": session.get("cart", [])}


@app.get("/shop")
def shop():
    return render_template_string(FORMS)  # starts a session if there is none: a token belongs to one


@app.get("/count")
def count():
    return {"hits": get_session(request.environ).increment("hits")}


@app.get("/cart")
def cart():
    return {"cart": get_session(request.environ).get("cart", [])}


@app.post("/cart")
def add_to_cart():
    session = get_session(request.environ)
    session.append("cart", request.form["item"])  # exact, too: no item from another tab is lost
    return {"cart": session["cart"]}


@app.post("/login")
def login():
    session = get_session(request.environ)
    session.rotate()  # a new id: one planted before the login is worthless now, and so are earlier tokens
    session["user"] = request.form["user"]  # a real application checks a password first
    flash(f"Welcome, {session['user']}!")
    return {"user": session["user"]}


@app.post("/logout")
def logout():
    get_session(request.environ).destroy()
    return {"user": None}


@app.get("/whoami")
def whoami():
    return {"user": get_session(request.environ).get("user"), "messages": get_flashed_messages()}


@app.get("/stream")
def stream():
    session = get_session(request.environ)
    session["streamed"] = "a part"  # saved before the response headers go out with the first chunk

    @stream_with_context
    def chunks():
        yield "one\n"
        session["streamed"] = "all of it"  # saved when the response ends
        yield "two\n"

    return chunks(), {"Content-Type": "text/plain"}


@app.get("/streamed")
def streamed():
    return {"streamed": get_session(request.environ).get("streamed")}
