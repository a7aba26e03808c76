"""The addresses of the API. No trailing slashes; whatever is not here is a problem with status 404."""

from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

import imports.api
import jobs.api
import leads.api
import leads.suppression_api
import scoring.api
import scoring.rule_api
import tags.api
import tags.bulk_api
import territories.contractors.api
import territories.generation.api
import territories.holdings.api
import territories.referrals.api as referrals_api
from leadscore.pagination import KeysetPagination
from territories.contractor_api import api as contractors


class ContractorPages(KeysetPagination):
    """Rows of a contractor are long: each may hold its receipt."""

    default_limit = 25
    max_limit = 100


class Schema(SpectacularAPIView):
    """The description of the API, for anybody who is logged in; a contractor reads of its own routes."""

    permission_classes = [IsAuthenticated]

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        if not request.user.has_perm("leads.view_lead"):
            own = [pattern for pattern in urlpatterns if str(pattern.pattern).startswith("contractor/")]
            self.patterns = [path("api/", include(own))]


class Docs(SpectacularSwaggerSplitView):
    """The description to read and to try, from our own files."""

    permission_classes = [IsAuthenticated]
    url_name = "api:schema"


class Unknown(APIView):
    """Any other address below /api/."""

    permission_classes = [AllowAny]
    authentication_classes = []
    renderer_classes = [JSONRenderer]
    schema = None

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        path = request.path
        hint = f"; did you mean {path.rstrip('/')}?" if path.endswith("/") else ""
        raise NotFound(f"The API has nothing at {path[:200]}{hint}")


