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
        99999s status b epoch 2 hold_down forever failback a at 3153600001s",
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
        4s status c epoch 1 hold_down 10s failback a at 14s
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

#[test]
fn a_reload_that_moves_under_hold_stays_the_reason() {
    check(
        "by hand
        at 0s probe a pass; probe b pass\n at 30s reload b a; show switch; held 1 all
        at 31s reload a; show switch; held 2 all",
        "0s a up
        0s none -> a startup 1
        0s b up
        30s hold 1 planned
        30s switch a -> b reload planned since 30s
        30s a -> b reload 2
        31s hold 2
        31s switch b -> a reload since 31s
        31s b -> a reload 3",
    );
}

// === The conditions of a failback, and what blocks it ===

#[test]
fn without_a_higher_one_there_is_nothing_to_fail_back_to() {
    check(
        "at 0s show failback; probe a pass; show failback",
        "0s failback none
        0s a up
        0s none -> a startup 1
        0s failback none",
    );
}

#[test]
fn a_failback_waits_for_passes_in_a_row() {
    check_on_standby(
        "at 1s reload a b with passes 4 hold_down 1s fall 3; probe a pass; show failback; show a
        at 2s probe a pass; probe a pass; show failback; probe a fail; show failback
        at 3s probe a pass; probe a unclear; probe a pass; probe a pass; show failback
        at 4s probe a pass",
        "1s a up
        1s failback a: hold-down until 2s, passes 1 of 4
        1s a up ready streak 0 eligible since 1s
        2s failback a: passes 3 of 4
        2s failback a: passes 0 of 4
        3s failback a: passes 3 of 4
        4s b -> a failback 3",
    );
}

#[test]
fn enough_passes_do_not_shorten_the_hold_down() {
    check_on_standby(
        "at 1s reload a b with passes 2; probe a pass; probe a pass; show failback\n at 20s tick",
        "1s a up
        1s failback a at 11s: hold-down until 11s
        11s b -> a failback 3",
    );
}

#[test]
fn passes_count_from_when_it_became_eligible() {
    check_on_standby(
        "at 1s reload a b with passes 3 hold_down 0s; command drain a; probe a pass; probe a pass
        at 2s command ready a; show failback; probe a pass; probe a pass; show failback
        at 3s command drain a; command ready a; show failback",
        "1s a drain
        1s a up
        2s a ready
        2s failback a: passes 0 of 3
        2s failback a: passes 2 of 3
        3s a drain
        3s a ready
        3s failback a: passes 0 of 3",
    );
}

#[test]
fn one_pass_is_no_matter() {
    check_on_standby(
        "at 1s reload a b with passes 1 hold_down 0s; command drain a; probe a pass
        at 2s command ready a",
        "1s a drain
        1s a up
        2s a ready
        2s b -> a failback 3",
    );
}

#[test]
fn a_failback_waits_for_few_requests_in_flight() {
    check_on_standby(
        "at 1s reload a b with below 5; probe a pass; requests 0; show failback
        at 11s show failback; requests 5; show failback\n at 12s requests 4",
        "1s a up
        1s failback a: hold-down until 11s, requests below 5
        11s failback a: requests below 5, asks for requests
        11s failback a: requests below 5, asks for requests
        12s b -> a failback 3",
    );
}

#[test]
fn an_old_figure_of_requests_is_not_used() {
    check_on_standby(
        "at 1s reload a b with below 5; probe a pass\n at 10.9s requests 0\n at 20s tick; show",
        "1s a up
        20s status b epoch 2 hold_down 10s",
    );
}

#[test]
fn a_failback_that_has_begun_needs_no_figure_any_more() {
    check(
        "policy rise 1 fall 1 below 5\n by hand
        at 0s probe a pass; probe b pass; probe a fail; held 1 all
        at 1s probe a pass\n at 11s requests 4; show failback; tick; requests 9; held 2 all",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s hold 1
        0s a -> b failover 2
        1s a up
        11s hold 2 planned
        11s failback a: switching
        11s b -> a failback 3",
    );
}

#[test]
fn a_failback_waits_for_its_window() {
    check_on_standby(
        "at 1s reload a b with windowed; probe a pass; show failback\n at 12s show failback
        at 20s window opens",
        "1s a up
        1s failback a: hold-down until 11s, window closed
        12s failback a: window closed
        20s b -> a failback 3",
    );
}

#[test]
fn a_window_that_is_closed_again_is_closed() {
    check_on_standby(
        "at 1s window opens; reload a b with windowed; probe a pass\n at 10s window closes
        at 20s show failback; reload a b with hold_down 1s; show failback",
        "1s a up
        20s failback a: window closed
        20s failback a: window closed",
    );
}

#[test]
fn an_open_window_does_not_shorten_the_hold_down() {
    check_on_standby(
        "at 1s window opens; reload a b with windowed; probe a pass; show failback\n at 20s tick",
        "1s a up
        1s failback a at 11s: hold-down until 11s
        11s b -> a failback 3",
    );
}

#[test]
fn a_window_that_closes_calls_the_failback_off() {
    check(
        "policy rise 1 fall 1 windowed hold_down 0s\n by hand
        at 0s probe a pass; probe b pass; probe a fail; held 1 all; window opens; probe a pass
        at 1s window closes; held 2 all",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s hold 1
        0s a -> b failover 2
        0s a up
        0s hold 2 planned
        1s release 2 overruled",
    );
}

#[test]
fn everything_that_blocks_a_failback_is_said() {
    check_on_standby(
        "at 1s reload a b with passes 2 below 7 windowed; command pin; command lock; show failback
        at 2s probe a pass; show failback; command unpin; command unlock; command maintenance a
        at 3s show failback",
        "1s locked
        1s failback a: pinned, locked, down ready, window closed, requests below 7
        2s a up
        2s failback a: pinned, locked, hold-down until 12s, passes 1 of 2, window closed, \
        requests below 7
        2s unlocked
        2s a maintenance
        3s failback a: up maintenance, window closed, requests below 7",
    );
}

#[test]
fn manual_and_never_are_said() {
    check_on_standby(
        "at 1s reload a b with manual; probe a pass; show failback
        at 2s reload a b with never; show failback; show; command failback; preview failback
        at 99s tick; command switchover a",
        "1s a up
        1s failback a: manual
        2s failback a: never
        2s status b epoch 2
        2s rejected never fails back
        2s would: rejected never fails back
        99s b -> a switchover 3",
    );
}

#[test]
fn a_service_that_never_fails_back_still_fails_over_by_priority() {
    check(
        "backends a b c\n policy fall 1 rise 1 never
        at 0s probe a pass; probe b pass; probe c pass; probe a fail; probe a pass; probe b fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s a down
        0s a -> b failover 2
        0s a up
        0s b down
        0s b -> a failover 3",
    );
}

