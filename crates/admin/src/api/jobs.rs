//! Jobs: shown, and run by order.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::extract::{self, At, Body};
use crate::caller::Writer;
use crate::problem::Problem;
use crate::wire::{JobRun, JobShown, request};

/// How a job stands, and its latest runs with what they wrote
#[utoipa::path(
    get, path = "/api/v1/services/{service}/jobs/{job}", tag = "status",
    params(
        ("service" = String, Path, description = "The name of the service"),
        ("job" = String, Path, description = "The name of the job"),
    ),
    responses((status = 200, description = "How it stands", body = JobShown))
)]
pub(super) async fn job(
    State(api): State<Api>,
    At((service, job)): At<(String, String)>,
) -> Result<Json<JobShown>, Problem> {
    Ok(Json(api.control.job(&service, job).await?.into()))
}

/// Run a job now, and wait until it has ended
#[utoipa::path(
    post, path = "/api/v1/services/{service}/jobs/{job}/run", tag = "orders",
    params(
        ("service" = String, Path, description = "The name of the service"),
        ("job" = String, Path, description = "The name of the job"),
    ),
    request_body = request::RunJob,
    responses((status = 200, description = "How it went, or that it has begun", body = JobRun))
)]
pub(super) async fn run(
    State(api): State<Api>,
    writer: Writer,
    At((service, job)): At<(String, String)>,
    Body(order): Body<request::RunJob>,
) -> Result<Json<JobRun>, Problem> {
    let by = writer.operator(extract::reason(order.reason)?);
    let run = api.control.run_job(&service, job, order.wait, by).await?;
    Ok(Json(run.into()))
}
