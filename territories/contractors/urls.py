from django.urls import path

from territories.contractors import views

urlpatterns = [
    path("contractors/", views.contractor_list, name="contractors"),
    path("contractors/new/", views.new_contractor, name="new-contractor"),
    path("contractors/<int:pk>/", views.contractor_detail, name="contractor"),
    path("contractors/<int:pk>/edit/", views.edit_contractor, name="edit-contractor"),
    path("contractors/<int:pk>/pause/", views.pause, name="pause-contractor"),
    path("contractors/<int:pk>/resume/", views.resume, name="resume-contractor"),
    path("contractors/<int:pk>/end/", views.end, name="end-contractor"),
    path("contractors/<int:pk>/login/", views.make_login, name="make-login"),
    path("contractors/<int:pk>/tokens/", views.make_token, name="make-token"),
    path("contractors/<int:pk>/tokens/rotate/", views.rotate, name="rotate-token"),
    path("contractors/<int:pk>/tokens/revoke/", views.revoke, name="revoke-token"),
]
