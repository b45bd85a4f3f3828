//! Spans as protobuf: `ExportTraceServiceRequest` of OTLP 1.x, which is stable.
//!
//! Written by hand: it is a few dozen fields, and of answers one. The tests read and write them with the
//! messages that OpenTelemetry generates from the same document.

use std::sync::Arc;

use crate::span::{Event, Place, Span, Value, nanos};

/// Bits of `flags` that say whether the parent is remote, and that this is said (`SpanFlags`).
const SAYS_REMOTE: u32 = 0x100;
const REMOTE: u32 = 0x200;
/// The flag `sampled` of W3C Trace Context: nothing else is exported.
const SAMPLED: u32 = 1;
/// `Status.STATUS_CODE_ERROR`.
const ERROR: u64 = 2;

/// Who sends the spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resource(pub(crate) Vec<(&'static str, Arc<str>)>);

/// A request with `spans`.
pub(crate) fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut out = Message::default();
    out.message(1, |of_resource| {
        of_resource.message(1, |resource_| {
            for (key, value) in &resource.0 {
                resource_.attribute(1, key, &Value::Text(value.to_string()));
            }
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| {
                scope.text(1, "understudy");
                scope.text(2, env!("CARGO_PKG_VERSION"));
            });
            for span in spans {
                of_scope.message(2, |out| write_span(out, span));
            }
        });
    });
    out.0
}

fn write_span(out: &mut Message, span: &Span) {
    out.bytes(1, &span.place.trace);
    out.bytes(2, &span.place.span);
    if let Some(parent) = &span.parent {
        out.bytes(4, parent);
    }
    out.text(5, &span.name);
    out.varint(6, span.kind as u64);
    out.fixed64(7, nanos(span.began));
    out.fixed64(8, nanos(span.ended));
    for (key, value) in &span.attributes {
        out.attribute(9, key, value);
    }
    for event in &span.events {
        out.message(11, |out| write_event(out, event));
    }
    for Place { trace, span } in &span.links {
        out.message(13, |out| {
            out.bytes(1, trace);
            out.bytes(2, span);
            out.fixed32(6, SAMPLED | SAYS_REMOTE);
        });
    }
    if let Some(words) = &span.error {
        out.message(15, |out| {
            out.text(2, words);
            out.varint(3, ERROR);
        });
    }
    let remote = if span.is_parent_remote { REMOTE } else { 0 };
    out.fixed32(16, SAMPLED | SAYS_REMOTE | remote);
}

fn write_event(out: &mut Message, event: &Event) {
    out.fixed64(1, nanos(event.at));
    out.text(2, event.name);
    for (key, value) in &event.attributes {
        out.attribute(3, key, value);
    }
}

