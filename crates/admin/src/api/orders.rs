//! What can be ordered. Control decides, and records who ordered it, from where and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use control::{AdminState, Command, Settlement};

use super::Api;
use super::extract::{self, Asked, At, Body, Why};
use crate::caller::Writer;
use crate::problem::Problem;
use crate::wire::{Answer, Done, Preview, ProbeShown, Reloaded, request};

/// Move the traffic to a backend, now or later
#[utoipa::path(
    post, path = "/api/v1/services/{service}/switchover", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Switchover,
    responses((status = 200, description = "Done, or what would be", body = Answer))
)]
pub(super) async fn switchover(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(order): Body<request::Switchover>,
) -> Result<Json<Answer>, Problem> {
    let (verify, why) = (extract::verify(order.verify_seconds)?, extract::reason(order.reason)?);
    let to = order.to;
    if order.dry_run {
        return preview(&api, &service, Some(to)).await;
    }
    let command = match order.at {
        None => Command::Switchover { to, verify },
        Some(at) => Command::SwitchoverAt { to, verify, at: at.into() },
    };
    carry_out(&api, &writer, &service, command, why)
        .await
        .map(|Json(done)| Json(Answer::Done(done)))
}

/// Forget a move that is to come
#[utoipa::path(
    delete, path = "/api/v1/services/{service}/switchover", tag = "orders",
    params(("service" = String, Path, description = "The name of the service"), Why),
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn cancel_switchover(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Asked(why): Asked<Why>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(why.reason)?;
    carry_out(&api, &writer, &service, Command::CancelSwitchover, why).await
}

/// Move the traffic to the first eligible backend, and end a pin
#[utoipa::path(
    post, path = "/api/v1/services/{service}/failback", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Failback,
    responses((status = 200, description = "Done, or what would be", body = Answer))
)]
pub(super) async fn failback(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(order): Body<request::Failback>,
) -> Result<Json<Answer>, Problem> {
    let (verify, why) = (extract::verify(order.verify_seconds)?, extract::reason(order.reason)?);
    if order.dry_run {
        return preview(&api, &service, None).await;
    }
    let command = Command::Failback { verify };
    carry_out(&api, &writer, &service, command, why)
        .await
        .map(|Json(done)| Json(Answer::Done(done)))
}

/// Stay on the active while it is eligible
#[utoipa::path(
    post, path = "/api/v1/services/{service}/pin", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn pin(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    carry_out(&api, &writer, &service, Command::Pin, why).await
}

/// End a pin
#[utoipa::path(
    post, path = "/api/v1/services/{service}/unpin", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn unpin(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    carry_out(&api, &writer, &service, Command::Unpin, why).await
}

/// Make no automatic move until unlocked
#[utoipa::path(
    post, path = "/api/v1/services/{service}/lock", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn lock(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    carry_out(&api, &writer, &service, Command::Lock, why).await
}

/// Allow automatic moves again
#[utoipa::path(
    post, path = "/api/v1/services/{service}/unlock", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn unlock(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    carry_out(&api, &writer, &service, Command::Unlock, why).await
}

/// Send no new requests to a backend; running ones may finish
#[utoipa::path(
    post, path = "/api/v1/services/{service}/backends/{backend}/drain", tag = "orders",
    params(
        ("service" = String, Path, description = "The name of the service"),
        ("backend" = String, Path, description = "The name of the backend"),
    ),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn drain(
    State(api): State<Api>,
    writer: Writer,
    At((service, backend)): At<(String, String)>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    let command = Command::SetAdmin(backend, AdminState::Drain);
    carry_out(&api, &writer, &service, command, why).await
}

/// Take a backend out of use
#[utoipa::path(
    post, path = "/api/v1/services/{service}/backends/{backend}/maintenance", tag = "orders",
    params(
        ("service" = String, Path, description = "The name of the service"),
        ("backend" = String, Path, description = "The name of the backend"),
    ),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn maintenance(
    State(api): State<Api>,
    writer: Writer,
    At((service, backend)): At<(String, String)>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    let command = Command::SetAdmin(backend, AdminState::Maintenance);
    carry_out(&api, &writer, &service, command, why).await
}

