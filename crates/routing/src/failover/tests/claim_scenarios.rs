//! What backends claim of themselves, and what it changes, case by case. The language is explained
//! in `script.rs`.

use super::script::check;

// === What counts ===

#[test]
fn the_first_claim_counts_at_once() {
    check(
        "at 0s probe a pass fenced; probe b pass standby serve; show a; show b",
        "0s a up
        0s a claims fenced
        0s b up
        0s b claims standby serve
        0s none -> b startup 1
        0s a up ready fenced streak 0 not eligible
        0s b up ready standby serve streak 0 eligible since 0s",
    );
}

#[test]
fn that_a_backend_wants_to_serve_is_news_only_after_it_did_not() {
    check(
        "policy rise 1 fall 1
        at 0s probe a pass serve; probe b pass; probe b pass serve
        at 1s probe b fail; probe b pass serve
        at 2s probe b pass drain; probe b fail; probe b pass serve",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s b down
        1s b up
        2s b claims drain
        2s b down
        2s b up
        2s b claims serve",
    );
}

#[test]
fn a_changed_claim_counts_after_rise_passes_and_is_in_doubt_until_then() {
    check(
        "policy rise 3
        at 0s probe a pass active; probe b pass
        at 1s probe a pass fenced; probe a pass fenced; show a; probe a pass fenced; show a",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        1s a up ready active streak 0 eligible since 0s in doubt
        1s a claims fenced
        1s a -> b failover 2
        1s a up ready fenced streak 0 not eligible",
    );
}

#[test]
fn with_rise_one_a_changed_claim_counts_at_once() {
    check(
        "policy rise 1\n at 0s probe a pass; probe b pass\n at 1s probe a pass promoting",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a claims promoting
        1s a -> b failover 2",
    );
}

#[test]
fn whatever_comes_between_the_passes_ends_the_row() {
    let passes = "at 0s probe a pass active; probe b pass\n at 1s probe a pass fenced;";
    let says = "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up\n";
    for (between, streak, doubt) in [
        ("probe a pass active", 0, ""),
        ("probe a pass", 0, ""),
        ("probe a pass standby", 0, " in doubt"),
        ("probe a fail", 1, " in doubt"),
    ] {
        check(
            &format!("{passes} {between}; show a; probe a pass fenced; show"),
            &format!(
                "{says} 1s a up ready active streak {streak} eligible since 0s{doubt}
                1s status a epoch 1 hold_down 10s"
            ),
        );
    }
}

#[test]
fn an_inconclusive_round_neither_ends_the_row_nor_says_anything() {
    check(
        "at 0s probe a pass active; probe b pass
        at 1s probe a pass fenced; probe a unclear standby drain; show a; probe a pass fenced",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        1s a up ready active streak 0 eligible since 0s in doubt
        1s a claims fenced
        1s a -> b failover 2",
    );
}

#[test]
fn what_comes_with_a_failure_is_ignored() {
    check(
        "at 0s probe a fail active; show a\n at 1s probe b pass active; probe b fail fenced drain
        at 2s probe b fail fenced drain; show b",
        "0s a down
        0s a down ready streak 0 not eligible
        1s b up
        1s b claims active
        1s none -> b startup 1
        2s b up ready active streak 2 eligible since 1s in doubt",
    );
}

#[test]
fn role_and_wish_are_weighed_each_on_its_own() {
    check(
        "at 0s probe a pass standby serve; probe b pass
        at 1s probe a pass active drain; probe a pass active serve; show a; probe a pass active drain
        at 2s probe a pass standby drain",
        "0s a up
        0s a claims standby serve
        0s none -> a startup 1
        0s b up
        1s a claims active serve
        1s a up ready active serve streak 0 eligible since 0s
        2s a claims active drain
        2s a -> b failover 2",
    );
}

#[test]
fn a_changed_wish_is_in_doubt_as_well() {
    check(
        "at 0s probe a pass; probe a pass drain; show a",
        "0s a up
        0s none -> a startup 1
        0s a up ready streak 0 eligible since 0s in doubt",
    );
}

#[test]
fn silence_takes_nothing_back() {
    check(
        "at 0s probe a pass fenced; probe b pass
        at 1s probe a pass; probe a pass; probe a pass; show a",
        "0s a up
        0s a claims fenced
        0s b up
        0s none -> b startup 1
        1s a up ready fenced streak 0 not eligible",
    );
}

