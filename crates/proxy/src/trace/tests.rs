//! Which traces go on, and the exact fields that backends get.

use http::HeaderMap;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const NONE: TraceSpec = TraceSpec { sample: 0.0, trusts_clients: true };

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

fn read(value: &str) -> Option<Parent> {
    Parent::read(&headers(&[("traceparent", value)]))
}

#[test]
fn what_the_standard_allows_is_read() {
    let parent = read(PARENT).expect("the example of the standard");
    assert_eq!(parent.trace[..3], [0x0a, 0xf7, 0x65]);
    assert_eq!(parent.trace[15], 0x9c);
    assert_eq!(parent.span, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert!(parent.is_sampled);
    let (start, _) = PARENT.rsplit_once('-').expect("flags");
    for (flags, is_sampled) in
        [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true)]
    {
        let parent = read(&format!("{start}-{flags}")).expect("any flags");
        assert_eq!(parent.is_sampled, is_sampled, "{flags}");
    }
    // Versions to come may have more, behind a dash.
    for later in [
        PARENT.replacen("00", "01", 1),
        format!("{}-", PARENT.replacen("00", "cc", 1)),
        format!("{}-what-the-future-will-be-like", PARENT.replacen("00", "fe", 1)),
    ] {
        assert_eq!(read(&later), Some(parent), "{later}");
    }
}

#[test]
fn anything_else_is_none() {
    let longer = |more: &str| format!("{PARENT}{more}");
    for bad in [
        String::new(),
        "00".to_owned(),
        PARENT[..54].to_owned(),
        longer("-"),
        longer("-01"),
        longer("."),
        longer("0"),
        PARENT.to_uppercase(),
        PARENT.replacen("00", "ff", 1),
        PARENT.replacen("00", "0x", 1),
        PARENT.replacen("00", ".0", 1),
        format!("{}.what", PARENT.replacen("00", "01", 1)),
        format!("{}0", PARENT.replacen("00", "01", 1)),
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319."),
        PARENT.replace("b7ad6b7169203331", "b7ad6b716920333g"),
        PARENT.replace('-', "_"),
        PARENT.replacen("-01", "-.0", 1),
        PARENT.replacen("-01", "-0X", 1),
        format!("{PARENT}, {PARENT}"),
    ] {
        assert_eq!(read(&bad), None, "{bad:?}");
    }
    let twice = headers(&[("traceparent", PARENT), ("traceparent", PARENT)]);
    assert_eq!(Parent::read(&twice), None);
    assert_eq!(Parent::read(&HeaderMap::new()), None);
}

#[test]
fn states_are_kept_when_they_are_sound() {
    let many = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    let long = |count: usize| "a".repeat(count);
    for good in [
        "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE".to_owned(),
        "foo=1 \t , \t bar=2, \t baz=3".to_owned(),
        ",foo=1,,bar=2,".to_owned(),
        "a-_*/9=!~ x".to_owned(),
        "0tenant@system=1".to_owned(),
        "foo=1,foo=1".to_owned(),
        format!("{}=1", long(256)),
        format!("{}@{}=1", long(241), long(14)),
        format!("a={}", long(256)),
        many(32),
    ] {
        assert!(is_sound_state(&headers(&[("tracestate", &good)])), "{good}");
    }
    for bad in [
        String::new(),
        " , ".to_owned(),
        "foo".to_owned(),
        "foo=".to_owned(),
        "=1".to_owned(),
        "foo@=1,bar=2".to_owned(),
        "@foo=1".to_owned(),
        "foo@@bar=1".to_owned(),
        "foo@bar@baz=1".to_owned(),
        "foo@1=1".to_owned(),
        "Foo=1".to_owned(),
        "foo =1".to_owned(),
        "foo.bar=1".to_owned(),
        "1foo=1".to_owned(),
        "foo=bar=baz".to_owned(),
        "foo=\u{e9}".to_owned(),
        format!("{}=1", long(257)),
        format!("{}@a=1", long(242)),
        format!("a@{}=1", long(15)),
        format!("a={}", long(257)),
        many(33),
    ] {
        assert!(!is_sound_state(&headers(&[("tracestate", &bad)])), "{bad}");
    }
    // Several fields are one list (3.3.1).
    let (some, more) = (many(16), many(17));
    assert!(is_sound_state(&headers(&[("tracestate", &some), ("tracestate", &some)])));
    assert!(!is_sound_state(&headers(&[("tracestate", &some), ("tracestate", &more)])));
}

