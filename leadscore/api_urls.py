"""The addresses of the API. No trailing slashes; whatever is not here is a problem with status 404."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

import imports.api
import jobs.api
import leads.api
import scoring.api
import scoring.rule_api
import tags.api
import tags.bulk_api
import territories.generation.api
from leadscore.pagination import KeysetPagination


class Schema(SpectacularAPIView):
    """The description of the API, for anybody who is logged in."""

    permission_classes = [IsAuthenticated]


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
urlpatterns = [
    path("leads", leads.api.LeadList.as_view(**paged), name="leads"),
    path("leads/import", imports.api.ImportLeads.as_view(), name="leads-import"),
    path("leads/bulk-tag", tags.bulk_api.BulkTag.as_view(), name="leads-bulk-tag"),
    path("leads/bulk-tag/<int:pk>/undo", tags.bulk_api.BulkTagUndo.as_view(), name="leads-bulk-tag-undo"),
    path("leads/recalculate-scores", scoring.api.RecalculateScores.as_view(), name="recalculate-scores"),
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
    path(
        "lead-generation/profiles",
        territories.generation.api.ProfileList.as_view(**paged),
        name="lead-generation-profiles",
    ),
    path("lead-generation/runs", territories.generation.api.Runs.as_view(), name="lead-generation-runs"),
    path("schema", Schema.as_view(), name="schema"),
    path("docs", Docs.as_view(), name="docs"),
    re_path(r"^(?P<rest>.*)$", Unknown.as_view(), name="unknown"),
]
