//! What the rules mean, case by case. The language is explained in `script.rs`.

use super::script::check;

// === Start ===

#[test]
fn nobody_is_used_before_a_verdict() {
    check(
        "at 0s tick; show; show a\n at 9s tick; show",
        "0s status none epoch 0 hold_down 10s
        0s a unknown ready streak 0 not eligible in doubt
        9s status none epoch 0 hold_down 10s",
    );
}

#[test]
fn the_first_verdict_decides() {
    check(
        "at 0.1s probe a pass; probe b fail; show a; show b",
        "0.1s a up
        0.1s none -> a startup 1
        0.1s b down
        0.1s a up ready streak 0 eligible since 0.1s
        0.1s b down ready streak 0 not eligible",
    );
}

#[test]
fn a_standby_waits_for_the_verdict_on_the_primary() {
    check(
        "at 0.1s probe b pass\n at 0.4s probe a pass",
        "0.1s b up
        0.4s a up
        0.4s none -> a startup 1",
    );
}

#[test]
fn a_bad_verdict_on_the_primary_ends_the_wait() {
    check(
        "at 0.1s probe b pass\n at 0.4s probe a fail",
        "0.1s b up
        0.4s a down
        0.4s none -> b startup 1",
    );
}

#[test]
fn the_wait_for_the_primary_ends_with_the_grace() {
    check(
        "at 0.1s probe b pass\n at 5s tick",
        "0.1s b up
        2s none -> b startup 1",
    );
}

#[test]
fn after_the_grace_the_first_one_up_serves_at_once() {
    check(
        "at 3s probe b pass",
        "3s b up
        3s none -> b startup 1",
    );
}

#[test]
fn no_grace_no_wait() {
    check(
        "policy grace 0s\n at 0s probe b pass",
        "0s b up
        0s none -> b startup 1",
    );
}

#[test]
fn an_endless_grace_waits_for_a_verdict_without_overflow() {
    check(
        "policy grace forever\n at 0s probe b pass\n at 9999s tick; probe a fail",
        "0s b up
        9999s a down
        9999s none -> b startup 1",
    );
}

#[test]
fn nobody_waits_for_a_primary_in_maintenance() {
    check(
        "at 0s command maintenance a; probe b pass",
        "0s a maintenance
        0s b up
        0s none -> b startup 1",
    );
}

#[test]
fn only_higher_priorities_are_waited_for() {
    check(
        "backends a b c\n at 0s probe c pass; probe a fail\n at 1s probe b pass",
        "0s c up
        0s a down
        1s b up
        1s none -> b startup 1",
    );
}

#[test]
fn the_grace_is_for_the_start_only() {
    check(
        "at 0s probe a pass; probe b pass; reload c b a; probe a fail; probe a fail; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2",
    );
}

#[test]
fn a_reload_that_removes_the_awaited_primary_is_still_a_start() {
    check(
        "at 0s probe b pass\n at 1s reload b",
        "0s b up
        1s none -> b startup 1",
    );
}

#[test]
fn an_operator_need_not_wait_for_the_verdict_on_the_primary() {
    check(
        "at 0s probe b pass; command failback",
        "0s b up
        0s none -> b failback 1",
    );
}

// === Health ===

#[test]
fn fewer_failures_than_fall_change_nothing() {
    check(
        "at 0s probe a pass; probe b pass
        at 1s probe a fail; probe a fail; show a; probe a pass; show a; probe a fail; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a up ready streak 2 eligible since 0s in doubt
        1s a up ready streak 0 eligible since 0s",
    );
}

#[test]
fn one_pass_does_not_bring_a_backend_up() {
    check(
        "at 0s probe a fail; probe b pass; probe a pass; probe a fail; probe a pass; show a
        at 1s probe a pass",
        "0s a down
        0s b up
        0s none -> b startup 1
        0s a down ready streak 1 not eligible in doubt
        1s a up",
    );
}

#[test]
fn an_inconclusive_verdict_changes_nothing_at_all() {
    check(
        "policy fall 2
        at 0s probe a unclear; show a; probe a pass; probe a fail; probe a unclear; show a
        at 1s probe a fail",
        "0s a unknown ready streak 0 not eligible in doubt
        0s a up
        0s none -> a startup 1
        0s a up ready streak 1 eligible since 0s in doubt
        1s a down
        1s a -> none failover 2",
    );
}

