from django.urls import path

from scoring import run_views

app_name = "runs"
urlpatterns = [
    path("scores/runs/", run_views.run_list, name="list"),
    path("scores/runs/<int:pk>/again/", run_views.run_again, name="again"),
    path("metrics", run_views.MetricsView.as_view(), name="metrics"),
]
