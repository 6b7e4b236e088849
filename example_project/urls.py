"""The chat page twice, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("", views.chat, name="chat"),
    path("async/", views.achat, name="achat"),
    path("admin/", admin.site.urls),
]
