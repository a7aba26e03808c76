from django.urls import path

from tags import bulk_views, rule_views, views

app_name = "tags"
urlpatterns = [
    path("", rule_views.tag_list, name="list"),
    path("new/", rule_views.tag_new, name="new"),
    path("<int:pk>/", rule_views.tag_detail, name="detail"),
    path("groups/new/", rule_views.group_new, name="new-group"),
    path("groups/<int:pk>/", rule_views.group_detail, name="group"),
    path("changes/", rule_views.change_list, name="changes"),
    path("changes/<int:pk>/", rule_views.change_detail, name="change"),
    path("curve/", rule_views.curve, name="curve"),
    path("bulk/", bulk_views.bulk, name="bulk"),
    path("bulk/<int:pk>/", bulk_views.bulk_job, name="bulk-job"),
    path("bulk/<int:pk>/undo/", bulk_views.undo, name="undo"),
    path("lead/<int:pk>/", views.lead_panel, name="lead-panel"),
    path("lead/<int:pk>/assign/", views.assign, name="assign"),
    path("lead/<int:pk>/remove/<int:tag_id>/", views.remove, name="remove"),
]