/// A message of protobuf, being written. Fields with the value that readers assume anyway may be left
/// out, and where it is easy they are.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u64, wire_type: u64) {
        self.raw_varint(field << 3 | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.raw_varint(value);
    }

    fn fixed64(&mut self, field: u64, value: u64) {
        self.key(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn fixed32(&mut self, field: u64, value: u32) {
        self.key(field, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.raw_varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn text(&mut self, field: u64, value: &str) {
        if !value.is_empty() {
            self.bytes(field, value.as_bytes());
        }
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// A `KeyValue`.
    fn attribute(&mut self, field: u64, key: &str, value: &Value) {
        self.message(field, |pair| {
            pair.text(1, key);
            pair.message(2, |any| match value {
                // Also when it is empty: the field says which kind it is.
                Value::Text(text) => any.bytes(1, text.as_bytes()),
                Value::Flag(flag) => any.varint(2, u64::from(*flag)),
                Value::Number(number) => any.varint(3, number.cast_unsigned()),
                Value::Real(real) => any.fixed64(4, real.to_bits()),
            });
        });
    }
}

/// How many spans the collector did not take, by its answer (`ExportTraceServiceResponse`).
pub(crate) fn rejected(answer: &[u8]) -> u64 {
    let partial_success = fields(answer).find_map(|(field, value)| match value {
        Field::Bytes(bytes) if field == 1 => Some(bytes),
        Field::Bytes(_) | Field::Number(_) => None,
    });
    let rejected =
        fields(partial_success.unwrap_or_default()).find_map(|(field, value)| match value {
            Field::Number(number) if field == 1 => Some(number),
            Field::Number(_) | Field::Bytes(_) => None,
        });
    rejected.unwrap_or(0)
}

/// A field of a message, being read.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, as far as it can be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        loop {
            let key = read_varint(&mut message)?;
            let length = match key & 7 {
                0 => return Some((key >> 3, Field::Number(read_varint(&mut message)?))),
                1 => 8,
                2 => usize::try_from(read_varint(&mut message)?).ok()?,
                5 => 4,
                _ => return None,
            };
            let (bytes, rest) = message.split_at_checked(length)?;
            message = rest;
            if key & 7 == 2 {
                return Some((key >> 3, Field::Bytes(bytes)));
            }
        }
    })
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    };
    use opentelemetry_proto::tonic::common::v1::KeyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Theirs;
    use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
    use prost::Message as _;

    use super::*;
    use crate::span::Kind;

    fn values(pairs: &[KeyValue]) -> Vec<(&str, Theirs)> {
        let value = |pair: &KeyValue| pair.value.clone().and_then(|value| value.value);
        pairs.iter().map(|pair| (pair.key.as_str(), value(pair).expect("a value"))).collect()
    }

    #[test]
    fn other_people_read_every_field_where_it_belongs() {
        let began = UNIX_EPOCH + Duration::from_nanos(1_795_746_000_123_456_789);
        let place = Place { trace: [1; 16], span: [2; 8] };
        let mut span = Span::new(place, "GET", Kind::Server, began, Duration::from_millis(300));
        span.parent = Some([3; 8]);
        span.is_parent_remote = true;
        span.say("text", "");
        span.say("flag", true);
        span.say("number", 503_u16);
        span.say("large", u64::MAX);
        span.say("took_ms", Duration::from_micros(1_500));
        span.attributes.push(("negative", Value::Number(-1)));
        span.links.push(Place { trace: [4; 16], span: [5; 8] });
        let attributes = vec![("what", "cannot connect".into())];
        let at = began + Duration::from_millis(1);
        span.events.push(Event { at, name: "suspicion", attributes });
        span.error = Some("why".to_owned());
        let plain = Span::new(place, "hold", Kind::Internal, began, Duration::ZERO);
        let resource = Resource(vec![("service.name", "understudy".into())]);
        let bytes = request(&resource, &[span, plain]);
        let read = ExportTraceServiceRequest::decode(&*bytes).expect("it is a request");

        let [of_resource] = &read.resource_spans[..] else { panic!("{read:?}") };
        let resource = of_resource.resource.as_ref().expect("a resource");
        let ours = Theirs::StringValue("understudy".to_owned());
        assert_eq!(values(&resource.attributes), [("service.name", ours)]);
        let [of_scope] = &of_resource.scope_spans[..] else { panic!("{read:?}") };
        assert_eq!(of_scope.scope.as_ref().expect("a scope").name, "understudy");
        let [span, plain] = &of_scope.spans[..] else { panic!("{read:?}") };
        assert_eq!((&span.trace_id[..], &span.span_id[..]), (&[1; 16][..], &[2; 8][..]));
        assert_eq!((&span.parent_span_id[..], &*span.name), (&[3; 8][..], "GET"));
        assert_eq!(span.kind(), SpanKind::Server);
        assert_eq!(span.start_time_unix_nano, 1_795_746_000_123_456_789);
        assert_eq!(span.end_time_unix_nano, 1_795_746_000_423_456_789);
        assert_eq!(span.flags, 0x301);
        assert_eq!(
            values(&span.attributes),
            [
                ("text", Theirs::StringValue(String::new())),
                ("flag", Theirs::BoolValue(true)),
                ("number", Theirs::IntValue(503)),
                ("large", Theirs::IntValue(i64::MAX)),
                ("took_ms", Theirs::DoubleValue(1.5)),
                ("negative", Theirs::IntValue(-1)),
            ]
        );
        let [link] = &span.links[..] else { panic!("{span:?}") };
        assert_eq!((&link.trace_id[..], &link.span_id[..]), (&[4; 16][..], &[5; 8][..]));
        let [event] = &span.events[..] else { panic!("{span:?}") };
        assert_eq!((&*event.name, event.time_unix_nano), ("suspicion", nanos(at)));
        assert_eq!(values(&event.attributes)[0].0, "what");
        let status = span.status.as_ref().expect("a status");
        assert_eq!((&*status.message, status.code()), ("why", StatusCode::Error));
        assert_eq!((plain.kind(), plain.flags), (SpanKind::Internal, 0x101));
        assert!(plain.parent_span_id.is_empty() && plain.status.is_none());
    }

    #[test]
    fn what_was_not_taken_is_found_and_nothing_is_too_short_or_too_strange() {
        let answer = |rejected_spans| {
            let error_message = "too many".to_owned();
            let partial = ExportTracePartialSuccess { rejected_spans, error_message };
            ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()
        };
        assert_eq!(rejected(&answer(300)), 300);
        assert_eq!(rejected(&answer(0)), 0);
        assert_eq!(rejected(b""), 0);
        let whole = answer(300);
        (0..whole.len()).for_each(|length| assert_eq!(rejected(&whole[..length]), 0, "{length}"));
        for strange in [&[0xff; 20][..], &[0x0f, 1], &[0x0a, 0xff, 1], &[0x0d, 1, 2], b"nonsense"] {
            assert_eq!(rejected(strange), 0, "{strange:?}");
        }
    }
}
