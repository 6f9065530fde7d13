"""The shop and the cart, which a visitor has before logging in and keeps."""

from flask import Blueprint, abort, flash, redirect, render_template, request, session, url_for

pages = Blueprint("cart", __name__)

TEAS = ("Assam", "Darjeeling", "Sencha")


@pages.get("/")
def show():
    return render_template("shop.html", teas=TEAS, cart=session.get("cart", []))


@pages.post("/cart")
def add():
    tea = request.form["tea"]
    if tea not in TEAS:
        abort(400)
    session.append("cart", tea)
    flash(f"{tea} is in the cart.")
    return redirect(url_for("cart.show"))


@pages.post("/cart/empty")
def empty():
    session.pop("cart", None)
    flash("The cart is empty.")
    return redirect(url_for("cart.show"))
