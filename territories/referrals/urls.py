from django.urls import path

from territories.referrals import return_views, views

urlpatterns = [
    path("referrals/", views.referrals, name="referrals"),
    path("referrals/report/", views.report, name="referral-report"),
    path("referrals/report/export/", views.export_report, name="export-referral-report"),
    path("referrals/<int:pk>/", views.referral, name="referral"),
    path("referrals/<int:pk>/accept/", views.accept, name="accept-referral"),
    path("referrals/<int:pk>/contact/", views.contact, name="contact-referral"),
    path("referrals/<int:pk>/convert/", views.convert, name="convert-referral"),
    path("referrals/<int:pk>/correct/", views.correct, name="correct-referral"),
    path("referrals/<int:pk>/cancel/", views.cancel, name="cancel-referral"),
    path("referrals/<int:pk>/release/", views.release, name="release-referral"),
    path("referrals/<int:pk>/return/", views.give_back, name="return-referral"),
    path("referrals/lead/<int:pk>/", views.lead_panel, name="lead-referrals"),
    path("referrals/lead/<int:pk>/refer/", views.refer, name="refer-lead"),
    path("returns/", return_views.returns, name="returns"),
    path("returns/<int:pk>/approve/", return_views.approve, name="approve-return"),
    path("returns/<int:pk>/refuse/", return_views.refuse, name="refuse-return"),
]
