from django.urls import path

from tags import views

app_name = "tags"
urlpatterns = [
    path("lead/<int:pk>/", views.lead_panel, name="lead-panel"),
    path("lead/<int:pk>/assign/", views.assign, name="assign"),
    path("lead/<int:pk>/remove/<int:tag_id>/", views.remove, name="remove"),
]
