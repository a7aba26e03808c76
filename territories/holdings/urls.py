from django.urls import path, re_path

from territories.holdings import views

urlpatterns = [
    path("territories/", views.territory_list, name="territories"),
    path("territories/assign/", views.assign, name="assign"),
    path("territories/exclusivity/", views.exclusivity, name="exclusivity"),
    path("territories/<int:pk>/end/", views.end, name="end-territory"),
    path("territories/<int:pk>/transfer/", views.transfer, name="transfer-territory"),
    re_path(r"^territories/zip/(?P<zip_code>[0-9]{5})/\Z", views.zip_detail, name="zip"),
    re_path(r"^territories/zip/(?P<zip_code>[0-9]{5})/wait/\Z", views.join, name="join-line"),
    path("territories/waits/<int:pk>/leave/", views.leave, name="leave-line"),
]
