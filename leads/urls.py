from django.urls import path

from leads import views

app_name = "leads"
urlpatterns = [
    path("", views.lead_list, name="list"),
    path("<int:pk>/", views.lead_detail, name="detail"),
    path("<int:pk>/suppress/", views.suppress, name="suppress"),
    path("<int:pk>/unsuppress/", views.unsuppress, name="unsuppress"),
]
