from django.urls import path

from tags import bulk_views, expiration_views, rule_views, trail_views, views
from tags.merges import views as merge_views

app_name = "tags"
urlpatterns = [
    path("", rule_views.tag_list, name="list"),
    path("new/", rule_views.tag_new, name="new"),
    path("<int:pk>/", rule_views.tag_detail, name="detail"),
    path("groups/new/", rule_views.group_new, name="new-group"),
    path("groups/<int:pk>/", rule_views.group_detail, name="group"),
    path("<int:pk>/archive/", rule_views.archive, name="archive"),
    path("<int:pk>/merge/", merge_views.merge, name="merge"),
    path("merges/<int:pk>/", merge_views.merged, name="merged"),
    path("merges/<int:pk>/undo/", merge_views.undo, name="undo-merge"),
    path("changes/", trail_views.change_list, name="changes"),
    path("changes/export/", trail_views.export_changes, name="export-changes"),
    path("changes/<int:pk>/", rule_views.change_detail, name="change"),
    path("<int:pk>/expiration-effect/", rule_views.expiration_effect, name="expiration-effect"),
    path("expirations/", expiration_views.expirations, name="expirations"),
    path("expirations/effect/", expiration_views.expirations_effect, name="expirations-effect"),
    path("changes/<int:pk>/undo/", trail_views.undo, name="undo"),
    path("curve/", rule_views.curve, name="curve"),
    path("expiring/hide/", views.hide_expiring, name="hide-expiring"),
    path("expiring/show/", views.show_expiring, name="show-expiring"),
    path("bulk/", bulk_views.bulk, name="bulk"),
    path("bulk/<int:pk>/", bulk_views.bulk_job, name="bulk-job"),
    path("bulk/<int:pk>/undo/", bulk_views.undo, name="bulk-undo"),
    path("lead/<int:pk>/", views.lead_panel, name="lead-panel"),
    path("lead/<int:pk>/assign/", views.assign, name="assign"),
    path("lead/<int:pk>/remove/<int:tag_id>/", views.remove, name="remove"),
]
