//! What backends are told of traces, over both protocols, and that nothing is while they are off.

use std::sync::{Arc, Mutex};

use proxy::{Leave, TraceSpec};

use crate::backend::Backend;
use crate::http2::{Http2Client, request};
use crate::rig::{Plan, Rig, served};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const ON: TraceSpec = TraceSpec { sample: 0.0, trusts_clients: true };

/// Notes the fields about traces that it is sent, in lower case, and answers.
fn noting() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let backend = Backend::start(move |exchange| {
        exchange.body();
        let lines = exchange.head.lines().filter(|line| line.to_lowercase().starts_with("trace"));
        noted.lock().unwrap().push(lines.collect::<Vec<_>>().join("; "));
        exchange.answer("a")
    });
    (backend, told)
}

/// With traces as `spec` says.
fn rig(spec: Option<TraceSpec>, backend: &Backend) -> Rig {
    let mut rig = Rig::start(Plan::default(), &[backend.address]);
    rig.snapshot.trace = spec;
    rig.configure(Vec::new());
    rig.activate(1, Leave::Finish);
    rig
}

fn ask(rig: &Rig, fields: &[(&str, &str)]) {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut client = rig.client();
    client.send(format!("GET / HTTP/1.1\r\nhost: h\r\n{lines}\r\n"));
    assert_eq!(served(&client.answer()), "a");
}

fn ask_http2(rig: &Rig, fields: &[(&str, &str)]) {
    let mut client = Http2Client::connect(rig.address);
    let sent = client.send(request("GET", "/", fields), true);
    assert_eq!(sent.whole().served(), "a");
}

/// Trace, span and flags of the one field that says them, and what stands beside it.
fn parts(told: &str) -> (String, String, String, String) {
    let (fields, others): (Vec<_>, Vec<_>) =
        told.split("; ").partition(|line| line.starts_with("traceparent: 00-"));
    let [field] = fields[..] else { panic!("not one traceparent: {told:?}") };
    let parts: Vec<&str> = field["traceparent: 00-".len()..].split('-').collect();
    let [trace, span, flags] = parts[..] else { panic!("{field:?}") };
    assert_eq!((trace.len(), span.len()), (32, 16), "{field}");
    let id = |text: &str| text.to_owned();
    (id(trace), id(span), id(flags), others.join("; "))
}

#[test]
fn while_traces_are_off_every_field_passes_on_as_it_came() {
    let (a, told) = noting();
    let rig = rig(None, &a);
    let odd = [("traceparent", "00-nonsense"), ("traceparent", "twice"), ("tracestate", "A=,")];
    ask(&rig, &odd);
    ask_http2(&rig, &odd);
    ask(&rig, &[]);
    let told = told.lock().unwrap();
    let same = "traceparent: 00-nonsense; traceparent: twice; tracestate: A=,";
    assert_eq!(*told, [same, same, ""]);
}

#[test]
fn a_span_of_ours_comes_between() {
    let (a, told) = noting();
    let rig = rig(Some(ON), &a);
    let fields = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    ask(&rig, &fields);
    ask_http2(&rig, &fields);
    // Nor can a client take it out.
    ask(&rig, &[("traceparent", PARENT), ("connection", "traceparent")]);
    let told = told.lock().unwrap();
    let mut spans = vec![SPAN.to_owned()];
    for (line, state) in
        told.iter().zip(["tracestate: a=1; tracestate: b=2"; 2].iter().chain(&[""]))
    {
        let (trace, span, flags, others) = parts(line);
        assert_eq!((&*trace, &*flags, &&*others), (TRACE, "01", state));
        spans.push(span);
    }
    assert_eq!(told.len(), 3);
    spans.sort_unstable();
    spans.dedup();
    assert_eq!(spans.len(), 4, "each request has a span of its own: {spans:?}");
}

#[test]
fn what_is_not_understood_is_dropped_and_a_trace_begins() {
    let (a, told) = noting();
    let rig = rig(Some(ON), &a);
    let unsampled = PARENT.replace("-01", "-00");
    for fields in [
        &[][..],
        &[("traceparent", "00-nonsense"), ("tracestate", "a=1")],
        &[("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "a=1")],
        &[("tracestate", "a=1")],
    ] {
        ask(&rig, fields);
        ask_http2(&rig, fields);
    }
    ask(&rig, &[("traceparent", &unsampled), ("tracestate", "A=")]);
    let mut told = told.lock().unwrap().clone();
    let (trace, _, flags, others) = parts(&told.pop().unwrap());
    assert_eq!(
        (&*trace, &*flags, &*others),
        (TRACE, "00", ""),
        "a bad state alone is dropped alone"
    );
    let mut traces: Vec<String> = Vec::new();
    for line in &told {
        let (trace, _, flags, others) = parts(line);
        assert_eq!((&*flags, &*others), ("00", ""), "{line}");
        traces.push(trace);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 8, "each begins one of its own");
    assert!(!traces.iter().any(|trace| trace == TRACE));
}

#[test]
fn strangers_bring_no_trace_and_every_new_one_is_sampled_if_all_are() {
    let (a, told) = noting();
    let rig = rig(Some(TraceSpec { sample: 1.0, trusts_clients: false }), &a);
    ask(&rig, &[("traceparent", &PARENT.replace("-01", "-00")), ("tracestate", "a=1")]);
    let told = told.lock().unwrap();
    let (trace, _, flags, others) = parts(&told[0]);
    assert_ne!(trace, TRACE);
    assert_eq!((&*flags, &*others), ("01", ""));
}
