from django.urls import include, path

app_name = "territories"
urlpatterns = [
    path("", include("territories.contractors.urls")),
    path("", include("territories.holdings.urls")),
    path("", include("territories.geo.urls")),
    path("", include("territories.generation.urls")),
    path("", include("territories.referrals.urls")),
    path("", include("territories.webhooks.urls")),
]