/// Put a backend back into use
#[utoipa::path(
    post, path = "/api/v1/services/{service}/backends/{backend}/ready", tag = "orders",
    params(
        ("service" = String, Path, description = "The name of the service"),
        ("backend" = String, Path, description = "The name of the backend"),
    ),
    request_body = request::Reason,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn ready(
    State(api): State<Api>,
    writer: Writer,
    At((service, backend)): At<(String, String)>,
    Body(request): Body<request::Reason>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(request.reason)?;
    let command = Command::SetAdmin(backend, AdminState::Ready);
    carry_out(&api, &writer, &service, command, why).await
}

/// Probe a backend once, now, and show the exchange; the verdict counts for nothing
#[utoipa::path(
    post, path = "/api/v1/services/{service}/backends/{backend}/probe", tag = "orders",
    params(
        ("service" = String, Path, description = "The name of the service"),
        ("backend" = String, Path, description = "The name of the backend"),
    ),
    request_body = request::Reason,
    responses((status = 200, description = "How it went", body = ProbeShown))
)]
pub(super) async fn probe(
    State(api): State<Api>,
    _: Writer,
    At((service, backend)): At<(String, String)>,
    Body(request): Body<request::Reason>,
) -> Result<Json<ProbeShown>, Problem> {
    extract::reason(request.reason)?;
    Ok(Json(api.control.probe(&service, backend).await?.into()))
}

/// Treat the active as failed for a time, or send tagged requests to a standby
#[utoipa::path(
    post, path = "/api/v1/services/{service}/drill", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Drill,
    responses((status = 200, description = "It has begun", body = Done))
)]
pub(super) async fn drill(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(order): Body<request::Drill>,
) -> Result<Json<Done>, Problem> {
    let length = extract::drill_length(order.length_seconds)?;
    let why = extract::reason(order.reason)?;
    let command = match order.tag {
        None => Command::Drill { length },
        Some(tag) => {
            let (header, value) = extract::tag(&tag)?;
            Command::DrillTagged { backend: tag.backend, header, value, length }
        }
    };
    carry_out(&api, &writer, &service, command, why).await
}

/// End a drill now
#[utoipa::path(
    delete, path = "/api/v1/services/{service}/drill", tag = "orders",
    params(("service" = String, Path, description = "The name of the service"), Why),
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn end_drill(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Asked(why): Asked<Why>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(why.reason)?;
    carry_out(&api, &writer, &service, Command::EndDrill, why).await
}

/// Say how the gate ended of which nobody knows
#[utoipa::path(
    post, path = "/api/v1/services/{service}/gate", tag = "orders",
    params(("service" = String, Path, description = "The name of the service")),
    request_body = request::Gate,
    responses((status = 200, description = "Done", body = Done))
)]
pub(super) async fn gate(
    State(api): State<Api>,
    writer: Writer,
    At(service): At<String>,
    Body(order): Body<request::Gate>,
) -> Result<Json<Done>, Problem> {
    let why = extract::reason(order.reason)?;
    let settlement = match order.ended {
        request::GateEnd::Done => Settlement::Done,
        request::GateEnd::Failed => Settlement::Failed,
        request::GateEnd::Again => Settlement::Again,
    };
    carry_out(&api, &writer, &service, Command::SettleGate(settlement), why).await
}

/// Read the config file again, and put it in force or change nothing
#[utoipa::path(
    post, path = "/api/v1/reload", tag = "orders",
    request_body = request::Reason,
    responses((status = 200, description = "It is in force", body = Reloaded))
)]
pub(super) async fn reload(
    State(api): State<Api>,
    writer: Writer,
    Body(request): Body<request::Reason>,
) -> Result<Json<Reloaded>, Problem> {
    let by = writer.operator(extract::reason(request.reason)?);
    Ok(Json(api.control.reload_file(by).await?.into()))
}

async fn carry_out(
    api: &Api,
    writer: &Writer,
    service: &str,
    command: Command,
    why: Arc<str>,
) -> Result<Json<Done>, Problem> {
    let done = api.control.command(service, command, writer.operator(why)).await?;
    Ok(Json(done.into()))
}

async fn preview(api: &Api, service: &str, to: Option<String>) -> Result<Json<Answer>, Problem> {
    let preview = Preview::from(api.control.preview(service, to).await?);
    Ok(Json(Answer::Preview(preview)))
}
