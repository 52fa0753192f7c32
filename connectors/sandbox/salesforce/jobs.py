"""The REST resources of bulk ingest jobs."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from connectors.sandbox.salesforce import bulk
from connectors.sandbox.salesforce.org import NOT_FOUND
from connectors.sandbox.salesforce.rest import DATA, Rest, as_json, body
from connectors.sandbox.salesforce.values import CallError
from connectors.sandbox.twin import route

LARGEST_UPLOAD = 150 * 1024 * 1024


class Jobs(Rest):
    """Open, fill, close, watch, and fetch what became of the rows."""

    def job(self, request: Request, id_: str) -> bulk.Job:
        org, job = self.jobs.get(id_, (None, None))
        if job is None or org is not self.org(request):
            raise NOT_FOUND
        return job

    @route("POST", f"{DATA}/jobs/ingest")
    def open_job(self, request: Request, version: str) -> Response:
        org = self.org(request)
        job = bulk.opened(org, body(request), version)
        self.jobs[job.id] = (org, job)
        return as_json(job.info())

    @route("GET", f"{DATA}/jobs/ingest")
    def list_jobs(self, request: Request, version: str) -> Response:
        org = self.org(request)
        records = [job.info() for owner, job in self.jobs.values() if owner is org]
        return as_json({"done": True, "records": records, "nextRecordsUrl": None})

    @route("GET", f"{DATA}/jobs/ingest/<id_>")
    def show_job(self, request: Request, version: str, id_: str) -> Response:
        job = self.job(request, id_)
        told = as_json(job.info())
        job.looks -= 1
        if job.state == "UploadComplete":
            job.state = "InProgress"
        return told

    @route("PUT", f"{DATA}/jobs/ingest/<id_>/batches")
    def upload(self, request: Request, version: str, id_: str) -> Response:
        job = self.job(request, id_)
        if job.state != "Open" or job.data:
            raise CallError(400, "INVALIDJOBSTATE", "Data was already uploaded, or the job is not open")
        job.data = request.get_data()
        if len(job.data) > LARGEST_UPLOAD:
            raise CallError(413, "INVALIDCONTENT", "Upload exceeds the limit of 150 MB")
        return Response(status=201)

    @route("PATCH", f"{DATA}/jobs/ingest/<id_>")
    def change_job(self, request: Request, version: str, id_: str) -> Response:
        job = self.job(request, id_)
        asked = body(request).get("state")
        if asked not in {"UploadComplete", "Aborted"} or job.state not in {"Open", "UploadComplete"}:
            raise CallError(400, "INVALIDJOBSTATE", f"Job state {job.state} cannot become {asked}")
        job.state = asked
        if asked == "UploadComplete":
            job.due, job.looks = self.clock() + self.job_seconds, self.job_looks
        return as_json(job.info())

    @route("DELETE", f"{DATA}/jobs/ingest/<id_>")
    def delete_job(self, request: Request, version: str, id_: str) -> Response:
        del self.jobs[self.job(request, id_).id]
        return Response(status=204)

    @route("GET", f"{DATA}/jobs/ingest/<id_>/<which>")
    def show_results(self, request: Request, version: str, id_: str, which: str) -> Response:
        job = self.job(request, id_)
        if which.lower() not in {"successfulresults", "failedresults", "unprocessedrecords"}:
            raise NOT_FOUND
        return Response(bulk.results(job, which.lower()), content_type="text/csv")