app_name = "api"
paged = {"pagination_class": KeysetPagination}
contractor_paged = {"pagination_class": ContractorPages}
urlpatterns = [
    path("leads", leads.api.LeadList.as_view(**paged), name="leads"),
    path("leads/import", imports.api.ImportLeads.as_view(), name="leads-import"),
    path("leads/bulk-tag", tags.bulk_api.BulkTag.as_view(), name="leads-bulk-tag"),
    path("leads/bulk-tag/<int:pk>/undo", tags.bulk_api.BulkTagUndo.as_view(), name="leads-bulk-tag-undo"),
    path("leads/recalculate-scores", scoring.api.RecalculateScores.as_view(), name="recalculate-scores"),
    path("leads/suppress", leads.suppression_api.LeadsSuppress.as_view(), name="leads-suppress"),
    path("leads/unsuppress", leads.suppression_api.LeadsUnsuppress.as_view(), name="leads-unsuppress"),
    path("leads/<int:pk>/suppress", leads.suppression_api.LeadSuppress.as_view(), name="lead-suppress"),
    path("leads/<int:pk>/unsuppress", leads.suppression_api.LeadUnsuppress.as_view(), name="lead-unsuppress"),
    path("leads/<int:pk>/assign", referrals_api.LeadAssign.as_view(), name="lead-assign"),
    path("leads/<int:pk>", leads.api.LeadDetail.as_view(), name="lead"),
    path("leads/<int:pk>/score", scoring.api.LeadScore.as_view(), name="lead-score"),
    path("leads/<int:pk>/forecast", scoring.api.LeadForecast.as_view(), name="lead-forecast"),
    path("leads/<int:pk>/score-history", scoring.api.LeadScoreHistory.as_view(**paged), name="lead-score-history"),
    path("scores/distribution", scoring.api.ScoreDistribution.as_view(), name="scores-distribution"),
    path("imports/<int:pk>", imports.api.ImportDetail.as_view(), name="import"),
    path("imports/<int:pk>/rejected", imports.api.ImportRejected.as_view(), name="import-rejected"),
    path("jobs", jobs.api.JobList.as_view(**paged), name="jobs"),
    path("jobs/<int:pk>", jobs.api.JobDetail.as_view(), name="job"),
    path("jobs/<int:pk>/cancel", jobs.api.JobCancel.as_view(), name="job-cancel"),
    path("tags", tags.api.TagList.as_view(**paged), name="tags"),
    path("tags/bulk-update-expiration", scoring.rule_api.BulkUpdateExpiration.as_view(), name="tags-bulk-expiration"),
    path("tags/<int:pk>", tags.api.TagDetail.as_view(), name="tag"),
    path("tags/<int:pk>/update-expiration", scoring.rule_api.UpdateExpiration.as_view(), name="tag-expiration"),
    path("contractors", territories.contractors.api.ContractorList.as_view(**paged), name="contractors"),
    path("contractors/<int:pk>", territories.contractors.api.ContractorDetail.as_view(), name="contractor"),
    path("contractors/<int:pk>/pause", territories.contractors.api.ContractorPause.as_view(), name="contractor-pause"),
    path(
        "contractors/<int:pk>/resume", territories.contractors.api.ContractorResume.as_view(), name="contractor-resume"
    ),
    path("contractors/<int:pk>/end", territories.contractors.api.ContractorEnd.as_view(), name="contractor-end"),
    path("territories", territories.holdings.api.TerritoryList.as_view(**paged), name="territories"),
    path("territories/exclusivity", territories.holdings.api.TerritoryExclusivity.as_view(), name="exclusivity"),
    path("territories/<int:pk>/end", territories.holdings.api.TerritoryEnd.as_view(), name="territory-end"),
    path(
        "territories/<int:pk>/transfer", territories.holdings.api.TerritoryTransfer.as_view(), name="territory-transfer"
    ),
    path("referrals", referrals_api.ReferralList.as_view(**paged), name="referrals"),
    path("referrals/<int:pk>", referrals_api.ReferralDetail.as_view(), name="referral"),
    path("referrals/<int:pk>/cancel", referrals_api.ReferralCancel.as_view(), name="referral-cancel"),
    path("referrals/<int:pk>/release", referrals_api.ReferralRelease.as_view(), name="referral-release"),
    path("referrals/<int:pk>/correct", referrals_api.ReferralCorrect.as_view(), name="referral-correct"),
    path("referrals/<int:pk>/return", referrals_api.ReferralReturnRequest.as_view(), name="referral-return"),
    path("returns", referrals_api.ReturnList.as_view(**paged), name="returns"),
    path("returns/<int:pk>/approve", referrals_api.ReturnApprove.as_view(), name="return-approve"),
    path("returns/<int:pk>/refuse", referrals_api.ReturnRefuse.as_view(), name="return-refuse"),
    path("contractor/me", contractors.Me.as_view(), name="contractor-me"),
    path("contractor/usage", contractors.Usage.as_view(), name="contractor-usage"),
    path(
        "contractor/territories",
        contractors.TerritoryList.as_view(**contractor_paged),
        name="contractor-territories",
    ),
    path("contractor/referrals", contractors.ReferralList.as_view(**contractor_paged), name="contractor-referrals"),
    path("contractor/referrals/<int:pk>", contractors.ReferralDetail.as_view(), name="contractor-referral"),
    path("contractor/referrals/<int:pk>/accept", contractors.ReferralAccept.as_view(), name="contractor-accept"),
    path(
        "contractor/referrals/<int:pk>/contacted", contractors.ReferralContacted.as_view(), name="contractor-contacted"
    ),
    path("contractor/referrals/<int:pk>/convert", contractors.ReferralConvert.as_view(), name="contractor-convert"),
    path("contractor/referrals/<int:pk>/return", contractors.ReferralReturnIt.as_view(), name="contractor-return"),
    path("contractor/sandbox/reset", contractors.SandboxReset.as_view(), name="contractor-sandbox-reset"),
    path(
        "lead-generation/profiles",
        territories.generation.api.ProfileList.as_view(**paged),
        name="lead-generation-profiles",
    ),
    path("lead-generation/runs", territories.generation.api.Runs.as_view(), name="lead-generation-runs"),
    path(
        "lead-generation/runs/<int:pk>/take-back",
        territories.generation.api.RunTakeBack.as_view(),
        name="lead-generation-take-back",
    ),
    path("schema", Schema.as_view(), name="schema"),
    path("docs", Docs.as_view(), name="docs"),
    re_path(r"^(?P<rest>.*)$", Unknown.as_view(), name="unknown"),
]