// === The lock rule ===

#[test]
fn unlocking_forgets_the_moves_so_far() {
    check_on_standby(
        "at 0s reload a b with lock_after 2 60s hold_down 1s\n at 1s probe a pass
        at 2s probe a fail; show counts; command unlock; show counts",
        "1s a up
        2s b -> a failback 3
        2s a down
        2s a -> b failover 4
        2s locked
        2s 1 flaps, 2 switches
        2s unlocked
        2s 0 flaps, 0 switches",
    );
}

#[test]
fn too_many_moves_lock_the_service() {
    check_on_standby(
        "at 0s reload a b with lock_after 4 60s hold_down 1s; show counts
        at 1s probe a pass\n at 2s probe a fail; show counts\n at 3s probe a pass
        at 6s show counts\n at 7s probe a fail; show; show counts\n at 8s probe a pass
        at 99s show; command unlock; show counts",
        "0s 0 flaps, 0 switches
        1s a up
        2s b -> a failback 3
        2s a down
        2s a -> b failover 4
        2s 1 flaps, 2 switches
        3s a up
        5s b -> a failback 5
        6s 1 flaps, 3 switches
        7s a down
        7s a -> b failover 6
        7s locked
        7s status b epoch 6 locked hold_down 4s
        7s 2 flaps, 4 switches
        8s a up
        99s status b epoch 6 locked hold_down 4s
        99s unlocked
        99s b -> a failback 7
        99s 0 flaps, 1 switches",
    );
}

#[test]
fn moves_that_are_as_old_as_the_time_do_not_count() {
    check(
        "policy rise 1 fall 1 manual lock_after 2 10s
        at 0s probe a pass; probe b pass; probe a fail; probe a pass\n at 10s probe b fail
        at 19.9s probe b pass; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        0s a up
        10s b down
        10s b -> a failover 3
        19.9s b up
        19.9s a down
        19.9s a -> b failover 4
        19.9s locked",
    );
}

#[test]
fn only_failovers_and_failbacks_to_somebody_count() {
    check(
        "policy rise 1 fall 1 manual lock_after 1 999s
        at 0s probe a pass; probe b pass; command switchover b; command failback
        at 1s command drill 1s\n at 3s reload b a with hold_down 0s; reload a; reload a b
        at 4s probe a fail; probe a pass; show counts; probe b pass; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a -> b switchover 2
        0s b -> a failback 3
        1s drill a until 2s
        1s a -> b drill 4
        2s drill a ended
        2s b -> a drill 5
        3s a -> b reload 6
        3s b -> a reload 7
        4s a down
        4s a -> none failover 8
        4s a up
        4s none -> a recovery 9
        4s 0 flaps, 0 switches
        4s b up
        4s a down
        4s a -> b failover 10
        4s locked",
    );
}

#[test]
fn a_lock_rule_of_zero_is_one_of_one() {
    check(
        "policy fall 1 lock_after 0 9s\n at 0s probe a pass; probe b pass; probe a fail; show counts
        at 1s reload a b with never_lock; show counts",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        0s locked
        0s 0 flaps, 1 switches
        1s 0 flaps, 0 switches",
    );
}

// === The switch, step by step ===

const BY_HAND: &str = "policy rise 1 fall 1\n by hand
    at 0s probe a pass; probe b pass
    ";
const BY_HAND_SAYS: &str = "0s a up
    0s none -> a startup 1
    0s b up
    ";

/// [`check`] with `a` active and `b` up; holds are answered by the script.
#[track_caller]
fn check_by_hand(script: &str, expected: &str) {
    check(&[BY_HAND, script].concat(), &[BY_HAND_SAYS, expected].concat());
}

