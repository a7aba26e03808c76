from django.urls import path

from scoring import rule_views, views

app_name = "scoring"
urlpatterns = [
    path("what-if/", rule_views.what_if_panel, name="what-if"),
    path("what-if/moves/", rule_views.moves, name="what-if-moves"),
    path("recalculate/", views.recalculate, name="recalculate"),
    path("lead/<int:pk>/", views.lead_panel, name="lead-panel"),
    path("lead/<int:pk>/forecast/", views.forecast_panel, name="lead-forecast"),
    path("lead/<int:pk>/history/", views.history_panel, name="lead-history"),
]
