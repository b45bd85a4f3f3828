use super::*;

/// What an agent that said these lines comes to.
fn said(lines: &[&str]) -> (Option<&'static str>, Option<Wish>) {
    let mut heard = Heard::default();
    lines.iter().for_each(|line| heard.hear(line));
    let answer = heard.answer();
    let down = match answer.outcome {
        Outcome::Pass => None,
        Outcome::Fail(Cause::Agent(why)) => Some(&*why.leak()),
        other => panic!("{other:?}"),
    };
    (down, answer.wish)
}

#[test]
fn lines_are_read_as_haproxy_documents_them() {
    use Wish::{Drain, Maintenance, Serve};
    for (line, down, wish) in [
        ("up", None, None),
        ("UP", None, None),
        ("down", Some("down"), None),
        ("failed", Some("failed"), None),
        ("fail", Some("fail"), None),
        ("stopped", Some("stopped"), None),
        ("down # disk full", Some("down: disk full"), None),
        ("down,#gone, really", Some("down: gone, really"), None),
        ("ready", None, Some(Serve)),
        ("drain", None, Some(Drain)),
        ("maint", None, Some(Maintenance)),
        ("75%", None, Some(Serve)),
        ("0%", None, Some(Drain)),
        ("up,ready,75%", None, Some(Serve)),
        ("up ready\t0%", None, Some(Drain)),
        ("drain 100%", None, Some(Drain)),
        ("maint 0%", None, Some(Maintenance)),
        ("maxconn:30", None, None),
        ("75%,maxconn:30 up", None, Some(Serve)),
        ("up # not down, no drain", None, None),
        ("upward downtown -5% %", None, None),
        (",, ,\t", None, None),
        ("up down", Some("down"), None),
    ] {
        assert_eq!(said(&[line]), (down, wish), "{line}");
    }
}

#[test]
fn only_the_agent_takes_back_what_it_said() {
    use Wish::{Drain, Maintenance, Serve};
    for (lines, down, wish) in [
        (&["down", "50%"][..], Some("down"), Some(Serve)),
        (&["down", "ready"], Some("down"), Some(Serve)),
        (&["down", "up"], None, None),
        (&["drain", "up"], None, Some(Drain)),
        (&["drain", "100%"], None, Some(Drain)),
        (&["drain", "ready"], None, Some(Serve)),
        (&["maint", "drain"], None, Some(Drain)),
        (&["0%", "up"], None, Some(Drain)),
        (&["0%", "20%"], None, Some(Serve)),
        (&["0%", "ready"], None, Some(Drain)),
        (&["maint", "nonsense"], None, Some(Maintenance)),
    ] {
        assert_eq!(said(lines), (down, wish), "{lines:?}");
    }
}

#[test]
fn silence_takes_nothing_back() {
    let mut heard = Heard::default();
    let silent = Outcome::Inconclusive(Doubt::Silent);
    assert_eq!(heard.answer_to_silence(), silent.clone().into());
    heard.hear("maint");
    let answer = heard.answer_to_silence();
    assert_eq!((answer.outcome, answer.wish), (silent, Some(Wish::Maintenance)));
    heard.hear("down # disk");
    let cause = Cause::Agent("down: disk".to_owned());
    assert_eq!(heard.answer_to_silence().outcome, Outcome::Fail(cause));
}
