//! What happens, as it happens: server-sent events (HTML, 9.2).
//!
//! Nothing waits in a queue of ours: the next event is made when the client takes it. Who falls behind
//! is given what is kept; who takes nothing is given up by the connection.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use control::HistoryQuery;
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use super::extract::{self, Asked};
use super::{Api, read};
use crate::problem::{Kind, Problem};
use crate::wire::{Event, Status};

/// The status is sent at most so often.
const STATUS_EVERY: Duration = Duration::from_millis(250);
/// A comment after so long without anything, so that both sides know that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What a client that reconnects says.
const LAST_EVENT_ID: &str = "last-event-id";

/// What is to be followed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowQuery {
    /// Also the events since the one with this number; `Last-Event-ID` says more.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<u64>,
    /// Only events of this service, and those that concern all.
    #[param(max_length = 256)]
    service: Option<String>,
}

/// One client that follows.
struct Follower {
    api: Api,
    _place: OwnedSemaphorePermit,
    service: Option<String>,
    events: broadcast::Receiver<Arc<control::Event>>,
    status: watch::Receiver<Arc<control::Status>>,
    /// When the status may be sent again.
    status_from: Instant,
    /// The greatest number that was looked at.
    last: u64,
    /// Events that were kept while the client was away or behind.
    missed: VecDeque<Value>,
}

/// What happens, as it happens
///
/// Server-sent events. `event: event` carries an event, with its number as `id`; `event: status` how
/// everything stands, at the beginning and when it has changed, at most four times a second.
#[utoipa::path(
    get, path = "/api/v1/events/stream", tag = "records",
    params(
        FollowQuery,
        (
            "Last-Event-ID" = Option<u64>, Header, description = "The number of the last event seen",
            minimum = 0, maximum = 9007199254740991_i64,
        ),
    ),
    responses((
        status = 200, description = "Until the client goes away", body = String,
        content_type = "text/event-stream",
    ))
)]
pub(super) async fn follow(
    State(api): State<Api>,
    Asked(asked): Asked<FollowQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let last = extract::number("Last-Event-ID", last_event_id(&headers)?)?;
    let after = last.or(extract::number("query: after", asked.after)?);
    let service = extract::filter(asked.service)?;
    let place = api.followers.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{} clients follow already", super::FOLLOWERS);
        Problem::new(Kind::Busy, detail)
    })?;
    let follower = Follower::new(api, place, service, after).await;
    let events = unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    // A client that has not seen an event yet says nothing.
    if value.is_empty() {
        return Ok(None);
    }
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = || Problem::new(Kind::Malformed, "Last-Event-ID is not the number of an event");
    number.map(Some).ok_or_else(bad)
}

impl Follower {
    async fn new(
        api: Api,
        place: OwnedSemaphorePermit,
        service: Option<String>,
        after: Option<u64>,
    ) -> Self {
        // The newest number first, and only then hear of new ones and look what came between.
        let last = match after {
            Some(after) => after,
            None => {
                let newest = HistoryQuery { limit: 1, ..HistoryQuery::default() };
                api.control.history(newest).await.last().and_then(number).unwrap_or_default()
            }
        };
        let events = api.control.follow();
        let mut status = api.control.subscribe();
        status.mark_changed();
        let mut follower = Self {
            _place: place,
            service,
            events,
            status,
            status_from: Instant::now(),
            last,
            missed: VecDeque::new(),
            api,
        };
        follower.catch_up().await;
        follower
    }

    /// What the client is to hear next; `None` when everything stops.
    async fn next(&mut self) -> Option<sse::Event> {
        let mut stopped = self.api.stopped.clone();
        loop {
            if self.status_from <= Instant::now() && self.status.has_changed().ok()? {
                self.status.mark_unchanged();
                self.status_from = Instant::now() + STATUS_EVERY;
                let status = Status::of(&self.api.control);
                return sse::Event::default().event("status").json_data(status).ok();
            }
            if let Some(kept) = self.missed.pop_front() {
                if let Some(event) = self.event(kept) {
                    return Some(event);
                }
                continue;
            }
            let from = self.status_from;
            let status = &mut self.status;
            // Also when it cannot change any more: then the next look ends the stream.
            let changed = async {
                sleep_until(from).await;
                let _ = status.changed().await;
                status.mark_changed();
            };
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(event) => self.missed.push_back(event.to_json()),
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => return None,
                },
                () = changed => {}
                // An error is the sign: the sender is gone.
                _ = stopped.changed() => return None,
            }
        }
    }

    /// Takes in what is kept since the last event.
    async fn catch_up(&mut self) {
        let limit = read::MOST.into();
        let query = HistoryQuery { after: Some(self.last), limit, ..HistoryQuery::default() };
        self.missed = self.api.control.history(query).await.into();
    }

    /// An event as the client gets it; `None` when it had it before, or does not want it.
    fn event(&mut self, kept: Value) -> Option<sse::Event> {
        let number = number(&kept)?;
        if number <= self.last {
            return None;
        }
        self.last = number;
        let event = Event::of(kept)?;
        let wanted = match (&self.service, &event.service) {
            (Some(wanted), Some(service)) => wanted == service,
            (None, _) | (_, None) => true,
        };
        if !wanted {
            return None;
        }
        sse::Event::default().event("event").id(number.to_string()).json_data(event).ok()
    }
}

fn number(kept: &Value) -> Option<u64> {
    kept.get("number")?.as_u64()
}