#[test]
fn a_verdict_on_a_backend_that_is_not_here_is_ignored() {
    check(
        "at 0s probe a pass; probe z pass; probe z fail; show",
        "0s a up
        0s none -> a startup 1
        0s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn thresholds_of_zero_mean_one() {
    check(
        "policy rise 0 fall 0\n at 0s probe a pass; probe a fail; probe a pass",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s a -> none failover 2
        0s a up
        0s none -> a recovery 3",
    );
}

// === Failover ===

#[test]
fn the_fall_th_failure_moves_the_service() {
    check(
        "at 0s probe a pass; probe b pass
        at 1s probe a fail\n at 1.1s probe a fail\n at 1.2s probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        1.2s a down
        1.2s a -> b failover 2",
    );
}

#[test]
fn the_highest_priority_standby_takes_over() {
    check(
        "backends a b c d\n policy fall 1
        at 0s probe a pass; probe b fail; probe c pass; probe d pass; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b down
        0s c up
        0s d up
        0s a down
        0s a -> c failover 2",
    );
}

#[test]
fn a_failing_standby_moves_nothing() {
    check(
        "policy fall 1\n at 0s probe a pass; probe b pass; probe b fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b down",
    );
}

#[test]
fn an_unknown_standby_is_not_used_until_its_verdict() {
    check(
        "policy fall 1\n at 0s probe a pass; probe a fail\n at 1s probe b pass",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s a -> none failover 2
        1s b up
        1s none -> b recovery 3",
    );
}

// === Nobody left ===

#[test]
fn the_first_to_come_back_serves() {
    check(
        "policy fall 1 rise 1
        at 0s probe a pass; probe b pass; probe b fail; probe a fail\n at 5s probe b pass",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b down
        0s a down
        0s a -> none failover 2
        5s b up
        5s none -> b recovery 3",
    );
}

#[test]
fn keep_last_keeps_the_last_one() {
    check(
        "policy fall 1 rise 1 keep_last
        at 0s probe a pass; probe a fail; show\n at 5s probe a pass",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s status a epoch 1 hold_down 10s
        5s a up",
    );
}

#[test]
fn keep_last_leaves_for_the_first_eligible() {
    check(
        "policy fall 1 keep_last\n at 0s probe a pass; probe a fail; probe b pass",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s b up
        0s a -> b failover 2",
    );
}

#[test]
fn keep_last_never_starts_with_an_unchecked_backend() {
    check(
        "policy keep_last\n at 0s probe a fail; probe b fail\n at 9s tick; show",
        "0s a down
        0s b down
        9s status none epoch 0 hold_down 10s",
    );
}

#[test]
fn keep_last_overrules_the_probes_but_not_the_operator() {
    check(
        "policy fall 1 keep_last
        at 0s probe a pass; probe a fail; command maintenance a\n at 1s command ready a",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s a maintenance
        0s a -> none failover 2
        1s a ready
        1s none -> a recovery 3",
    );
}

#[test]
fn a_reload_may_turn_keep_last_on_and_off() {
    check(
        "policy fall 1
        at 0s probe a pass; probe a fail
        at 1s reload a b with keep_last\n at 2s reload a b with reject",
        "0s a up
        0s none -> a startup 1
        0s a down
        0s a -> none failover 2
        1s none -> a reload 3
        2s a -> none reload 4",
    );
}

// === Failback ===

const ON_STANDBY: &str = "policy rise 1 fall 1
    at 0s probe a pass; probe b pass; probe a fail
    ";
const ON_STANDBY_SAYS: &str = "0s a up
    0s none -> a startup 1
    0s b up
    0s a down
    0s a -> b failover 2
    ";

/// [`check`], from the moment the service has failed over to `b`.
#[track_caller]
fn check_on_standby(script: &str, expected: &str) {
    check(&[ON_STANDBY, script].concat(), &[ON_STANDBY_SAYS, expected].concat());
}

#[test]
fn auto_failback_waits_for_the_hold_down() {
    check_on_standby(
        "at 3s probe a pass; show\n at 20s tick",
        "3s a up
        3s status b epoch 2 hold_down 10s failback a at 13s
        13s b -> a failback 3",
    );
}

#[test]
fn a_failure_during_the_hold_down_starts_it_anew() {
    check_on_standby(
        "at 3s probe a pass\n at 12.9s probe a fail\n at 14s probe a pass
        at 30s tick",
        "3s a up
        12.9s a down
        14s a up
        24s b -> a failback 3",
    );
}

#[test]
fn failures_below_fall_do_not_touch_the_hold_down() {
    check_on_standby(
        "at 1s reload a b with fall 3; probe a pass
        at 5s probe a fail; probe a fail; probe a pass\n at 30s tick",
        "1s a up
        11s b -> a failback 3",
    );
}

#[test]
fn a_primary_that_flaps_every_second_is_not_failed_back_to() {
    let flapping: String = (1..30)
        .map(|s| format!("at {s}s probe a {}\n", if s % 2 == 0 { "pass" } else { "fail" }))
        .collect();
    let says: String =
        (2..30).map(|s| format!("{s}s a {}\n", if s % 2 == 0 { "up" } else { "down" })).collect();
    check_on_standby(&flapping, &says);
}

#[test]
fn a_flapping_primary_never_even_comes_up_with_the_default_rise() {
    let flapping: String = (1..30)
        .map(|s| format!("at {s}s probe a {}\n", if s % 2 == 0 { "pass" } else { "fail" }))
        .collect();
    check_on_standby(&format!("at 0s reload a b with rise 2\n{flapping}"), "");
}

#[test]
fn no_hold_down_fails_back_at_once() {
    check(
        "policy fall 1 rise 1 hold_down 0s
        at 0s probe a pass; probe b pass; probe a fail\n at 1s probe a pass",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        1s a up
        1s b -> a failback 3",
    );
}

#[test]
fn an_endless_hold_down_never_fails_back_without_overflow() {
    check_on_standby(
        "at 1s reload a b with hold_down forever; probe a pass\n at 99999s tick; show",
        "1s a up
        99999s status b epoch 2 hold_down forever",
    );
}

#[test]
fn manual_failback_waits_for_the_operator() {
    check_on_standby(
        "at 1s reload a b with manual; probe a pass\n at 999s tick; show
        at 1000s command failback",
        "1s a up
        999s status b epoch 2
        1000s b -> a failback 3",
    );
}

#[test]
fn manual_failback_still_fails_over() {
    check_on_standby(
        "at 1s reload a b with manual; probe a pass\n at 9s probe b fail",
        "1s a up
        9s b down
        9s b -> a failover 3",
    );
}

#[test]
fn a_lower_priority_never_gets_a_failback() {
    check(
        "at 0s probe a pass; probe b pass\n at 999s tick; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        999s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn the_service_climbs_back_step_by_step() {
    check("backends a b c\n policy fall 1 rise 1
        at 0s probe a fail; probe b fail; probe c pass\n at 1s probe b pass\n at 4s probe a pass; show
        at 99s tick", "0s a down
        0s b down
        0s c up
        0s none -> c startup 1
        1s b up
        4s a up
        4s status c epoch 1 hold_down 10s failback b at 11s
        11s c -> b failback 2
        14s b -> a failback 3");
}

#[test]
fn a_late_tick_goes_straight_to_the_highest_priority() {
    check(
        "backends a b c\n policy fall 1 rise 1
        at 0s probe a fail; probe b fail; probe c pass\n at 1s probe b pass\n at 4s probe a pass
        late 60s tick",
        "0s a down
        0s b down
        0s c up
        0s none -> c startup 1
        1s b up
        4s a up
        60s c -> a failback 2",
    );
}

// === Switchover, failback by order, pin ===

#[test]
fn a_switchover_moves_and_stays() {
    check(
        "at 0s probe a pass; probe b pass\n at 2s command switchover b; show\n at 99s tick; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        2s a -> b switchover 2
        2s status b epoch 2 pinned hold_down 10s
        99s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn a_switchover_to_the_active_pins_it() {
    check(
        "at 0s probe a pass; command switchover a; show",
        "0s a up
        0s none -> a startup 1
        0s status a epoch 1 pinned hold_down 10s",
    );
}

#[test]
fn a_switchover_needs_an_eligible_backend() {
    check(
        "at 0s probe a pass; command switchover b; command switchover z; show",
        "0s a up
        0s none -> a startup 1
        0s rejected not eligible
        0s rejected unknown backend
        0s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn the_pin_of_a_switchover_ends_when_its_backend_fails() {
    check(
        "policy fall 1 rise 1
        at 0s probe a pass; probe b pass; command switchover b\n at 1s probe b fail; show
        at 2s probe b pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a -> b switchover 2
        1s b down
        1s b -> a failover 3
        1s status a epoch 3 hold_down 10s
        2s b up
        2s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn a_pin_does_not_outlive_an_active_that_is_kept_although_down() {
    check(
        "policy fall 1 rise 1 keep_last
        at 0s probe a pass; command pin; show; probe a fail; show; command pin",
        "0s a up
        0s none -> a startup 1
        0s status a epoch 1 pinned hold_down 10s
        0s a down
        0s status a epoch 1 hold_down 10s
        0s rejected not eligible",
    );
}

#[test]
fn a_pin_stops_the_failback_and_an_unpin_lets_it_go() {
    check_on_standby(
        "at 1s command pin; probe a pass\n at 50s tick; show\n at 51s command unpin",
        "1s a up
        50s status b epoch 2 pinned hold_down 10s
        51s b -> a failback 3",
    );
}

#[test]
fn a_pin_needs_an_active() {
    check(
        "at 0s command pin; show",
        "0s rejected nothing active
        0s status none epoch 0 hold_down 10s",
    );
}

#[test]
fn failback_by_order_skips_the_hold_down_and_ends_the_pin() {
    check_on_standby(
        "at 1s probe a pass; command pin\n at 2s command failback; show",
        "1s a up
        2s b -> a failback 3
        2s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn failback_by_order_on_the_primary_only_unpins() {
    check(
        "at 0s probe a pass; command pin; command failback; show",
        "0s a up
        0s none -> a startup 1
        0s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn failback_by_order_needs_somebody_eligible() {
    check(
        "at 0s command failback; probe a fail; command failback",
        "0s rejected not eligible
        0s a down
        0s rejected not eligible",
    );
}

// === Admin states ===

#[test]
fn draining_the_active_moves_the_service_and_ready_brings_it_back() {
    check(
        "at 0s probe a pass; probe b pass\n at 5s command drain a\n at 7s command ready a
        at 99s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        5s a drain
        5s a -> b failover 2
        7s a ready
        17s b -> a failback 3",
    );
}

#[test]
fn a_backend_in_maintenance_is_never_chosen() {
    check(
        "policy fall 1
        at 0s probe a pass; probe b pass; command maintenance b; show b; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b maintenance
        0s b up maintenance streak 0 not eligible
        0s a down
        0s a -> none failover 2",
    );
}

#[test]
fn health_is_followed_in_maintenance() {
    check("policy fall 1 rise 1
        at 0s command maintenance b; probe a pass; probe b pass; probe b fail; command ready b; show b",
        "0s b maintenance
        0s a up
        0s none -> a startup 1
        0s b up
        0s b down
        0s b ready
        0s b down ready streak 0 not eligible");
}

#[test]
fn the_same_wish_twice_is_one_change() {
    check(
        "at 0s command drain a; command drain a; command maintenance a; command drain z",
        "0s a drain
        0s a maintenance
        0s rejected unknown backend",
    );
}

#[test]
fn repeating_a_wish_does_not_restart_the_hold_down() {
    check_on_standby(
        "at 1s probe a pass\n at 9s command ready a\n at 99s tick",
        "1s a up
        11s b -> a failback 3",
    );
}

// === Lock ===

#[test]
fn a_locked_service_does_not_fail_back() {
    check_on_standby(
        "at 1s command lock; command lock; probe a pass\n at 99s tick; show
        at 100s command unlock; command unlock",
        "1s locked
        1s a up
        99s status b epoch 2 locked hold_down 10s
        100s unlocked
        100s b -> a failback 3",
    );
}

#[test]
fn a_locked_service_does_not_fail_over_but_comes_back() {
    check(
        "policy fall 1 rise 1
        at 0s probe a pass; probe b pass; command lock\n at 1s probe a fail\n at 9s tick; show
        at 10s probe a pass",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s locked
        1s a down
        1s a -> none failover 2
        9s status none epoch 2 locked hold_down 10s
        10s a up
        10s none -> a recovery 3",
    );
}

#[test]
fn an_unlock_lets_the_standby_take_over() {
    check(
        "policy fall 1
        at 0s probe a pass; probe b pass; command lock; probe a fail\n at 5s command unlock",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s locked
        0s a down
        0s a -> none failover 2
        5s unlocked
        5s none -> b recovery 3",
    );
}

#[test]
fn a_locked_service_that_keeps_the_last_one_keeps_it() {
    check(
        "policy fall 1 keep_last
        at 0s probe a pass; probe b pass; command lock; probe a fail; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s locked
        0s a down
        0s status a epoch 1 locked hold_down 10s",
    );
}

#[test]
fn the_operator_moves_a_locked_service() {
    check(
        "policy fall 1 rise 1
        at 0s probe a pass; probe b pass; command lock\n at 1s command switchover b
        at 2s command failback\n at 3s probe a fail\n at 4s command switchover b\n at 5s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s locked
        1s a -> b switchover 2
        2s b -> a failback 3
        3s a down
        3s a -> none failover 4
        4s none -> b switchover 5
        5s status b epoch 5 pinned locked hold_down 20s",
    );
}

#[test]
fn a_service_locked_before_the_start_waits_for_the_operator() {
    check(
        "at 0s command lock; probe a pass; probe b pass\n at 99s tick; show\n at 100s command unlock",
        "0s locked
        0s a up
        0s b up
        99s status none epoch 0 locked hold_down 10s
        100s unlocked
        100s none -> a startup 1",
    );
}

#[test]
fn a_reload_that_removes_the_active_of_a_locked_service_leaves_nobody() {
    check(
        "at 0s probe a pass; probe b pass; command lock; reload b; show; reload a b; probe a pass",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s locked
        0s a -> none reload 2
        0s status none epoch 2 locked hold_down 10s
        0s a up",
    );
}

// === Flap damping ===

#[test]
fn a_flap_doubles_the_hold_down_up_to_the_cap() {
    check_on_standby(
        "at 1s reload a b with cap 35s; probe a pass\n at 12s probe a fail; show
        at 13s probe a pass\n at 34s probe a fail; show\n at 35s probe a pass\n at 99s tick",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        12s status b epoch 4 hold_down 20s
        13s a up
        33s b -> a failback 5
        34s a down
        34s a -> b failover 6
        34s status b epoch 6 hold_down 35s
        35s a up
        70s b -> a failback 7",
    );
}

#[test]
fn a_failback_that_outlives_the_window_resets_the_hold_down() {
    check_on_standby(
        "at 1s probe a pass\n at 12s probe a fail\n at 13s probe a pass\n at 40s show
        at 93s show\n at 94s probe a fail; show",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        13s a up
        33s b -> a failback 5
        40s status a epoch 5 hold_down 20s
        93s status a epoch 5 hold_down 10s
        94s a down
        94s a -> b failover 6
        94s status b epoch 6 hold_down 10s",
    );
}

#[test]
fn the_last_moment_of_the_window_is_outside() {
    check_on_standby(
        "at 1s probe a pass\n at 11s tick\n late 71s probe a fail; show",
        "1s a up
        11s b -> a failback 3
        71s a down
        71s a -> b failover 4
        71s status b epoch 4 hold_down 10s",
    );
}

#[test]
fn a_failover_without_a_failback_is_no_flap() {
    check_on_standby(
        "at 1s probe a pass; probe b fail; show",
        "1s a up
        1s b down
        1s b -> a failover 3
        1s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn draining_after_a_failback_is_no_flap() {
    check_on_standby(
        "at 1s probe a pass\n at 12s command drain a; show",
        "1s a up
        11s b -> a failback 3
        12s a drain
        12s a -> b failover 4
        12s status b epoch 4 hold_down 10s",
    );
}

#[test]
fn a_cap_below_the_hold_down_shortens_nothing() {
    check_on_standby(
        "at 1s reload a b with cap 1s; probe a pass\n at 12s probe a fail; show",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        12s status b epoch 4 hold_down 10s",
    );
}

#[test]
fn after_the_allowed_flaps_the_service_locks_itself_on_the_standby() {
    check_on_standby(
        "at 1s reload a b with lock_after 2; probe a pass
        at 12s probe a fail\n at 13s probe a pass\n at 34s probe a fail; show\n at 35s probe a pass
        at 999s tick; show\n at 1000s command unlock; show",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        13s a up
        33s b -> a failback 5
        34s a down
        34s a -> b failover 6
        34s locked
        34s status b epoch 6 locked hold_down 40s
        35s a up
        999s status b epoch 6 locked hold_down 40s
        1000s unlocked
        1000s b -> a failback 7
        1000s status a epoch 7 hold_down 10s",
    );
}

#[test]
fn a_flap_that_leaves_nobody_does_not_lock() {
    check_on_standby(
        "at 1s reload a b with lock_after 1; probe a pass\n at 12s probe b fail; probe a fail
        at 13s probe b pass",
        "1s a up
        11s b -> a failback 3
        12s b down
        12s a down
        12s a -> none failover 4
        13s b up
        13s none -> b recovery 5",
    );
}

#[test]
fn no_window_no_damping() {
    check_on_standby(
        "at 1s reload a b with window 0s; probe a pass\n at 11s probe a fail; show",
        "1s a up
        11s b -> a failback 3
        11s a down
        11s a -> b failover 4
        11s status b epoch 4 hold_down 10s",
    );
}

#[test]
fn a_reload_without_a_window_ends_the_row_of_flaps() {
    check_on_standby(
        "at 1s probe a pass\n at 12s probe a fail; show; reload a b with window 0s; show",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        12s status b epoch 4 hold_down 20s
        12s status b epoch 4 hold_down 10s",
    );
}

// === Reload ===

#[test]
fn a_reload_keeps_health_streaks_and_hold_down() {
    check_on_standby(
        "at 1s probe a pass; reload a b; probe b pass; show a; show
        at 2s reload a b with fall 3; probe b fail; probe b fail; reload a b; show b; probe b fail",
        "1s a up
        1s a up ready streak 0 eligible since 1s
        1s status b epoch 2 hold_down 10s failback a at 11s
        2s b up ready streak 2 eligible since 0s in doubt
        2s b down
        2s b -> a failover 3",
    );
}

#[test]
fn a_reload_keeps_wishes_pins_and_locks() {
    check_on_standby(
        "at 1s command pin; command lock; command drain a; reload b a; show; show a",
        "1s locked
        1s a drain
        1s status b epoch 2 pinned locked hold_down 10s
        1s a down drain streak 0 not eligible",
    );
}

#[test]
fn a_new_order_moves_to_a_primary_that_has_been_eligible_long_enough() {
    check(
        "at 0s probe a pass; probe b pass\n at 30s reload b a",
        "0s a up
        0s none -> a startup 1
        0s b up
        30s a -> b reload 2",
    );
}

#[test]
fn a_new_order_otherwise_waits_for_the_hold_down() {
    check(
        "at 0s probe a pass; probe b pass\n at 4s reload b a; show\n at 99s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        4s status a epoch 1 hold_down 10s failback b at 10s
        10s a -> b failback 2",
    );
}

#[test]
fn removing_the_active_moves_at_once() {
    check(
        "at 0s probe a pass; probe b pass; command pin\n at 1s reload b; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> b reload 2
        1s status b epoch 2 hold_down 10s",
    );
}

#[test]
fn removing_the_active_with_nobody_else_leaves_none_even_with_keep_last() {
    check(
        "policy keep_last\n at 0s probe a pass; reload b; show; reload; show",
        "0s a up
        0s none -> a startup 1
        0s a -> none reload 2
        0s status none epoch 2 hold_down 10s
        0s status none epoch 2 hold_down 10s",
    );
}

#[test]
fn removing_a_standby_moves_nothing() {
    check(
        "at 0s probe a pass; probe b pass; reload a; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn an_added_primary_takes_over_only_after_its_verdict_and_the_hold_down() {
    check(
        "at 0s probe a pass\n at 5s reload c a\n at 6s probe c pass\n at 99s tick",
        "0s a up
        0s none -> a startup 1
        6s c up
        16s a -> c failback 2",
    );
}

#[test]
fn a_backend_that_was_away_starts_unknown() {
    check(
        "at 0s probe a pass; probe b pass; reload a; probe b fail; reload a b; show b",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s b unknown ready streak 0 not eligible in doubt",
    );
}

#[test]
fn new_thresholds_count_from_the_next_verdict() {
    check("policy fall 5
        at 0s probe a pass; probe a fail; probe a fail; reload a b with fall 2; show a; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s a up ready streak 2 eligible since 0s in doubt
        0s a down
        0s a -> none failover 2");
}

#[test]
fn a_shorter_hold_down_counts_for_a_failback_under_way() {
    check_on_standby(
        "at 1s probe a pass\n at 4s reload a b with hold_down 2s",
        "1s a up
        4s b -> a reload 3",
    );
}

#[test]
fn an_id_given_twice_counts_once() {
    check(
        "backends a b a\n at 0s probe a pass; reload b a b; show b; show",
        "0s a up
        0s none -> a startup 1
        0s b unknown ready streak 0 not eligible in doubt
        0s status a epoch 1 hold_down 10s",
    );
}
