//! What makes a standby ready, reason by reason.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn rules() -> Rules {
    Rules { certificate: 7 * DAY, clock_skew: Some(Duration::from_secs(5)), last_drill: None }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

/// One that lacks nothing.
fn ready() -> Standby<'static> {
    Standby {
        health: Health::Up,
        admin: AdminState::Ready,
        role: None,
        wish: None,
        failing: None,
        undecided: None,
        certificate_expires: Some(now() + 30 * DAY),
        way: Way::Open,
        clock_ahead_ms: Some(-1_200),
        served: None,
        is_barred: false,
        lags: Vec::new(),
    }
}

fn found(standby: &Standby<'_>, rules: &Rules, required_role: Option<Role>) -> Judged {
    judge(standby, Terms { rules, required_role, is_frozen: false, is_in_doubt: false }, now())
}

/// The only reason there is.
#[track_caller]
fn reason(standby: &Standby<'_>, required_role: Option<Role>) -> String {
    let judged = found(standby, &rules(), required_role);
    let reasons = &judged.readiness.reasons;
    assert_eq!((reasons.len(), judged.readiness.is_ready), (1, false), "{reasons:?}");
    reasons[0].clone()
}

#[track_caller]
fn is_ready(standby: &Standby<'_>, required_role: Option<Role>) -> Vec<String> {
    let judged = found(standby, &rules(), required_role);
    assert_eq!(judged.readiness.reasons.to_vec(), Vec::<String>::new());
    assert!(judged.readiness.is_ready && judged.is_known);
    judged.readiness.notes.to_vec()
}

#[test]
fn one_that_lacks_nothing_is_ready() {
    is_ready(&ready(), None);
    let plain = Standby { certificate_expires: None, clock_ahead_ms: None, ..ready() };
    is_ready(&Standby { way: Way::Probed, ..plain }, None);
    is_ready(&Standby { wish: Some(Wish::Serve), ..ready() }, None);
}

#[test]
fn jobs_must_have_brought_it_up_to_date() {
    let lags = vec!["job sync last succeeded for it 3 h ago, more than 60 min".to_owned()];
    let said = "job sync last succeeded for it 3 h ago, more than 60 min";
    assert_eq!(reason(&Standby { lags, ..ready() }, None), said);
}

#[test]
fn its_probes_must_tell_something() {
    let why = "inconclusive: too many programs run already".into();
    let undecided = Some((Duration::from_secs(12), why));
    assert_eq!(
        reason(&Standby { undecided, ..ready() }, None),
        "its probes have told nothing for 12 s: inconclusive: too many programs run already"
    );
}

#[test]
fn it_must_be_up_and_wanted() {
    let down = Standby { health: Health::Down, failing: Some("answered 503"), ..ready() };
    assert_eq!(reason(&down, None), "it is down: answered 503");
    assert_eq!(reason(&Standby { failing: None, ..down }, None), "it is down");
    let drained = Standby { admin: AdminState::Drain, ..ready() };
    assert_eq!(reason(&drained, None), "an operator drains it");
    let maintained = Standby { admin: AdminState::Maintenance, ..ready() };
    assert_eq!(reason(&maintained, None), "an operator has it in maintenance");
    assert_eq!(
        reason(&Standby { wish: Some(Wish::Drain), ..ready() }, None),
        "it asks for a drain"
    );
    let asks = Standby { wish: Some(Wish::Maintenance), ..ready() };
    assert_eq!(reason(&asks, None), "it asks for maintenance");
}

#[test]
fn what_is_not_known_yet_is_not_ready_but_no_news() {
    let unknown = Standby { health: Health::Unknown, ..ready() };
    assert_eq!(reason(&unknown, Some(Role::Active)), "it has not been checked yet");
    assert!(!found(&unknown, &rules(), None).is_known);
    let untried = Standby { way: Way::Untried, ..ready() };
    assert_eq!(reason(&untried, None), "the way of the traffic has not been tried yet");
    assert!(!found(&untried, &rules(), None).is_known);
}