#[test]
fn a_trace_goes_on_with_a_span_of_ours_for_each_attempt() {
    let fields = headers(&[("traceparent", PARENT), ("tracestate", "a=1")]);
    let trace = Trace::begin(NONE, &fields, true);
    assert_eq!(trace.context.parent, Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
    assert!(trace.context.is_sampled, "whoever began it has said so");
    assert!(trace.is_withheld(&TRACEPARENT));
    assert!(!trace.is_withheld(&TRACESTATE));
    let mut told = Vec::new();
    for number in 0..3 {
        trace.attempts(number);
        let mut line = Vec::new();
        trace.write(&mut line);
        let line = String::from_utf8(line).expect("ASCII");
        let value = line.strip_prefix("traceparent: ").and_then(|line| line.strip_suffix("\r\n"));
        let parent = read(value.expect("a field")).expect("our own is sound");
        assert_eq!(parent.trace, trace.context.trace);
        assert!(parent.is_sampled);
        let attempt = u32::try_from(number).expect("small");
        assert_eq!(parent.span, trace.context.attempt(attempt));
        let mut inserted = HeaderMap::new();
        trace.insert(&mut inserted);
        assert_eq!(Parent::read(&inserted), Some(parent), "the same in HTTP/2");
        told.extend([parent.span, trace.context.span]);
    }
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 4, "one span of the request, three of attempts");
}

#[test]
fn who_is_not_believed_begins_a_trace_and_leaves_its_state_behind() {
    let fields = headers(&[("traceparent", PARENT), ("tracestate", "a=1")]);
    let parent = Parent::read(&fields).expect("a parent");
    let trace = Trace::begin(NONE, &fields, false);
    assert_eq!(trace.context.parent, None);
    assert_ne!(trace.context.trace, parent.trace);
    assert!(!trace.context.is_sampled, "the share is 0");
    assert!(trace.is_withheld(&TRACESTATE));
    // As does one whose parent is not understood.
    let fields = headers(&[("traceparent", "00-x"), ("tracestate", "a=1")]);
    let trace = Trace::begin(NONE, &fields, true);
    assert_eq!(trace.context.parent, None);
    assert!(trace.is_withheld(&TRACESTATE));
}

#[test]
fn the_share_is_of_traces_that_begin_here() {
    let share = |sample, fields: &HeaderMap| {
        let spec = TraceSpec { sample, trusts_clients: true };
        let traces = (0..10_000).filter(|_| Trace::begin(spec, fields, true).context.is_sampled);
        traces.count()
    };
    let nothing = HeaderMap::new();
    assert_eq!(share(0.0, &nothing), 0);
    assert_eq!(share(1.0, &nothing), 10_000);
    let quarter = share(0.25, &nothing);
    assert!((2_000..3_000).contains(&quarter), "{quarter} of 10000");
    let unsampled = PARENT.replace("-01", "-00");
    assert_eq!(share(1.0, &headers(&[("traceparent", &unsampled)])), 0);
    assert_eq!(share(0.0, &headers(&[("traceparent", PARENT)])), 10_000);
}

#[test]
fn ids_are_never_zero() {
    let drawn = Cell::new(0_u8);
    let id = random(|| {
        drawn.set(drawn.get() + 1);
        [drawn.get() / 3]
    });
    assert_eq!((id, drawn.get()), ([1], 3));
}
