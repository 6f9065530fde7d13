"""Where the pages are."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.home),
    path("shop", views.shop),
    path("count", views.count),
    path("cart", views.cart),
    path("login", views.login),
    path("logout", views.logout),
    path("whoami", views.whoami),
    path("file", views.file),
    path("stream", views.stream),
    path("streamed", views.streamed),
]
