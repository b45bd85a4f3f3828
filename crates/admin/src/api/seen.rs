//! What the dashboard shows beside the status: rounds of probes, the config, who is asking.

use axum::extract::State;
use axum::{Extension, Json};

use super::Api;
use super::extract::At;
use crate::caller::Caller;
use crate::problem::{Kind, Problem};
use crate::wire::{BackendProbes, ConfigShown, Probes, Whoami};

/// The latest rounds of probes of a service, at most 60 of each backend
#[utoipa::path(
    get, path = "/api/v1/services/{service}/probes", tag = "status",
    params(("service" = String, Path, description = "The name of the service")),
    responses((status = 200, description = "How its backends have been doing", body = Probes))
)]
pub(super) async fn probes(
    State(api): State<Api>,
    At(name): At<String>,
) -> Result<Json<Probes>, Problem> {
    let status = api.control.status();
    let service = status
        .service(&name)
        .ok_or_else(|| Problem::from(control::CommandError::UnknownService(name)))?;
    Ok(Json(Probes { backends: service.backends.iter().map(BackendProbes::from).collect() }))
}

/// The config in force, with every default and without secrets
#[utoipa::path(
    get, path = "/api/v1/config", tag = "status",
    responses((status = 200, description = "The config in force", body = ConfigShown))
)]
pub(super) async fn config(State(api): State<Api>) -> Result<Json<ConfigShown>, Problem> {
    let (file, drift) = (api.control.config_file(), api.control.status().process.drift.clone());
    // Off the control thread: a long config must not make a probe late.
    let shown = tokio::task::spawn_blocking(move || api.control.config_shown()).await;
    let yaml = shown.map_err(|_| Problem::new(Kind::Failed, "the config cannot be written"))?;
    Ok(Json(ConfigShown { file, yaml, drift }))
}

/// Who is asking, and what they may do
#[utoipa::path(
    get, path = "/api/v1/whoami", tag = "status",
    responses((status = 200, description = "Who is asking", body = Whoami))
)]
pub(super) async fn whoami(Extension(caller): Extension<Caller>) -> Json<Whoami> {
    Json(caller.whoami())
}