#[test]
fn a_move_is_made_when_all_have_acknowledged() {
    check_by_hand(
        "at 1s command switchover b; show switch; show; tick\n at 2s held 1 all; show switch; show",
        "1s hold 1 planned
        1s switch a -> b switchover planned since 1s
        1s status a epoch 1 hold_down 10s
        2s a -> b switchover 2
        2s no switch
        2s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn the_start_needs_no_hold_and_the_end_neither() {
    check_by_hand(
        "at 1s probe b fail; probe a fail; probe b pass",
        "1s b down
        1s a down
        1s a -> none failover 2
        1s b up
        1s none -> b recovery 3",
    );
}

#[test]
fn a_planned_move_needs_every_acknowledgement() {
    check_by_hand(
        "at 1s command switchover b; held 1 lost; show; show switch\n at 99s tick; show",
        "1s hold 1 planned
        1s release 1 unacknowledged
        1s status a epoch 1 hold_down 10s
        1s no switch
        99s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn an_unplanned_move_goes_on_without() {
    check_by_hand(
        "at 1s probe a fail; show switch; held 1 lost",
        "1s a down
        1s hold 1
        1s switch a -> b failover since 1s
        1s a -> b failover 2",
    );
}

#[test]
fn an_answer_that_never_comes_is_one_that_says_no() {
    check_by_hand(
        "at 1s probe a fail\n at 9s probe a pass; command failback\n at 20s show",
        "1s a down
        1s hold 1
        7s a -> b failover 2
        9s a up
        9s hold 2 planned
        15s release 2 unacknowledged
        20s status b epoch 2 hold_down 10s failback a at 25s",
    );
}

#[test]
fn the_answer_to_an_older_hold_is_ignored() {
    check_by_hand(
        "at 1s command switchover b; held 1 lost; command switchover b; held 1 all; held 3 all
        at 2s held 2 all; held 2 all; held 2 lost",
        "1s hold 1 planned
        1s release 1 unacknowledged
        1s hold 2 planned
        2s a -> b switchover 2",
    );
}

#[test]
fn the_rules_pause_after_a_move_that_was_not_acknowledged() {
    check_by_hand(
        "at 1s probe a fail; held 1 all; probe a pass\n at 11s show switch; held 2 lost; show failback
        at 30s show switch; held 3 all",
        "1s a down
        1s hold 1
        1s a -> b failover 2
        1s a up
        11s hold 2 planned
        11s switch b -> a failback planned since 11s
        11s release 2 unacknowledged
        11s failback a at 21s: called off until 21s
        21s hold 3 planned
        27s release 3 unacknowledged
        30s no switch",
    );
}

#[test]
fn orders_and_failovers_do_not_pause() {
    check_by_hand(
        "at 1s command switchover b; held 1 lost; command switchover b; held 2 lost; probe a fail",
        "1s hold 1 planned
        1s release 1 unacknowledged
        1s hold 2 planned
        1s release 2 unacknowledged
        1s a down
        1s hold 3",
    );
}

#[test]
fn a_move_is_off_when_its_backend_fails() {
    check_by_hand(
        "at 1s command switchover b\n at 2s probe b fail; show\n at 3s probe b pass; held 1 all",
        "1s hold 1 planned
        2s b down
        2s release 1 heir lost
        2s status a epoch 1 hold_down 10s
        3s b up",
    );
}

#[test]
fn a_failover_is_off_when_the_old_active_is_back() {
    check_by_hand(
        "at 1s probe a fail\n at 2s probe a pass; held 1 all; show",
        "1s a down
        1s hold 1
        2s a up
        2s release 1 overruled
        2s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn when_nobody_is_left_during_a_move_nobody_is_active_at_once() {
    check_by_hand(
        "at 1s probe a fail; probe b fail; show switch; held 1 all; show",
        "1s a down
        1s hold 1
        1s b down
        1s a -> none failover 2
        1s no switch
        1s status none epoch 2 hold_down 10s",
    );
}

#[test]
fn with_keep_last_the_move_is_off_when_its_backend_fails() {
    check_by_hand(
        "at 1s reload a b with keep_last; probe a fail; probe b fail; show",
        "1s a down
        1s hold 1
        1s b down
        1s release 1 heir lost
        1s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn a_better_heir_takes_over_the_hold() {
    check(
        "backends a b c\n policy fall 1\n by hand
        at 0s probe a fail; probe b pass; probe c pass\n at 1s probe b fail; show switch
        at 2s probe b pass; probe b pass; show switch; held 1 all",
        "0s a down
        0s b up
        0s none -> b startup 1
        0s c up
        1s b down
        1s hold 1
        1s switch b -> c failover since 1s
        2s b up
        2s release 1 overruled
        2s no switch",
    );
    check(
        "backends a b c\n policy fall 1 rise 1\n by hand
        at 0s probe a fail; probe b pass; probe c pass\n at 1s probe b fail; probe a pass
        at 2s show switch; probe a fail; show switch; held 1 lost",
        "0s a down
        0s b up
        0s none -> b startup 1
        0s c up
        1s b down
        1s hold 1
        1s a up
        2s switch b -> a failover since 1s
        2s a down
        2s switch b -> c failover since 1s
        2s b -> c failover 2",
    );
}

#[test]
fn an_ordered_heir_stays_while_it_is_eligible() {
    check(
        "backends a b c\n policy fall 1 rise 1\n by hand
        at 0s probe b pass; probe a fail; probe c pass\n at 1s command switchover c; probe a pass
        at 2s probe b fail; show switch; held 1 lost; show",
        "0s b up
        0s a down
        0s none -> b startup 1
        0s c up
        1s hold 1 planned
        1s a up
        2s b down
        2s switch b -> c switchover since 1s
        2s b -> c switchover 2
        2s status c epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn when_an_ordered_heir_fails_the_rules_go_on() {
    check(
        "backends a b c\n policy fall 1 rise 1\n by hand
        at 0s probe a pass; probe b pass; probe c pass\n at 1s command switchover c; probe a fail
        at 2s probe c fail; show switch; held 1 all; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s hold 1 planned
        1s a down
        2s c down
        2s switch a -> b failover since 1s
        2s a -> b failover 2
        2s status b epoch 2 hold_down 10s",
    );
}

#[test]
fn a_second_order_replaces_the_first() {
    check(
        "backends a b c\n by hand
        at 0s probe a pass; probe b pass; probe c pass
        at 1s command switchover b; command switchover c; show switch; held 1 all
        at 2s command failback; command switchover b; show switch; command failback; held 2 all; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s hold 1 planned
        1s switch a -> c switchover planned since 1s
        1s a -> c switchover 2
        2s hold 2 planned
        2s switch c -> b switchover planned since 2s
        2s c -> a failback 3
        2s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn an_order_to_stay_calls_the_move_off() {
    check_by_hand(
        "at 1s command switchover b; command switchover a; show
        at 2s command switchover b; command failback; show",
        "1s hold 1 planned
        1s release 1 overruled
        1s status a epoch 1 pinned hold_down 10s
        2s hold 2 planned
        2s release 2 overruled
        2s status a epoch 1 hold_down 10s",
    );
}

#[test]
fn a_refused_order_leaves_the_first() {
    check_by_hand(
        "at 1s command switchover b; command switchover z; held 1 all",
        "1s hold 1 planned
        1s rejected unknown backend
        1s a -> b switchover 2",
    );
}

#[test]
fn a_pin_is_refused_during_a_move_and_an_old_one_ends_with_it() {
    check_by_hand(
        "at 1s command pin; command switchover b; command pin; held 1 lost; show
        at 2s command switchover b; command unpin; held 2 all; show",
        "1s hold 1 planned
        1s rejected switching
        1s release 1 unacknowledged
        1s status a epoch 1 pinned hold_down 10s
        2s hold 2 planned
        2s a -> b switchover 2
        2s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn a_lock_calls_an_automatic_move_off_but_not_an_ordered_one() {
    check_by_hand(
        "at 1s probe a fail; held 1 all; probe a pass\n at 11s command lock\n at 12s command failback
        at 13s command lock; held 3 all",
        "1s a down
        1s hold 1
        1s a -> b failover 2
        1s a up
        11s hold 2 planned
        11s locked
        11s release 2 overruled
        12s hold 3 planned
        13s b -> a failback 3",
    );
}

#[test]
fn a_lock_during_a_failover_leaves_nobody() {
    check_by_hand(
        "at 1s probe a fail; command lock",
        "1s a down
        1s hold 1
        1s locked
        1s a -> none failover 2",
    );
}

#[test]
fn a_policy_that_forbids_the_failback_calls_it_off() {
    check_by_hand(
        "at 1s probe a fail; held 1 all; probe a pass\n at 11s reload a b with manual; held 2 all",
        "1s a down
        1s hold 1
        1s a -> b failover 2
        1s a up
        11s hold 2 planned
        11s release 2 overruled",
    );
}

#[test]
fn a_move_under_way_is_said_to_block_the_failback() {
    check_by_hand(
        "at 1s probe a fail; held 1 all; command failback; probe a pass; command failback
        at 2s show failback",
        "1s a down
        1s hold 1
        1s a -> b failover 2
        1s a up
        1s hold 2 planned
        2s failback a: hold-down until 11s, switching",
    );
}

#[test]
fn the_drain_of_the_active_by_the_operator_is_no_planned_move() {
    check_by_hand(
        "at 1s command drain a; held 1 lost",
        "1s a drain
        1s hold 1
        1s a -> b failover 2",
    );
}

#[test]
fn an_active_that_a_reload_removes_stays_until_all_have_acknowledged() {
    check_by_hand(
        "at 1s reload b; show; held 1 lost; show",
        "1s hold 1
        1s status a epoch 1 hold_down 10s
        1s a -> b reload 2
        1s status b epoch 2 hold_down 10s",
    );
}

// === Exclusive moves ===

#[test]
fn an_exclusive_move_drains() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; preview switchover b; command switchover b
        at 12s tick\n at 13s command switchover b; held 2 all",
        "1s would: a -> b switchover planned drain 5s
        1s hold 1 planned drain 5s
        12s release 1 unacknowledged
        13s hold 2 planned drain 5s
        13s a -> b switchover 2",
    );
}

#[test]
fn an_exclusive_failover_waits_for_its_drain_and_no_longer() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; probe a fail\n at 11.9s tick\n at 12s tick",
        "1s a down
        1s hold 1 drain 5s
        12s a -> b failover 2",
    );
}

#[test]
fn after_nobody_an_exclusive_move_to_another_drains_what_was_left() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; probe b fail; probe a fail; probe b pass; show switch
        at 2s held 1 all; probe b fail; probe b pass",
        "1s b down
        1s a down
        1s a -> none failover 2
        1s b up
        1s hold 1 drain 5s
        1s switch none -> b recovery since 1s
        2s none -> b recovery 3
        2s b down
        2s b -> none failover 4
        2s b up
        2s none -> b recovery 5",
    );
}

#[test]
fn an_exclusive_service_that_comes_back_needs_no_drain() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; probe b fail; probe a fail; probe a pass",
        "1s b down
        1s a down
        1s a -> none failover 2
        1s a up
        1s none -> a recovery 3",
    );
}

#[test]
fn a_drain_that_was_not_acknowledged_is_not_over() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; probe b fail; probe a fail; probe b pass
        at 2s held 1 lost; probe b fail; probe b pass",
        "1s b down
        1s a down
        1s a -> none failover 2
        1s b up
        1s hold 1 drain 5s
        2s none -> b recovery 3
        2s b down
        2s b -> none failover 4
        2s b up
        2s hold 2 drain 5s",
    );
}

#[test]
fn after_a_drain_nothing_is_left_anywhere() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; probe a fail; held 1 all; probe a pass
        at 2s command drain b; held 2 all; probe a fail; probe a pass",
        "1s a down
        1s hold 1 drain 5s
        1s a -> b failover 2
        1s a up
        2s b drain
        2s hold 2 drain 5s
        2s b -> a failover 3
        2s a down
        2s a -> none failover 4
        2s a up
        2s none -> a recovery 5",
    );
}

#[test]
fn moves_before_a_reload_to_exclusive_left_requests_behind() {
    check_by_hand(
        "at 1s command switchover b; held 1 all; reload a b with exclusive 5s
        at 2s probe a fail; probe b fail; probe b pass",
        "1s hold 1 planned
        1s a -> b switchover 2
        2s a down
        2s b down
        2s b -> none failover 3
        2s b up
        2s hold 2 drain 5s",
    );
}

#[test]
fn a_drain_from_nobody_is_off_when_its_backend_fails() {
    check_by_hand(
        "at 1s reload a b with exclusive 5s; probe b fail; probe a fail; probe b pass; probe b fail
        at 2s probe b pass; probe a pass; held 2 all",
        "1s b down
        1s a down
        1s a -> none failover 2
        1s b up
        1s hold 1 drain 5s
        1s b down
        1s release 1 heir lost
        2s b up
        2s hold 2 drain 5s
        2s a up
        2s none -> a recovery 3",
    );
}

#[test]
fn a_reload_to_exclusive_holds_again_with_a_drain() {
    check_by_hand(
        "at 1s command switchover b\n at 2s reload a b with exclusive 5s; held 1 all; show switch
        at 3s reload a b with shared; held 2 all",
        "1s hold 1 planned
        2s hold 2 planned drain 5s
        2s switch a -> b switchover planned since 2s
        3s a -> b switchover 2",
    );
}

// === Orders that are watched ===

#[test]
fn an_ordered_move_is_verified_by_a_good_answer() {
    check(
        "at 0s probe a pass; probe b pass
        at 1s command switchover b verify 5s; show; answered 1; answered 2; answered 2; show
        at 6s show; answered 2",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> b switchover 2
        1s status b epoch 2 pinned hold_down 10s verifying until 6s or back to a
        1s verified 2
        1s status b epoch 2 pinned hold_down 10s verifying until 6s or back to a, answered
        6s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn an_ordered_move_without_an_answer_goes_back_and_stays() {
    check(
        "at 0s probe a pass; probe b pass\n at 1s command switchover b verify 5s
        at 7s show\n at 99s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> b switchover 2
        6s b -> a return 3
        7s status a epoch 3 pinned hold_down 10s
        99s status a epoch 3 pinned hold_down 10s",
    );
}

#[test]
fn an_ordered_move_whose_backend_fails_goes_back_even_after_an_answer() {
    check(
        "backends a b c\n policy fall 1 rise 1\n at 0s probe a pass; probe b pass; probe c pass
        at 1s command switchover b; command switchover c verify 5s; answered 3\n at 5s probe c fail
        at 6s probe c pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a -> b switchover 2
        1s b -> c switchover 3
        1s verified 3
        5s c down
        5s c -> b return 4
        6s c up
        6s status b epoch 4 pinned hold_down 10s",
    );
}

#[test]
fn after_the_watch_a_failure_is_a_failover() {
    check(
        "policy fall 1\n at 0s probe a pass; probe b pass
        at 1s command switchover b verify 5s; answered 2\n late 6s probe b fail; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> b switchover 2
        1s verified 2
        6s b down
        6s b -> a failover 3
        6s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn without_a_way_back_the_rules_go_on() {
    check(
        "backends a b c\n policy fall 1 rise 1
        at 0s probe a pass; probe b pass; probe c pass; command switchover b verify 5s
        at 1s probe a fail; probe b fail; show\n at 2s probe a pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s a -> b switchover 2
        1s a down
        1s b down
        1s b -> c failover 3
        1s status c epoch 3 hold_down 10s
        2s a up
        2s status c epoch 3 hold_down 10s failback a at 12s",
    );
}

#[test]
fn a_silent_backend_without_a_way_back_stays() {
    check(
        "policy fall 1 rise 1\n at 0s probe a pass; probe b pass; command switchover b verify 5s
        at 1s probe a fail\n at 6s show\n at 7s probe a pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a -> b switchover 2
        1s a down
        6s status b epoch 2 pinned hold_down 10s
        7s a up
        7s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn an_ordered_move_from_nobody_is_verified_too_but_has_no_way_back() {
    check(
        "at 0s command lock; probe a pass; probe b pass; command switchover b verify 5s; show
        at 1s answered 1\n at 9s command failback verify 5s; command unlock\n at 20s show",
        "0s locked
        0s a up
        0s b up
        0s none -> b switchover 1
        0s status b epoch 1 pinned locked hold_down 10s verifying until 5s or back to none
        1s verified 1
        9s b -> a failback 2
        9s unlocked
        14s a -> b return 3
        20s status b epoch 3 pinned hold_down 10s",
    );
}

#[test]
fn an_ordered_failback_is_watched_but_does_not_pin() {
    check_on_standby(
        "at 1s probe a pass; command failback verify 5s; show; answered 3
        at 2s probe a fail; show\n at 99s tick",
        "1s a up
        1s b -> a failback 3
        1s status a epoch 3 hold_down 10s verifying until 6s or back to b
        1s verified 3
        2s a down
        2s a -> b return 4
        2s status b epoch 4 pinned hold_down 20s",
    );
}

#[test]
fn a_return_is_not_watched_and_what_ends_is_over() {
    check(
        "policy fall 1 rise 1\n at 0s probe a pass; probe b pass; command switchover b verify 5s
        at 1s probe b fail; show; answered 3\n at 2s probe b pass; probe a fail; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a -> b switchover 2
        1s b down
        1s b -> a return 3
        1s status a epoch 3 pinned hold_down 10s
        2s b up
        2s a down
        2s a -> b failover 4
        2s status b epoch 4 hold_down 10s",
    );
}

#[test]
fn a_watched_move_is_not_failed_back_from() {
    check(
        "backends a b c\n policy fall 1 rise 1 hold_down 0s
        at 0s probe a fail; probe b pass; probe c pass; command switchover c
        at 1s command failback verify 5s; show failback; probe a pass; show failback
        at 2s answered 3\n at 9s tick",
        "0s a down
        0s b up
        0s none -> b startup 1
        0s c up
        0s b -> c switchover 2
        1s c -> b failback 3
        1s failback a: verifying until 6s, down ready
        1s a up
        1s failback a at 6s: verifying until 6s
        2s verified 3
        6s b -> a failback 4",
    );
}

#[test]
fn the_return_happens_under_a_lock_but_a_later_lock_calls_it_off() {
    check(
        "policy fall 1 rise 1
        at 0s probe a pass; probe b pass; command lock; command switchover b verify 5s
        at 9s command switchover b verify 5s; command lock; show\n at 20s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s locked
        0s a -> b switchover 2
        5s b -> a return 3
        9s a -> b switchover 4
        9s status b epoch 4 pinned locked hold_down 10s
        20s status b epoch 4 pinned locked hold_down 10s",
    );
}

#[test]
fn an_order_to_stay_ends_the_watch() {
    check(
        "at 0s probe a pass; probe b pass; command switchover b verify 5s
        at 1s command switchover b; show\n at 9s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a -> b switchover 2
        1s status b epoch 2 pinned hold_down 10s
        9s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn a_return_that_is_not_acknowledged_is_tried_again() {
    check_by_hand(
        "at 1s command switchover b verify 5s; held 1 all
        at 7s show switch; held 2 lost; show failback\n at 17s held 3 all; show",
        "1s hold 1 planned
        1s a -> b switchover 2
        6s hold 2 planned
        7s switch b -> a return planned since 6s
        7s release 2 unacknowledged
        7s failback a: pinned, verifying until 6s, called off until 17s, hold-down until 10s
        17s hold 3 planned
        17s b -> a return 3
        17s status a epoch 3 pinned hold_down 10s",
    );
}

#[test]
fn an_answer_calls_the_return_off() {
    check_by_hand(
        "at 1s command switchover b verify 5s; held 1 all\n at 7s answered 2; show",
        "1s hold 1 planned
        1s a -> b switchover 2
        6s hold 2 planned
        7s verified 2
        7s release 2 overruled
        7s status b epoch 2 pinned hold_down 10s",
    );
}

#[test]
fn a_return_from_a_backend_that_failed_goes_on_without_acknowledgements() {
    check_by_hand(
        "at 1s command switchover b verify 5s; held 1 all\n at 2s probe b fail; show switch; held 2 lost",
        "1s hold 1 planned
        1s a -> b switchover 2
        2s b down
        2s hold 2
        2s switch b -> a return since 2s
        2s b -> a return 3",
    );
}

// === Drills ===

#[test]
fn a_drill_moves_and_returns_by_itself() {
    check(
        "policy manual\n at 0s probe a pass; probe b pass
        at 5s command drill 20s; show; show failback; show a; show counts\n at 30s show; show a; show counts",
        "0s a up
        0s none -> a startup 1
        0s b up
        5s drill a until 25s
        5s a -> b drill 2
        5s status b epoch 2 failback a at 25s drill a until 25s
        5s failback a at 25s: drill until 25s
        5s a up ready streak 0 eligible since 0s
        5s 0 flaps, 0 switches
        25s drill a ended
        25s b -> a drill 3
        30s status a epoch 3
        30s a up ready streak 0 eligible since 0s
        30s 0 flaps, 0 switches",
    );
}

#[test]
fn a_drill_is_refused_when_it_could_not_be_honest() {
    check_by_hand(
        "at 1s command end_drill; command pin; command drill 9s; command unpin
        at 2s command lock; command drill 9s; command unlock; probe b fail; command drill 9s
        at 3s probe b pass; command switchover b verify 5s; command drill 9s; held 1 all
        at 4s command drill 9s; answered 2\n at 9s command failback; held 2 all; command drill 9s
        at 10s command drill 9s; held 3 all; command drill 9s",
        "1s rejected no drill
        1s rejected pinned
        2s locked
        2s rejected locked
        2s unlocked
        2s b down
        2s rejected no standby
        3s b up
        3s hold 1 planned
        3s rejected switching
        3s a -> b switchover 2
        4s rejected verifying
        4s verified 2
        9s hold 2 planned
        9s b -> a failback 3
        9s drill a until 18s
        9s hold 3 planned
        10s rejected drilling
        10s a -> b drill 4
        10s rejected drilling",
    );
    check("at 0s command drill 9s", "0s rejected nothing active");
}

#[test]
fn a_drill_ends_by_order() {
    check(
        "at 0s probe a pass; probe b pass; command drill 20s\n at 1s command end_drill; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        1s drill a ended early
        1s b -> a drill 3
        1s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn a_drill_goes_on_with_the_next_standby_and_ends_with_the_last() {
    check(
        "backends a b c\n policy fall 1 rise 1
        at 0s probe a pass; probe b pass; probe c pass; command drill 20s
        at 1s probe b fail\n at 2s probe c fail; show counts",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s drill a until 20s
        0s a -> b drill 2
        1s b down
        1s b -> c failover 3
        2s c down
        2s drill a ended early
        2s c -> a drill 4
        2s 0 flaps, 0 switches",
    );
}

#[test]
fn the_drilled_one_may_really_fail() {
    check(
        "policy fall 1 rise 1\n at 0s probe a pass; probe b pass; command drill 20s
        at 1s probe a fail; show failback\n at 30s probe a pass; show\n at 50s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        1s a down
        1s failback a: down ready, drill until 20s
        20s drill a ended
        30s a up
        30s status b epoch 2 hold_down 10s failback a at 40s
        40s b -> a failback 3
        50s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn who_is_pinned_or_locked_during_a_drill_stays() {
    check(
        "policy manual\n at 0s probe a pass; probe b pass; command drill 20s; command pin
        at 30s show; command unpin; show\n at 31s command failback; command drill 9s; command lock
        at 50s show; command unlock; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        20s drill a ended
        30s status b epoch 2 pinned
        30s status b epoch 2
        31s b -> a failback 3
        31s drill a until 40s
        31s a -> b drill 4
        31s locked
        40s drill a ended
        50s status b epoch 4 locked
        50s unlocked
        50s status b epoch 4",
    );
}

#[test]
fn an_order_ends_the_drill() {
    check(
        "backends a b c\n policy manual
        at 0s probe a pass; probe b pass; probe c pass; command drill 20s; command switchover c
        at 1s command failback; command drill 9s; command failback; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s drill a until 20s
        0s a -> b drill 2
        0s drill a ended early
        0s b -> c switchover 3
        1s c -> a failback 4
        1s drill a until 10s
        1s a -> b drill 5
        1s drill a ended early
        1s b -> a failback 6
        1s status a epoch 6",
    );
}

#[test]
fn a_refused_order_does_not_end_the_drill() {
    check(
        "at 0s probe a pass; probe b pass; command drill 20s; command switchover z; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        0s rejected unknown backend
        0s status b epoch 2 hold_down 10s failback a at 20s drill a until 20s",
    );
}

#[test]
fn a_drill_whose_move_is_called_off_is_over() {
    check_by_hand(
        "at 1s command drill 20s; held 1 lost; show\n at 2s command drill 20s; probe b fail; show
        at 3s probe b pass; command drill 20s; command lock; command unlock; show
        at 4s command drill 20s; command end_drill; command drill 20s; command switchover a; show",
        "1s drill a until 21s
        1s hold 1 planned
        1s release 1 unacknowledged
        1s drill a ended early
        1s status a epoch 1 hold_down 10s
        2s drill a until 22s
        2s hold 2 planned
        2s b down
        2s drill a ended early
        2s release 2 heir lost
        2s status a epoch 1 hold_down 10s
        3s b up
        3s drill a until 23s
        3s hold 3 planned
        3s locked
        3s drill a ended early
        3s release 3 overruled
        3s unlocked
        3s status a epoch 1 hold_down 10s
        4s drill a until 24s
        4s hold 4 planned
        4s drill a ended early
        4s release 4 overruled
        4s drill a until 24s
        4s hold 5 planned
        4s drill a ended early
        4s release 5 overruled
        4s status a epoch 1 pinned hold_down 10s",
    );
}

#[test]
fn a_drill_goes_to_the_next_when_its_first_is_lost_under_way() {
    check(
        "backends a b c\n policy fall 1\n by hand
        at 0s probe a pass; probe b pass; probe c pass; command drill 20s; probe b fail; show switch
        at 1s probe a fail; show switch; held 1 all; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s drill a until 20s
        0s hold 1 planned
        0s b down
        0s switch a -> c drill planned since 0s
        1s a down
        1s switch a -> c failover since 0s
        1s a -> c failover 2
        1s status c epoch 2 hold_down 10s drill a until 20s",
    );
}

#[test]
fn the_return_from_a_drill_is_tried_again() {
    check_by_hand(
        "at 1s reload a b with manual; command drill 4s; held 1 all
        at 6s held 2 lost; show failback\n at 16s show switch; held 3 all",
        "1s drill a until 5s
        1s hold 1 planned
        1s a -> b drill 2
        5s drill a ended
        5s hold 2 planned
        6s release 2 unacknowledged
        6s failback a at 16s: called off until 16s
        16s hold 3 planned
        16s switch b -> a drill planned since 16s
        16s b -> a drill 3",
    );
}

#[test]
fn a_lock_calls_the_return_from_a_drill_off() {
    check_by_hand(
        "at 1s reload a b with manual; command drill 4s; held 1 all
        at 6s command lock; command unlock; show failback",
        "1s drill a until 5s
        1s hold 1 planned
        1s a -> b drill 2
        5s drill a ended
        5s hold 2 planned
        6s locked
        6s release 2 overruled
        6s unlocked
        6s failback a: manual",
    );
}

#[test]
fn a_drill_of_a_backend_that_a_reload_removes_is_over() {
    check(
        "at 0s probe a pass; probe b pass; command drill 20s; reload b; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        0s drill a ended early
        0s status b epoch 2 hold_down 10s",
    );
}

#[test]
fn a_drill_is_transparent_to_the_damping() {
    check_on_standby(
        "at 1s probe a pass\n at 12s command drill 8s; show counts\n at 30s probe a fail; show counts",
        "1s a up
        11s b -> a failback 3
        12s drill a until 20s
        12s a -> b drill 4
        12s 0 flaps, 0 switches
        20s drill a ended
        20s b -> a drill 5
        30s a down
        30s a -> b failover 6
        30s 1 flaps, 0 switches",
    );
}

#[test]
fn a_drill_of_no_length_moves_nothing() {
    check(
        "at 0s probe a pass; probe b pass; command drill 0s; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 0s
        0s drill a ended
        0s status a epoch 1 hold_down 10s",
    );
}

// === Restarts ===

#[test]
fn after_a_restart_the_last_active_serves_also_below_a_better_one() {
    check_on_standby(
        "at 1s probe a pass\n at 2s restart; show; probe a pass; show\n at 3s probe b pass; show
        at 20s tick",
        "1s a up
        2s status none epoch 2 hold_down 10s
        2s a up
        2s status none epoch 2 hold_down 10s
        3s b up
        3s none -> b startup 3
        3s status b epoch 3 hold_down 10s failback a at 12s
        12s b -> a failback 4",
    );
}

#[test]
fn a_last_active_that_turns_out_down_is_left() {
    check_on_standby(
        "at 1s command pin; restart; probe a pass; probe b fail; show
        at 2s probe b pass; show",
        "1s a up
        1s b down
        1s none -> a failover 3
        1s status a epoch 3 hold_down 10s
        2s b up
        2s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn a_last_active_of_which_nothing_is_heard_is_waited_for_within_the_grace() {
    check_on_standby(
        "at 1s command pin; restart; probe a pass\n at 5s show\n at 6s probe b pass; show",
        "1s a up
        3s none -> a startup 3
        5s status a epoch 3 hold_down 10s
        6s b up
        6s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn a_last_active_that_comes_first_after_all_is_a_start_without_its_pin() {
    check_on_standby(
        "at 1s command pin; restart; probe b fail; probe a fail\n at 2s probe b pass; show",
        "1s b down
        1s a down
        2s b up
        2s none -> b startup 3
        2s status b epoch 3 hold_down 10s",
    );
}

#[test]
fn a_last_active_in_maintenance_is_not_waited_for() {
    check_on_standby(
        "at 1s command lock; command maintenance b; command unlock; restart; show b; probe a pass",
        "1s locked
        1s b maintenance
        1s b -> none failover 3
        1s unlocked
        1s b unknown maintenance streak 0 not eligible in doubt
        1s a up
        1s none -> a startup 4",
    );
}

#[test]
fn a_pin_outlives_a_restart_and_may_be_ended_before_it_is_in_force() {
    check_on_standby(
        "at 1s command pin; restart; probe a pass; show; probe b pass; show
        at 2s restart; restart; command unpin; probe a pass; probe b pass; show",
        "1s a up
        1s status none epoch 2 hold_down 10s
        1s b up
        1s none -> b startup 3
        1s status b epoch 3 pinned hold_down 10s
        2s a up
        2s b up
        2s none -> b startup 4
        2s status b epoch 4 hold_down 10s failback a at 12s",
    );
}

#[test]
fn a_lock_outlives_a_restart() {
    check_on_standby(
        "at 1s command lock; restart; probe a pass; probe b fail; show
        at 9s show\n at 10s probe b pass; show",
        "1s locked
        1s a up
        1s b down
        1s status none epoch 2 locked hold_down 10s
        9s status none epoch 2 locked hold_down 10s
        10s b up
        10s none -> b startup 3
        10s status b epoch 3 locked hold_down 10s",
    );
}

#[test]
fn a_restart_forgets_no_flap_and_no_move() {
    check_on_standby(
        "at 1s reload a b with lock_after 3 60s; probe a pass\n at 12s probe a fail; probe a pass
        at 13s restart; show counts; show; probe a pass; probe b pass\n at 32s show counts
        at 33s show counts\n at 34s probe a fail; show",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        12s a up
        13s 1 flaps, 2 switches
        13s status none epoch 4 hold_down 20s
        13s a up
        13s b up
        13s none -> b startup 5
        32s 1 flaps, 2 switches
        33s b -> a failback 6
        33s locked
        33s 1 flaps, 3 switches
        34s a down
        34s a -> none failover 7
        34s status none epoch 7 locked hold_down 40s",
    );
}

#[test]
fn who_was_failed_back_to_and_is_down_after_a_restart_has_flapped() {
    check_on_standby(
        "at 1s probe a pass\n at 12s restart; probe b pass; show counts; probe a fail; show counts",
        "1s a up
        11s b -> a failback 3
        12s b up
        12s 0 flaps, 0 switches
        12s a down
        12s none -> b failover 4
        12s 1 flaps, 0 switches",
    );
}

#[test]
fn a_failback_before_a_restart_still_outlives_its_window() {
    check_on_standby(
        "at 1s probe a pass\n at 12s probe a fail; probe a pass\n at 33s restart; probe a pass
        at 90s show counts\n at 94s show counts",
        "1s a up
        11s b -> a failback 3
        12s a down
        12s a -> b failover 4
        12s a up
        32s b -> a failback 5
        33s a up
        33s none -> a startup 6
        90s 1 flaps, 0 switches
        94s 0 flaps, 0 switches",
    );
}

#[test]
fn a_drill_goes_on_after_a_restart() {
    check(
        "policy manual\n at 0s probe a pass; probe b pass; command drill 20s
        at 5s restart; show; probe a pass; probe b pass; show\n at 30s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        5s status none epoch 2 drill a until 20s
        5s a up
        5s b up
        5s none -> b startup 3
        5s status b epoch 3 failback a at 20s drill a until 20s
        20s drill a ended
        20s b -> a drill 4
        30s status a epoch 4",
    );
}

#[test]
fn a_drill_that_is_over_when_a_restart_is_done_still_returns() {
    check(
        "policy manual\n at 0s probe a pass; probe b pass; command drill 20s
        at 19.9s restart\n at 20s probe b pass\n at 21s show; probe a pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        20s drill a ended
        20s b up
        20s none -> b startup 3
        21s status b epoch 3
        21s a up
        21s b -> a drill 4
        21s status a epoch 4",
    );
}

#[test]
fn after_the_grace_nobody_waits_for_the_return_from_a_drill() {
    check(
        "policy manual\n at 0s probe a pass; probe b pass; command drill 20s
        at 19.9s restart\n at 20s probe b pass\n at 22s probe a pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        20s drill a ended
        20s b up
        20s none -> b startup 3
        22s a up
        22s status b epoch 3",
    );
}

#[test]
fn a_restart_before_a_drill_has_moved_drills_all_the_same() {
    check(
        "by hand\n at 0s probe a pass; probe b pass; command drill 20s
        at 1s restart; probe a pass; probe b pass; show\n at 21s held 1 all; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s hold 1 planned
        1s a up
        1s b up
        1s none -> b startup 2
        1s status b epoch 2 hold_down 10s failback a at 20s drill a until 20s
        20s drill a ended
        20s hold 1 planned
        21s b -> a drill 3
        21s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn a_drill_after_a_restart_ends_when_nobody_else_comes() {
    check(
        "at 0s probe a pass; probe b pass; command drill 20s
        at 1s restart; probe a pass\n at 2s show\n at 9s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        1s a up
        2s status none epoch 2 hold_down 10s drill a until 20s
        3s drill a ended early
        3s none -> a drill 3
        9s status a epoch 3 hold_down 10s",
    );
}

#[test]
fn keep_last_after_a_restart_keeps_nobody_unchecked() {
    check(
        "policy keep_last
        at 0s probe a pass; restart; show; probe a fail; probe a fail; probe a fail; show
        at 1s probe b fail",
        "0s a up
        0s none -> a startup 1
        0s status none epoch 1 hold_down 10s
        0s a down
        0s status none epoch 1 hold_down 10s
        1s b down
        1s none -> a startup 2",
    );
}

#[test]
fn a_restart_without_the_last_active_is_a_start() {
    check_on_standby(
        "at 1s command pin; restart a c; probe a pass; show\n at 2s restart; probe a pass",
        "1s a up
        1s none -> a startup 3
        1s status a epoch 3 hold_down 10s
        2s a up
        2s none -> a startup 4",
    );
}

#[test]
fn an_order_need_not_wait_for_the_last_active() {
    check_on_standby(
        "at 1s command pin; restart; probe a pass; command failback; show",
        "1s a up
        1s none -> a failback 3
        1s status a epoch 3 hold_down 10s",
    );
}

// === Previews ===

#[test]
fn a_preview_says_what_would_happen_and_changes_nothing() {
    check(
        "policy exclusive 5s\n at 0s preview switchover a; preview failback; probe a pass; probe b pass
        at 1s preview switchover b; preview drill 9s; preview maintenance a; preview pin; preview lock
        at 2s preview switchover z; preview end_drill; show; command switchover b; preview failback
        at 3s preview unpin; preview drain b",
        "0s would: rejected not eligible
        0s would: rejected not eligible
        0s a up
        0s none -> a startup 1
        0s b up
        1s would: a -> b switchover planned drain 5s
        1s would: a -> b drill planned drain 5s
        1s would: a -> b failover drain 5s
        1s would: no move
        1s would: no move
        2s would: rejected unknown backend
        2s would: rejected no drill
        2s status a epoch 1 hold_down 10s
        2s a -> b switchover 2
        2s would: b -> a failback planned drain 5s
        3s would: no move
        3s would: b -> a failover drain 5s",
    );
}

#[test]
fn a_preview_of_the_last_drain_says_that_nobody_is_left() {
    check(
        "at 0s probe a pass; preview drain a",
        "0s a up
        0s none -> a startup 1
        0s would: a -> none failover",
    );
}

#[test]
fn a_move_of_a_reload_that_becomes_necessary_has_another_reason() {
    check(
        "policy fall 1\n by hand
        at 0s probe a pass; probe b pass\n at 30s reload b a; show switch; probe a fail; show switch",
        "0s a up
        0s none -> a startup 1
        0s b up
        30s hold 1 planned
        30s switch a -> b reload planned since 30s
        30s a down
        30s switch a -> b failover since 30s",
    );
}

#[test]
fn who_serves_again_after_a_restart_may_have_to_fail_back_at_once() {
    check_on_standby(
        "at 1s reload a b with hold_down 1s; restart; probe a pass\n at 2.5s probe b pass",
        "1s a up
        2.5s b up
        2.5s none -> b startup 3
        2.5s b -> a failback 4",
    );
}

#[test]
fn a_failback_is_due_when_the_last_of_what_takes_time_is_over() {
    check(
        "backends a b c\n policy fall 1 rise 1
        at 0s probe a fail; probe b pass; probe c pass; command switchover c
        at 1s command failback verify 5s; answered 3; probe a pass; show failback\n at 20s tick",
        "0s a down
        0s b up
        0s none -> b startup 1
        0s c up
        0s b -> c switchover 2
        1s c -> b failback 3
        1s verified 3
        1s a up
        1s failback a at 11s: verifying until 6s, hold-down until 11s
        11s b -> a failback 4",
    );
}

#[test]
fn of_two_that_may_have_requests_one_is_always_another() {
    check_by_hand(
        "at 1s command switchover b; held 1 all; reload a b with exclusive 5s
        at 2s probe a fail; probe b fail; probe a pass",
        "1s hold 1 planned
        1s a -> b switchover 2
        2s a down
        2s b down
        2s b -> none failover 3
        2s a up
        2s hold 2 drain 5s",
    );
}

#[test]
fn a_return_does_not_pause_when_its_backend_fails_for_good() {
    check_by_hand(
        "at 1s command switchover b verify 5s; held 1 all\n at 7s held 2 lost
        at 8s probe b fail; show switch",
        "1s hold 1 planned
        1s a -> b switchover 2
        6s hold 2 planned
        7s release 2 unacknowledged
        8s b down
        8s hold 3
        8s switch b -> a return since 8s",
    );
}

#[test]
fn a_drill_does_not_wait_for_the_first_verdict_on_another() {
    check(
        "backends a b c\n policy fall 1
        at 0s probe a pass; probe b pass; command drill 20s\n at 1s probe b fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s a -> b drill 2
        1s b down
        1s drill a ended early
        1s b -> a drill 3",
    );
}

#[test]
fn after_a_restart_nobody_waits_for_a_backend_that_is_drilled() {
    check(
        "by hand\n at 0s probe a pass; probe b pass; command drill 20s; restart; probe b pass",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 20s
        0s hold 1 planned
        0s b up
        0s none -> b startup 2",
    );
}

#[test]
fn a_return_from_a_drill_outlives_a_restart() {
    check(
        "policy manual\n by hand
        at 0s probe a pass; probe b pass; command drill 4s; held 1 all
        at 5s restart; probe b pass; probe a pass; held 1 all",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s drill a until 4s
        0s hold 1 planned
        0s a -> b drill 2
        4s drill a ended
        4s hold 2 planned
        5s b up
        5s drill a ended
        5s none -> b startup 3
        5s a up
        5s hold 1 planned
        5s b -> a drill 4",
    );
}

#[test]
fn moves_grow_old_across_a_restart() {
    check(
        "policy rise 1 fall 1 manual lock_after 2 10s
        at 0s probe a pass; probe b pass; probe a fail
        at 9s restart; probe b pass; probe a pass\n at 11s probe b fail; show counts",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        9s b up
        9s none -> b startup 3
        9s a up
        11s b down
        11s b -> a failover 4
        11s 0 flaps, 1 switches",
    );
}

#[test]
fn who_fails_during_a_drill_has_not_flapped_for_the_drilled_one() {
    check(
        "backends a b c\n policy fall 1 rise 1
        at 0s probe a fail; probe b pass; probe c pass; probe a pass\n at 11s command drill 20s
        at 12s probe b fail; show counts",
        "0s a down
        0s b up
        0s none -> b startup 1
        0s c up
        0s a up
        10s b -> a failback 2
        11s drill a until 31s
        11s a -> b drill 3
        12s b down
        12s b -> c failover 4
        12s 0 flaps, 0 switches",
    );
}

#[test]
fn a_stricter_lock_rule_counts_what_it_needs_of_earlier_moves() {
    check(
        "policy fall 1 rise 1 manual lock_after 9 60s
        at 0s probe a pass; probe b pass; probe a fail; probe a pass; probe b fail; probe b pass
        at 1s probe a fail; probe a pass; show counts; reload a b with lock_after 2 60s; show counts
        at 2s probe b fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> b failover 2
        0s a up
        0s b down
        0s b -> a failover 3
        0s b up
        1s a down
        1s a -> b failover 4
        1s a up
        1s 0 flaps, 3 switches
        1s 0 flaps, 2 switches
        2s b down
        2s b -> a failover 5
        2s locked",
    );
}
