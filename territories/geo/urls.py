from django.urls import path

from territories.geo import views

urlpatterns = [path("territories/map/", views.territory_map_page, name="map")]
