//! `/api/v1`: which routes there are, and the document that describes them.
//!
//! Routes and document come from the same declarations, so neither knows a route that the other does
//! not.

mod document;
mod extract;
// The macros of utoipa write whole paths.
#[allow(unused_qualifications)]
mod follow;
#[allow(unused_qualifications)]
mod jobs;
mod notifiers;
mod orders;
#[allow(unused_qualifications)]
mod read;
#[allow(unused_qualifications)]
mod seen;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use control::Control;
use tokio::sync::{Semaphore, watch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::guard;

/// The longest body of a request.
const BODY_BYTES: usize = 16 * 1024;
/// How long most answers may take.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a move may take that is held, drained and watched.
const MOVE_WITHIN: Duration = Duration::from_secs(600);
/// How many clients may follow what happens.
const FOLLOWERS: usize = 16;

/// What the routes work with.
#[derive(Clone)]
pub(crate) struct Api {
    control: Control,
    followers: Arc<Semaphore>,
    /// Its sender goes when everything stops.
    stopped: watch::Receiver<()>,
}

impl Api {
    pub(crate) fn new(control: Control, stopped: watch::Receiver<()>) -> Self {
        Self { control, followers: Arc::new(Semaphore::new(FOLLOWERS)), stopped }
    }
}

/// All routes.
pub(crate) fn router(api: Api) -> Router {
    let router = Router::from(declared());
    router.layer(DefaultBodyLimit::max(BODY_BYTES)).with_state(api)
}

/// The OpenAPI document that describes all routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, mut document) = declared().split_for_parts();
    document::complete(&mut document);
    document
}

fn declared() -> OpenApiRouter<Api> {
    let quick = OpenApiRouter::with_openapi(document::base())
        .routes(routes!(read::document))
        .routes(routes!(read::status))
        .routes(routes!(read::services))
        .routes(routes!(read::service))
        .routes(routes!(seen::probes))
        .routes(routes!(seen::config))
        .routes(routes!(seen::whoami))
        .routes(routes!(read::events))
        .routes(routes!(read::incidents))
        .routes(routes!(read::incident))
        .routes(routes!(jobs::job))
        .routes(routes!(follow::follow))
        .routes(routes!(orders::pin))
        .routes(routes!(orders::unpin))
        .routes(routes!(orders::lock))
        .routes(routes!(orders::unlock))
        .routes(routes!(orders::drain))
        .routes(routes!(orders::maintenance))
        .routes(routes!(orders::ready))
        .routes(routes!(orders::gate))
        .routes(routes!(orders::probe))
        .layer(middleware::from_fn_with_state(ANSWER_WITHIN, guard::deadline));
    let slow = OpenApiRouter::default()
        .routes(routes!(orders::switchover, orders::cancel_switchover))
        .routes(routes!(orders::failback))
        .routes(routes!(orders::drill, orders::end_drill))
        .routes(routes!(jobs::run))
        .routes(routes!(orders::reload))
        .routes(routes!(notifiers::test_notifier))
        .layer(middleware::from_fn_with_state(MOVE_WITHIN, guard::deadline));
    quick.merge(slow)
}
