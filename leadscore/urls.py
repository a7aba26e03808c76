from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

from accounts.guessing import AdminLoginForm, LoginForm, told_by_status
from accounts.views import me
from leadscore import views
from scoring.views import distribution

admin.site.site_header = admin.site.site_title = "LeadScore"
admin.site.index_title = "Configuration"
admin.site.login_form = AdminLoginForm

urlpatterns = [
    path("", views.home, name="home"),
    path("leads/", include("leads.urls")),
    path("imports/", include("imports.urls")),
    path("tags/", include("tags.urls")),
    path("scoring/", include("scoring.urls")),
    path("", include("scoring.run_urls")),
    path("scores/", distribution, name="scores"),
    path("", include("territories.urls")),
    path("jobs/", include("jobs.urls")),
    path("me/", me, name="me"),
    path(
        "login/",
        told_by_status(LoginView.as_view(redirect_authenticated_user=True, authentication_form=LoginForm)),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("healthz", views.healthz, name="healthz"),
    path("api/", include("leadscore.api_urls")),
    path("admin/login/", told_by_status(admin.site.login)),
    path("admin/", admin.site.urls),
]

handler400 = views.bad_request
handler403 = views.permission_denied
handler404 = views.not_found
handler500 = views.server_error
