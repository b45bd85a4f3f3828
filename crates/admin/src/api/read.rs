//! What can be read: how everything stands, and what happened.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use control::HistoryQuery;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::extract::{self, Asked, At};
use crate::problem::{Kind, Problem};
use crate::wire::{Event, Events, Incident, IncidentSummary, Incidents, Service, Services, Status};

/// How many events or incidents are given when nothing is said.
const USUAL: u16 = 100;
/// And at most.
pub(super) const MOST: u16 = 1_000;

/// Which events are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only those with a greater number.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<u64>,
    /// Only those with a smaller number.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<u64>,
    /// Only those of this service.
    #[param(max_length = 256)]
    service: Option<String>,
    /// At most so many, the latest.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 1000)]
    limit: u16,
}

/// Which incidents are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct IncidentsQuery {
    /// Only those of this service.
    #[param(max_length = 256)]
    service: Option<String>,
    /// At most so many, the latest.
    #[serde(default = "usual")]
    #[param(minimum = 1, maximum = 1000)]
    limit: u16,
}

fn usual() -> u16 {
    USUAL
}

/// This document
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "status",
    responses((status = 200, description = "The OpenAPI document", body = Object))
)]
pub(super) async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| serde_json::to_string_pretty(&super::openapi()).unwrap_or_default());
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// How everything stands
#[utoipa::path(
    get, path = "/api/v1/status", tag = "status",
    responses((status = 200, description = "How everything stands", body = Status))
)]
pub(super) async fn status(State(api): State<Api>) -> Json<Status> {
    Json(Status::of(&api.control))
}

/// Every service
#[utoipa::path(
    get, path = "/api/v1/services", tag = "status",
    responses((status = 200, description = "Every service, in the order of the config", body = Services))
)]
pub(super) async fn services(State(api): State<Api>) -> Json<Services> {
    Json(Services { services: Status::of(&api.control).services })
}

/// One service
#[utoipa::path(
    get, path = "/api/v1/services/{service}", tag = "status",
    params(("service" = String, Path, description = "The name of the service")),
    responses((status = 200, description = "How it stands", body = Service))
)]
pub(super) async fn service(
    State(api): State<Api>,
    At(name): At<String>,
) -> Result<Json<Service>, Problem> {
    let status = api.control.status();
    let service = status
        .service(&name)
        .ok_or_else(|| Problem::from(control::CommandError::UnknownService(name)))?;
    Ok(Json(Service::of(&api.control, service)))
}

/// What happened
#[utoipa::path(
    get, path = "/api/v1/events", tag = "records", params(EventsQuery),
    responses((status = 200, description = "Events, oldest first", body = Events))
)]
pub(super) async fn events(
    State(api): State<Api>,
    Asked(asked): Asked<EventsQuery>,
) -> Result<Json<Events>, Problem> {
    let limit = limit(asked.limit)?;
    let after = extract::number("query: after", asked.after)?;
    let before = extract::number("query: before", asked.before)?;
    let service = extract::filter(asked.service)?;
    let kept = api.control.history(HistoryQuery { after, before, service, limit }).await;
    Ok(Json(Events { events: kept.into_iter().filter_map(Event::of).collect() }))
}

/// The moves of the traffic, in short
#[utoipa::path(
    get, path = "/api/v1/incidents", tag = "records", params(IncidentsQuery),
    responses((status = 200, description = "Incidents, newest first", body = Incidents))
)]
pub(super) async fn incidents(
    State(api): State<Api>,
    Asked(asked): Asked<IncidentsQuery>,
) -> Result<Json<Incidents>, Problem> {
    let limit = limit(asked.limit)?;
    let service = extract::filter(asked.service)?;
    let kept = api.control.incidents(service.as_deref(), limit).await;
    let incidents = kept.into_iter().filter_map(Incident::of).map(IncidentSummary::from);
    Ok(Json(Incidents { incidents: incidents.collect() }))
}

/// One move of the traffic
#[utoipa::path(
    get, path = "/api/v1/incidents/{id}", tag = "records",
    params((
        "id" = u64, Path, description = "The number of the incident",
        minimum = 0, maximum = 9007199254740991_i64,
    )),
    responses((status = 200, description = "What led to it, and what came of it", body = Incident))
)]
pub(super) async fn incident(
    State(api): State<Api>,
    At(id): At<u64>,
) -> Result<Json<Incident>, Problem> {
    let unknown = || {
        let detail = format!("there is no incident {id} (any more); /api/v1/incidents lists them");
        Problem::new(Kind::NotFound, detail)
    };
    let kept = api.control.incident(id).await.ok_or_else(unknown)?;
    let unreadable = || {
        Problem::new(
            Kind::Failed,
            format!("incident {id} was kept in a form that is not understood"),
        )
    };
    Incident::of(kept).map(Json).ok_or_else(unreadable)
}

fn limit(asked: u16) -> Result<usize, Problem> {
    if (1..=MOST).contains(&asked) {
        return Ok(asked.into());
    }
    Err(Problem::new(Kind::Malformed, format!("query: limit: {asked} is not from 1 to {MOST}")))
}
