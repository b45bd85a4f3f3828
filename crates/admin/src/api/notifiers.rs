//! Trying those who are told what happens.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::extract::{self, At, Body};
use crate::caller::Writer;
use crate::problem::{Kind, Problem};
use crate::wire::{NotifierTest, request};

/// Have a notifier tell something that has not happened, once, and show the answer
#[utoipa::path(
    post, path = "/api/v1/notifiers/{notifier}/test", tag = "orders",
    params(("notifier" = String, Path, description = "The name of the notifier")),
    request_body = request::Reason,
    responses((status = 200, description = "How it went", body = NotifierTest))
)]
pub(super) async fn test_notifier(
    State(api): State<Api>,
    writer: Writer,
    At(notifier): At<String>,
    Body(request): Body<request::Reason>,
) -> Result<Json<NotifierTest>, Problem> {
    let by = writer.operator(extract::reason(request.reason)?);
    match api.control.test_notifier(&notifier, by).await {
        Ok(control::NotifierTest { told, answer }) => Ok(Json(NotifierTest { told, answer })),
        Err(known) => {
            let there_are = match known.as_slice() {
                [] => "there are none".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            let detail = format!("there is no notifier {notifier:?}; {there_are}");
            Err(Problem::new(Kind::NotFound, detail))
        }
    }
}
