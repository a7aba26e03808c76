"""Jobs over the API: how far one is, what it brought, and stopping it."""

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import Answer, ApiView, UtcDateTimeField, answers, person_of
from jobs.models import Job
from jobs.operations import cancel_job


class JobEnded(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "job_ended"


class JobSerializer(serializers.ModelSerializer):
    percent = serializers.IntegerField(
        read_only=True, min_value=0, max_value=100, help_text="Whole percent done; 100 only when it succeeded."
    )
    result = serializers.JSONField(read_only=True, allow_null=True, help_text="What it brought; null until then.")
    error = serializers.CharField(read_only=True, help_text="Why it failed, in words.")
    created_at = UtcDateTimeField(read_only=True)
    started_at = UtcDateTimeField(read_only=True, allow_null=True)
    finished_at = UtcDateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "title",
            "status",
            "stage",
            "done",
            "total",
            "percent",
            "result",
            "error",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


class StartedSerializer(serializers.Serializer):
    """The job that does the work; ask `GET /api/jobs/{id}` how far it is."""

    job = JobSerializer()


JOB_EXAMPLE: dict[str, Any] = {
    "id": 7,
    "kind": "recalculate-scores",
    "title": "Recalculate all scores",
    "status": "running",
    "stage": "Scoring leads",
    "done": 50_000,
    "total": 120_000,
    "percent": 41,
    "result": None,
    "error": "",
    "created_at": "2026-06-15T12:00:00Z",
    "started_at": "2026-06-15T12:00:01Z",
    "finished_at": None,
}


LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[202], description="Address of the job, `/api/jobs/{id}`."
)


class JobView(ApiView):
    queryset = Job.objects.all()
    serializer_class = JobSerializer


class JobList(JobView):
    permissions = {"GET": "jobs.view_job"}
    sorts = {"-id": ("-id",), "id": ("id",)}
    default_sort = "-id"

    @extend_schema(
        operation_id="jobs_list",
        summary="Recent jobs",
        description="Every job, the newest first.",
        tags=["Jobs"],
        responses=answers(200, JobSerializer(many=True), 400),
        examples=[OpenApiExample("A running job", JOB_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.queryset.all())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class JobDetail(JobView):
    permissions = {"GET": "jobs.view_job"}

    @extend_schema(
        operation_id="jobs_retrieve",
        summary="One job",
        description="How far a job is; once it has succeeded, `result` says what it brought.",
        tags=["Jobs"],
        responses=answers(200, JobSerializer, 404),
        examples=[OpenApiExample("A running job", JOB_EXAMPLE, response_only=True, status_codes=["200"])],
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(self.get_serializer(self.find(self.queryset.all(), pk)).data)


class JobCancel(JobView):
    # As on the pages: the one who started a job may stop it; `jobs.change_job` allows any.
    permissions = {"POST": "jobs.view_job"}

    @extend_schema(
        operation_id="jobs_cancel",
        summary="Cancel a job",
        description="A queued job ends at once, a running one at its next step; what has landed stays. "
        "You may cancel jobs that you started; the right to change jobs allows any.",
        tags=["Jobs"],
        request=None,
        responses=answers(202, StartedSerializer, 400, 404, 409),
        examples=[
            OpenApiExample("Asked to stop", {"job": JOB_EXAMPLE}, response_only=True, status_codes=["202"]),
        ],
    )
    def post(self, request: Request, pk: int) -> Response:
        self.refuse_body(request)
        jobs: QuerySet[Job] = self.queryset.all()
        job = self.find(jobs, pk)
        person = person_of(request)
        if job.created_by_id != person.pk and not person.has_perm("jobs.change_job"):
            raise PermissionDenied("Someone else started this job; an admin may cancel it.")
        if not cancel_job(job_id=job.pk):
            raise JobEnded(f"This job has ended already: it is {self.find(jobs, pk).status}.")
        return Response({"job": JobSerializer(self.find(jobs, pk)).data}, status=status.HTTP_202_ACCEPTED)


def tell_started(job: Job, **more: Any) -> Answer:
    """202: the work goes on in the background, and where to look."""
    return Answer(
        status=status.HTTP_202_ACCEPTED,
        body={"job": JobSerializer(job).data, **more},
        headers={"Location": reverse("api:job", args=[job.pk])},
    )


def started(job: Job, **more: Any) -> Response:
    """`tell_started` for a route whose requests carry no key."""
    answer = tell_started(job, **more)
    return Response(answer.body, status=answer.status, headers=answer.headers)
