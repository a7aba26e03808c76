from django.urls import URLPattern, path

from territories.webhooks import views

urlpatterns: list[URLPattern] = [
    path("contractors/<int:pk>/webhook/", views.webhook, name="webhook"),
    path("contractors/<int:pk>/webhook/rotate/", views.rotate, name="webhook-rotate"),
    path("contractors/<int:pk>/webhook/test/", views.test, name="webhook-test"),
    path("contractors/<int:pk>/webhook/resend/", views.resend_all, name="webhook-resend-dead"),
    path("webhooks/", views.webhooks, name="webhooks"),
    path("webhooks/<uuid:pk>/", views.webhook_message, name="webhook-message"),
    path("webhooks/<uuid:pk>/resend/", views.resend, name="webhook-resend"),
]