#[test]
fn who_goes_down_is_no_longer_believed() {
    check(
        "policy fall 1\n at 0s probe a pass active serve; probe b pass
        at 1s probe a fail; show a\n at 2s probe a pass fenced; probe a pass; show a",
        "0s a up
        0s a claims active serve
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> b failover 2
        1s a down ready streak 0 not eligible
        2s a up
        2s a up ready streak 0 eligible since 2s",
    );
}

#[test]
fn the_pass_that_brings_it_up_is_believed_at_once() {
    check(
        "policy fall 1\n at 0s probe a pass; probe a fail; probe b fail
        at 1s probe a pass active; probe a pass fenced\n at 2s probe b pass; probe b pass standby",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s a -> none failover 2
        0s b down
        1s a up
        1s a claims fenced
        2s b up
        2s b claims standby
        2s none -> b recovery 3",
    );
}

// === What it changes ===

#[test]
fn without_a_required_role_a_standby_serves_as_well() {
    check(
        "at 0s probe a pass standby; probe b pass active; show",
        "0s a up
        0s a claims standby
        0s none -> a startup 1
        0s b up
        0s b claims active
        0s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn with_a_required_role_silence_is_not_enough() {
    check(
        "policy role active\n at 0s probe a pass; probe b pass standby; show a
        at 1s probe b pass active; probe b pass active",
        "0s a up
        0s b up
        0s b claims standby
        0s a up ready streak 0 not eligible
        1s b claims active
        1s none -> b startup 1",
    );
}

#[test]
fn a_required_role_may_be_that_of_a_standby() {
    check(
        "policy role standby\n at 0s probe a pass active; probe b pass standby",
        "0s a up
        0s a claims active
        0s b up
        0s b claims standby
        0s none -> b startup 1",
    );
}

#[test]
fn a_claim_that_allows_it_again_starts_hold_down_and_passes_anew() {
    check(
        "policy rise 1 passes 3
        at 0s probe a pass; probe b pass
        at 1s probe a pass promoting\n at 2s probe a pass active; show a; show failback
        at 3s probe a pass\n at 4s probe a pass; show failback",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a claims promoting
        1s a -> b failover 2
        2s a claims active
        2s a up ready active streak 0 eligible since 2s
        2s failback a: hold-down until 12s, passes 1 of 3
        4s failback a at 12s: hold-down until 12s",
    );
}

#[test]
fn a_short_break_by_a_claim_restarts_the_hold_down() {
    check(
        "policy rise 1 fall 1
        at 0s probe a pass; probe b pass; probe a fail\n at 1s probe a pass standby
        at 9s probe a pass fenced; show failback; probe a pass standby\n at 30s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        1s a up
        1s a claims standby
        9s a claims fenced
        9s failback a: up ready fenced
        9s a claims standby
        19s b -> a failback 3",
    );
}

#[test]
fn an_order_to_one_that_claims_the_wrong_role_is_refused() {
    check(
        "policy role active\n at 0s probe a pass active; probe b pass standby
        at 1s preview switchover b; command switchover b; command drill 5s",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1s would: rejected not eligible
        1s rejected not eligible
        1s rejected no standby",
    );
}

#[test]
fn a_heir_that_is_fenced_during_the_move_is_lost() {
    check(
        "policy rise 1\n by hand
        at 0s probe a pass; probe b pass; command switchover b; probe b pass fenced",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s hold 1 planned
        0s b claims fenced
        0s release 1 heir lost",
    );
}

#[test]
fn a_reload_may_require_a_role_and_no_longer_require_it() {
    check(
        "at 0s probe a pass standby; probe b pass active
        at 1s reload a b with role active\n at 2s reload a b with role any; show failback
        at 20s tick",
        "0s a up
        0s a claims standby
        0s none -> a startup 1
        0s b up
        0s b claims active
        1s a -> b reload 2
        2s failback a at 12s: hold-down until 12s
        12s b -> a failback 3",
    );
}

#[test]
fn a_pin_ends_when_its_backend_claims_to_be_fenced() {
    check(
        "policy rise 1\n at 0s probe a pass; command pin; show; probe a pass fenced; show",
        "0s a up
        0s none -> a startup 1
        0s status a epoch 1 pinned hold_down 10s
        0s a claims fenced
        0s a -> none failover 2
        0s status none epoch 2 hold_down 10s",
    );
}

#[test]
fn a_watched_move_returns_when_its_backend_claims_to_be_fenced() {
    check(
        "policy rise 1
        at 0s probe a pass; probe b pass; command switchover b verify 60s
        at 1s probe b pass fenced; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a -> b switchover 2
        1s b claims fenced
        1s b -> a return 3
        1s status a epoch 3 pinned hold_down 10s",
    );
}

// === A standby that promotes itself (U3) ===

#[test]
fn a_self_promoting_standby_is_waited_for() {
    check(
        "policy role active
        at 0s probe a pass active; probe b pass standby
        at 1s probe a fail; probe a fail; probe a fail; show
        at 2s probe b pass promoting; show b; probe b pass promoting
        at 3s probe b pass active; show; show b; probe b pass active; show",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1s a down
        1s a -> none failover 2
        1s status none epoch 2 hold_down 10s
        2s b up ready standby streak 0 not eligible in doubt
        2s b claims promoting
        3s status none epoch 2 hold_down 10s
        3s b up ready promoting streak 0 not eligible in doubt
        3s b claims active
        3s none -> b recovery 3
        3s status b epoch 3 hold_down 10s",
    );
}

#[test]
fn a_standby_that_was_faster_than_our_verdict_takes_over_at_the_verdict() {
    check(
        "policy role active
        at 0s probe a pass active; probe b pass standby
        at 1s probe a fail; probe b pass active; probe b pass active; show a; probe a pass active; show
        at 2s probe a fail; probe a fail; probe a fail",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1s b claims active
        1s a up ready active streak 1 eligible since 0s needs word in doubt
        1s dual
        1s status a epoch 1 dual since 1s hold_down 10s
        2s a down
        2s dual is over
        2s a -> b failover 2",
    );
}

#[test]
fn roles_that_are_exchanged_move_the_service() {
    check(
        "policy role active
        at 0s probe a pass active; probe b pass standby
        at 1s probe a pass standby; probe b pass active; probe a pass standby; probe b pass active",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1s a claims standby
        1s a -> none failover 2
        1s b claims active
        1s none -> b recovery 3",
    );
}

#[test]
fn a_former_active_that_comes_back_as_standby_is_no_trouble() {
    check(
        "policy role active rise 1 fall 1
        at 0s probe a pass active; probe b pass standby; probe a fail; probe b pass active
        at 9s probe a pass standby; show failback\n at 99s show
        at 100s probe b pass standby; probe a pass active",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        0s a down
        0s a -> none failover 2
        0s b claims active
        0s none -> b recovery 3
        9s a up
        9s a claims standby
        9s failback a: up ready standby
        99s status b epoch 3 hold_down 10s
        100s b claims standby
        100s b -> none failover 4
        100s a claims active
        100s none -> a recovery 5",
    );
}

// === Two that claim to be active ===

/// `b` has promoted itself and serves; `a` comes back and claims to be active, too.
const DUAL: &str = "policy role active rise 1 fall 1 hold_down 5s
    at 0s probe a pass active; probe b pass standby; probe a fail; probe b pass active
    at 1s probe a pass active; probe b pass active
    ";
const DUAL_SAYS: &str = "0s a up
    0s a claims active
    0s none -> a startup 1
    0s b up
    0s b claims standby
    0s a down
    0s a -> none failover 2
    0s b claims active
    0s none -> b recovery 3
    1s a up
    1s a claims active
    1s dual
    ";

#[track_caller]
fn check_dual(script: &str, expected: &str) {
    check(&[DUAL, script].concat(), &[DUAL_SAYS, expected].concat());
}

#[test]
fn a_former_active_that_comes_back_as_active_freezes_the_service() {
    check_dual(
        "at 2s show; show failback\n at 99s show; show failback",
        "2s status b epoch 3 dual since 1s hold_down 5s
        2s failback a: dual, hold-down until 6s
        99s status b epoch 3 dual since 1s hold_down 5s
        99s failback a: dual",
    );
}

#[test]
fn two_actives_are_over_when_one_steps_down_fails_or_is_not_wanted() {
    for (ends, says) in [
        ("probe a pass standby", "9s a claims standby\n 9s dual is over\n"),
        ("probe a fail", "9s a down\n 9s dual is over\n"),
        ("probe a pass active drain", "9s a claims active drain\n 9s dual is over\n"),
        ("command maintenance a", "9s a maintenance\n 9s dual is over\n"),
        ("reload b", "9s dual is over\n"),
        ("probe b fail", "9s b down\n 9s dual is over\n 9s b -> a failover 4\n"),
    ] {
        let dual = "9s status b epoch 3 dual since 1s hold_down 5s\n";
        check_dual(&format!("at 9s show; {ends}"), &[dual, says].concat());
    }
}

#[test]
fn when_two_actives_are_over_what_was_due_happens() {
    check_dual(
        "at 20s command drain a; command ready a; probe b pass active; show; probe a pass active
        at 30s probe b pass fenced",
        "20s a drain
        20s dual is over
        20s a ready
        20s status b epoch 3 hold_down 5s failback a at 25s
        20s dual
        30s b claims fenced
        30s dual is over
        30s b -> a failover 4",
    );
}

#[test]
fn while_two_claim_to_be_active_a_third_does_not_take_over() {
    check(
        "backends a b c\n policy rise 1 fall 1
        at 0s probe a pass; probe b pass active; probe c pass active; probe b pass; probe a fail; show
        at 5s probe a pass; show\n at 6s probe a fail\n at 7s probe c pass standby",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b claims active
        0s c up
        0s c claims active
        0s dual
        0s a down
        0s a -> none failover 2
        0s status none epoch 2 dual since 0s hold_down 10s
        5s a up
        5s none -> a recovery 3
        5s status a epoch 3 dual since 0s hold_down 10s
        6s a down
        6s a -> none failover 4
        7s c claims standby
        7s dual is over
        7s none -> b recovery 5",
    );
}

#[test]
fn the_operator_moves_a_service_with_two_actives() {
    check_dual(
        "at 2s preview switchover a; command switchover a; show\n at 3s preview failback; command switchover b
        at 4s command failback; show",
        "2s would: b -> a switchover planned
        2s b -> a switchover 4
        2s status a epoch 4 pinned dual since 1s hold_down 5s
        3s would: no move
        3s a -> b switchover 5
        4s b -> a failback 6
        4s status a epoch 6 dual since 1s hold_down 5s",
    );
}

#[test]
fn an_order_is_watched_and_returned_from_although_two_are_active() {
    check_dual(
        "at 2s command switchover a verify 3s; show\n at 6s show",
        "2s b -> a switchover 4
        2s status a epoch 4 pinned dual since 1s hold_down 5s verifying until 5s or back to b
        5s a -> b return 5
        6s status b epoch 5 pinned dual since 1s hold_down 5s",
    );
}

#[test]
fn a_second_active_does_not_end_the_watch_of_an_earlier_order() {
    check(
        "policy rise 1
        at 0s probe a pass standby; probe b pass active; command switchover b verify 10s
        at 1s probe a pass active; probe b pass active; show\n at 20s show",
        "0s a up
        0s a claims standby
        0s none -> a startup 1
        0s b up
        0s b claims active
        0s a -> b switchover 2
        1s a claims active
        1s dual
        1s status b epoch 2 pinned dual since 1s hold_down 10s verifying until 10s or back to a
        10s b -> a return 3
        20s status a epoch 3 pinned dual since 1s hold_down 10s",
    );
}

#[test]
fn a_second_active_calls_off_a_failback_but_not_an_order() {
    let begins = "policy rise 1 fall 1 hold_down 0s\n by hand
        at 0s probe a pass; probe b pass active; probe a fail; held 1 all;";
    let says = "0s a up
        0s none -> a startup 1
        0s b up
        0s b claims active
        0s a down
        0s hold 1
        0s a -> b failover 2\n";
    check(
        &format!("{begins} probe a pass; probe a pass active; probe b pass active; show failback"),
        &format!(
            "{says} 0s a up
            0s hold 2 planned
            0s a claims active
            0s dual
            0s release 2 overruled
            0s failback a: dual"
        ),
    );
    check(
        &format!(
            "{begins} probe a pass; command switchover a; probe a pass active; probe b pass; held 2 all"
        ),
        &format!(
            "{says} 0s a up
            0s hold 2 planned
            0s a claims active
            0s dual
            0s b -> a switchover 3"
        ),
    );
}

#[test]
fn unlocking_accepts_two_actives_until_that_is_over() {
    check_dual(
        "at 2s command unlock; show; command unlock\n at 10s show\n at 11s probe b pass standby; show
        at 12s probe b pass active; probe a pass active; show",
        "2s dual accepted
        2s status b epoch 3 dual since 1s, accepted hold_down 5s failback a at 6s
        6s b -> a failback 4
        10s status a epoch 4 dual since 1s, accepted hold_down 5s
        11s b claims standby
        11s status a epoch 4 hold_down 5s
        12s b claims active
        12s dual
        12s status a epoch 4 dual since 12s hold_down 5s",
    );
}

#[test]
fn unlocking_ends_a_lock_and_accepts_two_actives_in_one() {
    check_dual(
        "at 2s command lock; show; show failback; command unlock; show",
        "2s locked
        2s status b epoch 3 locked dual since 1s hold_down 5s
        2s failback a: locked, dual, hold-down until 6s
        2s unlocked
        2s dual accepted
        2s status b epoch 3 dual since 1s, accepted hold_down 5s failback a at 6s",
    );
}

#[test]
fn an_active_that_asks_to_be_left_makes_room_for_the_other() {
    for wish in ["drain", "maintenance"] {
        check(
            &format!(
                "policy role active rise 1
                at 0s probe a pass active; probe b pass standby
                at 1s probe a pass active {wish}\n at 2s probe b pass active; probe a pass active; show
                at 3s probe a pass active serve; probe b pass active; show"
            ),
            &format!(
                "0s a up
                0s a claims active
                0s none -> a startup 1
                0s b up
                0s b claims standby
                1s a claims active {wish}
                1s a -> none failover 2
                2s b claims active
                2s none -> b recovery 3
                2s status b epoch 3 hold_down 10s
                3s a claims active serve
                3s dual
                3s status b epoch 3 dual since 3s hold_down 10s"
            ),
        );
    }
}

#[test]
fn two_that_claim_to_be_active_before_anybody_served_wait_for_the_operator() {
    let begins = "at 0s probe b pass active\n at 0.5s probe a pass active; show b; probe b pass active; show\n";
    let says = "0s b up
        0s b claims active
        0.5s a up
        0.5s a claims active
        0.5s b up ready active streak 0 eligible since 0s needs word in doubt
        0.5s dual
        0.5s status none epoch 0 dual since 0.5s hold_down 10s\n";
    for (ends, follows) in [
        ("at 9s show; command unlock", "9s dual accepted\n 9s none -> a startup 1"),
        ("at 9s show; command switchover b", "9s none -> b switchover 1"),
        (
            "at 9s show; probe a pass standby; probe a pass standby",
            "9s a claims standby\n 9s dual is over\n 9s none -> a startup 1",
        ),
    ] {
        let waits = "9s status none epoch 0 dual since 0.5s hold_down 10s\n";
        check(&[begins, ends].concat(), &[says, waits, follows].concat());
    }
}

#[test]
fn of_two_that_claim_to_be_active_the_one_that_came_first_serves() {
    check(
        "at 0s probe a pass active\n at 1s probe b pass active; probe a pass active; show",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        1s b up
        1s b claims active
        1s dual
        1s status a epoch 1 dual since 1s hold_down 10s",
    );
}

#[test]
fn no_drill_begins_and_none_returns_while_two_are_active() {
    check_dual("at 9s command drill 5s", "9s rejected locked");
    check(
        "policy rise 1\n at 0s probe a pass; probe b pass; command drill 20s
        at 5s probe a pass active; probe b pass active; probe a pass; show\n at 30s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        5s a claims active
        5s b claims active
        5s dual
        5s status b epoch 2 dual since 5s hold_down 10s drill a until 20s
        20s drill a ended
        30s status b epoch 2 dual since 5s hold_down 10s",
    );
}

#[test]
fn a_drill_ends_when_the_only_one_that_may_serve_steps_down() {
    check(
        "policy rise 1\n at 0s probe a pass active; probe b pass; command drill 20s
        at 5s probe b pass promoting",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        5s b claims promoting
        5s drill a ended early
        5s b -> a drill 3",
    );
}

// === Whose word is old ===

#[test]
fn an_exchange_of_roles_is_no_case_of_two_actives() {
    // Probes of b come earlier, so its new word counts before that of a.
    let begins = "policy role active
        at 0s probe a pass active; probe b pass standby\n at 1s probe b pass active\n at 1.1s probe b pass active; show a; show b";
    let says = "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1.1s b claims active
        1.1s a up ready active streak 0 eligible since 0s needs word in doubt
        1.1s b up ready active streak 0 eligible since 1.1s
        1.2s a claims standby
        1.2s a -> b failover 2";
    for between in [
        "probe a pass standby",
        "probe a fail; probe a pass standby",
        "probe a pass standby; probe b pass active; probe a fail; probe b pass; probe a pass standby",
        "probe a unclear active; probe a pass standby",
    ] {
        let script = format!("{begins}\n at 1.2s {between}; probe a pass standby");
        check(&script, says);
    }
}

#[test]
fn who_takes_back_its_word_before_the_other_is_heard_is_not_counted() {
    check(
        "at 0s probe a pass active; probe b pass standby
        at 1s probe b pass active; probe b pass active; probe b pass standby; probe a pass active; show b
        at 2s probe b pass active; show",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1s b claims active
        1s b up ready active streak 0 eligible since 0s needs word in doubt
        2s dual
        2s status a epoch 1 dual since 2s hold_down 10s",
    );
}

#[test]
fn a_pass_without_a_role_takes_nothing_back() {
    check(
        "at 0s probe a pass active; probe b pass active; show; probe a pass; show a",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims active
        0s status a epoch 1 hold_down 10s
        0s dual
        0s a up ready active streak 0 eligible since 0s",
    );
}

#[test]
fn a_third_active_does_not_end_that_there_are_two() {
    check(
        "backends a b c
        at 0s probe a pass active; probe b pass active; probe c pass active; probe a pass; show b
        at 1s probe c fail; probe c fail; probe c fail; show; probe b pass\n at 2s probe c pass active; probe c pass active",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims active
        0s c up
        0s c claims active
        0s dual
        0s b up ready active streak 0 eligible since 0s
        1s c down
        1s status a epoch 1 dual since 0s hold_down 10s
        2s c up
        2s c claims active",
    );
}

#[test]
fn an_active_that_is_not_heard_again_goes_down() {
    check(
        "policy role active
        at 0s probe a pass active; probe b pass standby; probe b pass active; probe b pass active
        at 1s probe a fail; probe a fail; show a; probe a fail; show b",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        0s b claims active
        1s a up ready active streak 2 eligible since 0s needs word in doubt
        1s a down
        1s a -> b failover 2
        1s b up ready active streak 0 eligible since 0s",
    );
}

#[test]
fn at_the_start_the_word_of_an_earlier_active_is_awaited_within_the_grace() {
    let begins = "at 0s probe b pass active\n at 0.5s probe a pass active; show\n";
    let says = "0s b up
        0s b claims active
        0.5s a up
        0.5s a claims active
        0.5s status none epoch 0 hold_down 10s\n";
    for (ends, follows) in [
        ("at 9s probe b pass active", "2s none -> a startup 1\n 9s dual"),
        (
            "at 1s probe b pass standby; show; probe b pass standby",
            "1s status none epoch 0 hold_down 10s\n 1s b claims standby\n 1s none -> a startup 1",
        ),
    ] {
        check(&[begins, ends].concat(), &[says, follows].concat());
    }
}

// === What a backend asks for ===

#[test]
fn an_active_that_asks_for_a_drain_is_left_and_returned_to() {
    check(
        "policy rise 2
        at 0s probe a pass; probe b pass
        at 1s probe a pass drain; probe a pass drain; show failback
        at 5s probe a pass serve; probe a pass; probe a pass serve; probe a pass serve\n at 30s show counts",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a claims drain
        1s a -> b failover 2
        1s failback a: up ready drain
        5s a claims serve
        15s b -> a failback 3
        30s 0 flaps, 0 switches",
    );
}

#[test]
fn it_is_left_as_when_the_operator_drains_it() {
    check(
        "policy rise 1\n by hand
        at 0s probe a pass; probe b pass; probe a pass maintenance; show switch; held 1 lost",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a claims maintenance
        0s hold 1
        0s switch a -> b failover since 0s
        0s a -> b failover 2",
    );
}

#[test]
fn who_asks_for_a_drain_soon_after_a_failback_has_not_flapped() {
    check(
        "policy rise 1 fall 1
        at 0s probe a pass; probe b pass; probe a fail; probe a pass
        at 11s probe a pass drain; show counts",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        0s a up
        10s b -> a failback 3
        11s a claims drain
        11s a -> b failover 4
        11s 0 flaps, 0 switches",
    );
}

#[test]
fn a_standby_that_asks_for_a_drain_is_not_used() {
    check(
        "policy fall 1\n at 0s probe a pass; probe b pass maintenance; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b claims maintenance
        0s a down
        0s a -> none failover 2",
    );
}

#[test]
fn nobody_serves_when_the_only_one_asks_for_a_drain() {
    check(
        "backends a\n policy rise 1\n at 0s probe a pass; probe a pass drain; probe a pass serve",
        "0s a up
        0s none -> a startup 1
        0s a claims drain
        0s a -> none failover 2
        0s a claims serve
        0s none -> a recovery 3",
    );
}

// === Keep last ===

#[test]
fn keep_last_keeps_nobody_whose_word_forbids_it() {
    for claim in ["promoting", "fenced", "drain", "maintenance"] {
        check(
            &format!(
                "policy rise 1 fall 1 keep_last
                at 0s probe a pass active; probe a pass {claim}; show; probe a fail; show; probe a fail
                at 1s probe a pass; show"
            ),
            &format!(
                "0s a up
                0s a claims active
                0s none -> a startup 1
                0s a claims{} {claim}
                0s a -> none failover 2
                0s status none epoch 2 hold_down 10s
                0s a down
                0s status none epoch 2 hold_down 10s
                1s a up
                1s none -> a recovery 3
                1s status a epoch 3 hold_down 10s",
                if ["drain", "maintenance"].contains(&claim) { " active" } else { "" }
            ),
        );
    }
}

#[test]
fn keep_last_keeps_nobody_that_claims_another_role_than_the_required_one() {
    check(
        "policy rise 1 fall 1 keep_last role active
        at 0s probe a pass active; probe b pass standby; probe a pass standby; show",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        0s a claims standby
        0s a -> none failover 2
        0s status none epoch 2 hold_down 10s",
    );
}

#[test]
fn a_single_pass_does_not_take_back_what_forbade_to_keep_it() {
    check(
        "policy fall 1 keep_last
        at 0s probe a pass; probe b pass maintenance; probe a pass drain; probe a pass drain
        at 1s probe a fail; show; probe a pass serve; show\n at 2s probe a pass serve; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b claims maintenance
        0s a claims drain
        0s a -> none failover 2
        1s a down
        1s status none epoch 2 hold_down 10s
        1s status none epoch 2 hold_down 10s
        2s a up
        2s a claims serve
        2s none -> a recovery 3
        2s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn another_role_than_the_required_one_forbids_to_keep_it_also_when_it_is_down() {
    check(
        "policy rise 1 fall 1 keep_last role active
        at 0s probe a pass active; probe a pass standby; probe a fail; show
        at 1s reload a b with role any; show",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s a claims standby
        0s a -> none failover 2
        0s a down
        0s status none epoch 2 hold_down 10s
        1s none -> a reload 3
        1s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn keep_last_keeps_one_whose_role_is_not_known() {
    check(
        "policy rise 1 fall 1 keep_last role active
        at 0s probe a pass active; probe a fail; show\n at 1s probe a pass; show",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s a down
        0s status a epoch 1 hold_down 10s
        1s a up
        1s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn keep_last_after_a_restart_keeps_nobody_that_never_answered() {
    for unheard in ["probe a unclear", "probe a fail"] {
        check(
            &format!(
                "policy keep_last
                at 0s probe a pass; restart; probe b fail; {unheard}\n at 9s show; probe a pass"
            ),
            "0s a up
            0s none -> a startup 1
            0s b down
            9s status none epoch 1 hold_down 10s
            9s a up
            9s none -> a startup 2",
        );
    }
}

// === Restarts ===

#[test]
fn a_restart_forgets_every_claim_but_asks_again() {
    check(
        "policy role active\n at 0s probe a pass standby; probe b pass active
        at 1s restart; show a; probe a pass standby; show; probe b pass active",
        "0s a up
        0s a claims standby
        0s b up
        0s b claims active
        0s none -> b startup 1
        1s a unknown ready streak 0 not eligible in doubt
        1s a up
        1s a claims standby
        1s status none epoch 1 hold_down 10s
        1s b up
        1s b claims active
        1s none -> b startup 2",
    );
}

#[test]
fn a_last_active_that_claims_to_be_a_standby_after_a_restart_is_not_waited_for() {
    check(
        "policy role active\n at 0s probe a pass active; probe b pass standby
        at 1s restart; probe b pass active; show; probe a pass standby",
        "0s a up
        0s a claims active
        0s none -> a startup 1
        0s b up
        0s b claims standby
        1s b up
        1s b claims active
        1s status none epoch 1 hold_down 10s
        1s a up
        1s a claims standby
        1s none -> b failover 2",
    );
}

#[test]
fn two_actives_after_a_restart_leave_the_service_where_it_was() {
    check(
        "at 0s probe a fail; probe b pass active
        at 1s restart; probe a pass active; probe b pass active; probe a pass active; show; restart; show",
        "0s a down
        0s b up
        0s b claims active
        0s none -> b startup 1
        1s a up
        1s a claims active
        1s b up
        1s b claims active
        1s none -> b startup 2
        1s dual
        1s status b epoch 2 dual since 1s hold_down 10s
        1s status none epoch 2 hold_down 10s",
    );
}

#[test]
fn one_lost_probe_after_a_restart_does_not_move_the_service() {
    check(
        "at 0s probe a pass; probe b pass; restart; probe b pass; probe a fail; show; show a
        at 0.1s probe a fail; show a\n at 0.2s probe a pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b up
        0s status none epoch 1 hold_down 10s
        0s a unknown ready streak 1 not eligible in doubt
        0.1s a unknown ready streak 2 not eligible in doubt
        0.2s a up
        0.2s none -> a startup 2
        0.2s status a epoch 2 hold_down 10s",
    );
}

#[test]
fn a_last_active_that_is_dead_after_a_restart_is_left_after_fall_failures() {
    check(
        "at 0s probe a pass; probe b pass; restart; probe b pass; probe a fail; probe a unclear
        at 0.1s probe a fail\n at 0.2s probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b up
        0.2s a down
        0.2s none -> b failover 2",
    );
}

#[test]
fn an_order_overtakes_a_last_active_that_comes_back_meanwhile() {
    let begins = "policy exclusive 1s\n by hand
        at 0s probe a pass; probe b pass; restart; probe b pass; command switchover b
        at 0.1s probe a pass;";
    let says = "0s a up
        0s none -> a startup 1
        0s b up
        0s b up
        0s hold 1 drain 1s
        0.1s a up\n";
    check(&[begins, "held 1 all"].concat(), &[says, "0.1s none -> b switchover 2"].concat());
    check(
        &[begins, "command drain b"].concat(),
        &[says, "0.1s b drain\n 0.1s none -> a startup 2"].concat(),
    );
}

#[test]
fn with_the_grace_ends_the_wait_for_a_last_active_that_fails_slowly() {
    check(
        "at 0s probe a pass; probe b pass; restart; probe b pass; probe a fail
        at 1.9s probe a fail; show a\n at 9s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b up
        1.9s a unknown ready streak 2 not eligible in doubt
        2s none -> b startup 2
        9s status b epoch 2 hold_down 10s",
    );
}

#[test]
fn of_all_others_the_first_verdict_decides_after_a_restart_too() {
    check(
        "backends a b c\n at 0s probe a pass; restart; probe a fail; probe a fail; probe b fail
        at 0.1s probe c pass; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b down
        0.1s c up
        0.1s a down
        0.1s none -> c failover 2",
    );
}
