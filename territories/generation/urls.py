from django.urls import path

from territories.generation import views

urlpatterns = [
    path("generation/", views.profile_list, name="generation"),
    path("generation/new/", views.profile_new, name="new-profile"),
    path("generation/<int:pk>/", views.profile_detail, name="profile"),
    path("generation/<int:pk>/preview/", views.profile_preview, name="profile-preview"),
    path("generation/<int:pk>/run/", views.profile_run, name="profile-run"),
    path("generation/<int:pk>/archive/", views.profile_archive, name="profile-archive"),
    path("generation/runs/<int:pk>/take-back/", views.take_back, name="take-back-run"),
]
