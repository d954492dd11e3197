"""Two pages: /health, and /register/NAME, which waits for a worker."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from shop.tasks import register


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n")


def registered(request: HttpRequest, name: str) -> HttpResponse:
    count = register.delay(name).get(timeout=30)
    return HttpResponse(f"{name} is user {count}\n")


urlpatterns = [path("health", health), path("register/<str:name>", registered)]