#[test]
fn a_standby_that_promotes_itself_is_ready_as_a_standby() {
    let with = |role| Standby { role, ..ready() };
    let active = Some(Role::Active);
    assert_eq!(is_ready(&with(Some(Role::Standby)), active), ["it promotes itself"]);
    assert_eq!(is_ready(&with(Some(Role::Active)), active), [""; 0]);
    assert_eq!(is_ready(&with(Some(Role::Standby)), None), [""; 0]);
    assert_eq!(is_ready(&with(Some(Role::Standby)), Some(Role::Standby)), [""; 0]);
    assert_eq!(reason(&with(None), active), "it does not tell its role, and must be active");
    for required in [None, active] {
        let promoting = reason(&with(Some(Role::Promoting)), required);
        assert_eq!(promoting, "it is still promoting itself");
        assert_eq!(reason(&with(Some(Role::Fenced)), required), "it is fenced");
    }
    let wrong = reason(&with(active), Some(Role::Standby));
    assert_eq!(wrong, "it claims the role active, and must be standby");
    let down = Standby { health: Health::Down, failing: Some("no answer"), ..with(None) };
    assert_eq!(reason(&down, active), "it is down: no answer");
}

#[test]
fn a_freeze_concerns_every_standby() {
    let frozen =
        Terms { rules: &rules(), required_role: None, is_frozen: true, is_in_doubt: false };
    let judged = judge(&ready(), frozen, now());
    assert_eq!(
        judged.readiness.reasons[0],
        "two backends claim the active role: no automatic moves"
    );
}

#[test]
fn the_way_of_the_traffic_must_be_open() {
    let closed = Standby { way: Way::Closed("TLS handshake failed: expired".into()), ..ready() };
    assert_eq!(
        reason(&closed, None),
        "the way of the traffic fails: TLS handshake failed: expired"
    );
}

#[test]
fn its_certificate_must_last_for_a_while() {
    let with = |expires| Standby { certificate_expires: Some(expires), ..ready() };
    is_ready(&with(now() + 7 * DAY), None);
    let hour = Duration::from_secs(3_600);
    let soon = reason(&with(now() + 4 * DAY + hour), None);
    assert_eq!(soon, "its certificate expires in 4 d 1 h, which is less than 7 d");
    let sooner = reason(&with(now() + 2 * DAY - hour), None);
    assert_eq!(sooner, "its certificate expires in 47 h, which is less than 7 d");
    assert_eq!(reason(&with(now() - hour), None), "its certificate has expired");
}

#[test]
fn its_clock_must_be_near_ours() {
    let with = |ahead| Standby { clock_ahead_ms: Some(ahead), ..ready() };
    is_ready(&with(5_000), None);
    is_ready(&with(-5_000), None);
    let ahead = reason(&with(61_500), None);
    assert_eq!(ahead, "its clock is 61.5 s ahead of ours, which is more than 5 s");
    let behind = reason(&with(-600_000), None);
    assert_eq!(behind, "its clock is 10 min behind ours, which is more than 5 s");
    let off = Rules { clock_skew: None, ..rules() };
    assert!(found(&with(i64::MIN), &off, None).readiness.is_ready);
}

#[test]
fn it_must_have_served_where_that_is_asked_for() {
    let asks = Rules { last_drill: Some(30 * DAY), ..rules() };
    let with = |served| {
        let judged = found(&Standby { served, ..ready() }, &asks, None);
        judged.readiness.reasons.first().cloned()
    };
    assert_eq!(with(Some(now() - 30 * DAY)), None);
    assert_eq!(with(Some(now() + DAY)), None, "a clock was set back");
    let long_ago = "it last served, or was drilled, 41 d ago, which is more than 30 d";
    assert_eq!(with(Some(now() - 41 * DAY)).as_deref(), Some(long_ago));
    let never = "it has never served nor been drilled, as far as is known";
    assert_eq!(with(None).as_deref(), Some(never));
}

#[test]
fn gates_stand_in_the_way() {
    let barred = Standby { is_barred: true, ..ready() };
    assert_eq!(reason(&barred, None), "a gate of a move to it failed: it is barred until `unlock`");
    let doubtful =
        Terms { rules: &rules(), required_role: None, is_frozen: false, is_in_doubt: true };
    let judged = judge(&ready(), doubtful, now());
    assert_eq!(judged.readiness.reasons.to_vec(), ["nobody knows how a gate ended: `gate`"]);
}
