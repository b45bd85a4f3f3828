//! What gates, jobs and age mean, case by case. The language is explained in `script.rs`.

use std::time::Instant;

use super::super::{BackendId, Failover, Saved, Standing};
use super::script::{check, default_policy};

// === Moves ===

#[test]
fn a_failover_fences_then_promotes_then_verifies_then_serves() {
    check(
        "policy gates fence,promote,verify\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; show; show gates\n\
         at 2s gate done\n\
         at 3s gate done; show gates\n\
         at 4s gate done; show; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s status none epoch 2 hold_down 10s
        1s a holds; b stands by; fence a 3 of failover: a -> b failover
        2s run promote b 3 of failover: a -> b failover
        3s run verify b 3 of failover: a -> b failover
        3s a stands by; b unsure; verify b 3 of failover: a -> b failover
        4s none -> b failover 3
        4s status b epoch 3 hold_down 10s
        4s a stands by; b holds",
    );
}

#[test]
fn a_failback_demotes_syncs_and_promotes() {
    check(
        "policy failover none failback demote,sync,promote,verify hold_down 5s\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s probe a pass; probe a pass\n\
         at 7s tick; gate done; gate done; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> b failover 2
        2s a up
        7s b -> none failback 3
        7s run demote b 4 of failback: b -> a failback
        7s run sync a 4 of failback: b -> a failback
        7s run promote a 4 of failback: b -> a failback
        7s run verify a 4 of failback: b -> a failback
        7s none -> a failback 4",
    );
}

#[test]
fn a_switchover_has_a_list_of_its_own() {
    check(
        "policy failover fence failback promote switchover demote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate done\n\
         at 2s command failback; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run demote a 3 of switchover: a -> b switchover
        1s none -> b switchover 3
        2s b -> none failback 4
        2s run promote a 5 of failback: b -> a failback
        2s none -> a failback 5",
    );
}

#[test]
fn a_drill_goes_as_a_switchover_and_returns_as_a_failback() {
    check(
        "policy switchover demote failback promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command drill 3s; gate done\n\
         at 4s gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s drill a until 4s
        1s a -> none drill 2
        1s run demote a 3 of switchover: a -> b drill
        1s none -> b drill 3
        4s drill a ended
        4s b -> none drill 4
        4s run promote a 5 of failback: b -> a drill
        4s none -> a drill 5",
    );
}

#[test]
fn without_anything_to_do_it_is_a_move_as_ever() {
    check(
        "policy failback promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> b failover 2",
    );
}

#[test]
fn at_the_start_only_another_than_the_holder_needs_gates() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a fail; probe b pass; show gates\n\
         at 1s gate done; gate done; show gates",
        "0s a down
        0s b up
        0s run fence a 1 of failover: none -> b startup
        0s a holds; b stands by; fence a 1 of failover: none -> b startup
        1s run promote b 1 of failover: none -> b startup
        1s none -> b startup 1
        1s a stands by; b holds",
    );
}

#[test]
fn only_those_that_may_hold_the_role_are_fenced() {
    check(
        "backends a b c\n\
         policy gates fence,promote\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; gate done\n\
         at 2s probe b fail; probe b fail; probe b fail; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        2s b down
        2s b -> none failover 4
        2s run fence b 5 of failover: b -> c failover
        2s run promote c 5 of failover: b -> c failover
        2s none -> c failover 5",
    );
}

#[test]
fn with_requests_left_the_gates_come_after_the_drain() {
    check(
        "policy exclusive 1s gates fence,promote\n\
         by hand\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b\n\
         at 2s held 1 all; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s hold 1 planned drain 1s
        2s a -> none switchover 2
        2s run fence a 3 of switchover: a -> b switchover
        2s run promote b 3 of switchover: a -> b switchover
        2s none -> b switchover 3",
    );
}

#[test]
fn a_drain_that_was_lost_is_not_repeated_between_gates() {
    check(
        "policy exclusive 1s gates fence,promote\n\
         by hand\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s held 1 lost; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s hold 1 drain 1s
        2s a -> none failover 2
        2s run fence a 3 of failover: a -> b failover
        2s run promote b 3 of failover: a -> b failover
        2s none -> b failover 3",
    );
}

#[test]
fn a_preview_names_the_gates() {
    check(
        "policy gates fence,promote,verify failback none\n\
         at 0s probe a pass; probe b pass\n\
         at 1s preview switchover b; command switchover b\n\
         at 2s preview failback",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s would: a -> b switchover planned, fence a, promote b, verify b
        1s a -> none switchover 2
        1s run fence a 3 of switchover: a -> b switchover
        2s would: none -> a failback",
    );
}

#[test]
fn the_watch_of_a_move_with_gates_leads_back_through_gates() {
    check(
        "policy gates demote,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b verify 2s; gate done; gate done; show\n\
         at 3s gate done; gate done; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run demote a 3 of switchover: a -> b switchover
        1s run promote b 3 of switchover: a -> b switchover
        1s none -> b switchover 3
        1s status b epoch 3 pinned hold_down 10s verifying until 3s or back to a
        3s b -> none return 4
        3s run demote b 5 of failback: b -> a return
        3s run promote a 5 of failback: b -> a return
        3s none -> a return 5
        3s status a epoch 5 pinned hold_down 10s",
    );
}

// === The heir ===

#[test]
fn the_heir_is_kept_when_the_old_one_comes_back() {
    check(
        "policy gates fence,promote rise 1\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; probe a pass\n\
         at 2s gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s a up
        2s run promote b 3 of failover: a -> b failover
        2s none -> b failover 3",
    );
}

#[test]
fn a_lock_does_not_stop_what_has_begun() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; command lock; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s locked
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3",
    );
}

#[test]
fn a_lost_heir_is_replaced_once_the_gate_has_ended() {
    check(
        "backends a b c\n\
         policy gates fence,promote fall 1\n\
         at 0s probe a pass; probe b pass; probe c pass; probe a fail; gate done\n\
         at 1s probe b fail; show gates\n\
         at 2s gate done; show gates; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s a down
        0s a -> none failover 2
        0s run fence a 3 of failover: a -> b failover
        0s run promote b 3 of failover: a -> b failover
        1s b down
        1s a stands by; b stands by; c stands by; promote b 3 of failover: a -> b failover
        2s run fence b 4 of failover: a -> c failover
        2s a stands by; b holds; c stands by; fence b 4 of failover: a -> c failover
        2s run promote c 4 of failover: a -> c failover
        2s none -> c failover 4",
    );
}

#[test]
fn an_order_to_another_waits_for_the_gate() {
    check(
        "backends a b c\n\
         policy gates fence,promote fall 1\n\
         at 0s probe a pass; probe b pass; probe c pass; probe a fail; gate done\n\
         at 1s command switchover c; preview switchover c\n\
         at 2s gate done; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s a down
        0s a -> none failover 2
        0s run fence a 3 of failover: a -> b failover
        0s run promote b 3 of failover: a -> b failover
        1s would: none -> c switchover, promote c
        2s run fence b 4 of failover: a -> c switchover
        2s run promote c 4 of failover: a -> c switchover
        2s none -> c switchover 4",
    );
}

#[test]
fn an_order_back_needs_nothing_if_nothing_happened() {
    check(
        "policy gates sync,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b\n\
         at 2s command switchover a\n\
         at 3s gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run sync b 3 of switchover: a -> b switchover
        3s none -> a switchover 4",
    );
}

#[test]
fn gates_configured_anew_are_planned_anew() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s reload a b with gates fence,sync; show gates\n\
         at 3s gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        2s a holds; b stands by; fence a 3 of failover: a -> b failover
        3s run sync b 4 of failover: a -> b failover
        3s none -> b failover 4",
    );
}

#[test]
fn gates_that_are_gone_are_waited_for() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s reload a b with gates none\n\
         at 3s gate failed; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        3s none -> b failover 4
        3s a stands by; b holds",
    );
}

#[test]
fn who_is_gone_need_not_be_fenced() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s reload b\n\
         at 3s gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        3s run promote b 3 of failover: none -> b failover
        3s none -> b failover 3",
    );
}

#[test]
fn the_end_of_another_gate_is_ignored() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; gate 1 done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s a stands by; b stands by; promote b 3 of failover: a -> b failover",
    );
}

#[test]
fn a_failover_through_gates_can_be_a_flap() {
    check(
        "policy gates promote hold_down 1s rise 1 fall 1\n\
         at 0s probe a pass; probe b pass; probe a fail; gate done; probe a pass\n\
         at 1s gate done; probe a fail; gate done; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> none failover 2
        0s run promote b 3 of failover: a -> b failover
        0s none -> b failover 3
        0s a up
        1s b -> none failback 4
        1s run promote a 5 of failback: b -> a failback
        1s none -> a failback 5
        1s a down
        1s a -> none failover 6
        1s run promote b 7 of failover: a -> b failover
        1s none -> b failover 7
        1s status b epoch 7 hold_down 2s",
    );
}

// === Failures ===

#[test]
fn abort_locks_and_leads_back() {
    check(
        "policy gates sync,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate failed; show; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run sync b 3 of switchover: a -> b switchover
        1s b barred
        1s locked
        1s none -> a recovery 4
        1s status a epoch 4 locked hold_down 10s
        1s a holds; b stands by, barred",
    );
}

#[test]
fn a_pin_comes_back_with_the_traffic() {
    check(
        "policy gates sync,promote\n\
         at 0s probe a pass; probe b pass; command pin\n\
         at 1s command switchover b; show; gate failed; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run sync b 3 of switchover: a -> b switchover
        1s status none epoch 2 hold_down 10s
        1s b barred
        1s locked
        1s none -> a recovery 4
        1s status a epoch 4 pinned locked hold_down 10s",
    );
}

#[test]
fn abort_leads_back_through_gates() {
    check(
        "policy gates fence,promote rise 1\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; gate failed; show gates\n\
         at 2s probe a pass; gate done; gate done; show gates; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s b barred
        1s locked
        1s a stands by; b unsure, barred
        2s a up
        2s run fence b 4 of failover: none -> a recovery
        2s run promote a 4 of failover: none -> a recovery
        2s none -> a recovery 4
        2s a holds; b stands by, barred
        2s status a epoch 4 locked hold_down 10s",
    );
}

#[test]
fn abort_while_the_old_one_is_dead_leaves_nobody_until_it_is_back() {
    check(
        "backends a b c\n\
         policy gates fence,promote:if_reachable rise 1\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; show; show gates\n\
         at 2s probe a pass; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s b barred
        1s locked
        1s status none epoch 2 locked hold_down 10s
        1s a unsure; b stands by, barred; c stands by
        2s a up
        2s run promote a 4 of failover: none -> a recovery
        2s none -> a recovery 4
        2s a holds; b stands by, barred; c stands by",
    );
}

#[test]
fn who_fails_to_come_back_is_barred_too() {
    check(
        "policy gates promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate failed; show\n\
         at 2s command unlock; show; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run promote b 3 of switchover: a -> b switchover
        1s b barred
        1s locked
        1s none -> a recovery 4
        1s status a epoch 4 locked hold_down 10s
        2s unlocked
        2s status a epoch 4 hold_down 10s
        2s a holds; b unsure",
    );
}

#[test]
fn a_failure_of_the_way_back_leaves_nobody_until_unlocked() {
    check(
        "policy gates demote,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate done; gate failed; gate done; gate failed; show gates\n\
         at 2s command unlock",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run demote a 3 of switchover: a -> b switchover
        1s run promote b 3 of switchover: a -> b switchover
        1s b barred
        1s locked
        1s run demote b 4 of failover: none -> a recovery
        1s run promote a 4 of failover: none -> a recovery
        1s a barred
        1s a unsure, barred; b stands by, barred
        2s unlocked
        2s run promote a 5 of failover: none -> a recovery",
    );
}

#[test]
fn next_standby_goes_on_with_another() {
    check(
        "backends a b c\n\
         policy gates fence,promote:next\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; gate failed; gate done; gate done; show gates; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s b barred
        1s run fence b 4 of failover: a -> c failover
        1s run promote c 4 of failover: a -> c failover
        1s none -> c failover 4
        1s a stands by; b stands by, barred; c holds
        1s status c epoch 4 hold_down 10s",
    );
}

#[test]
fn an_order_or_unlock_lifts_the_bar() {
    check(
        "backends a b c\n\
         policy gates promote:next\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; gate done\n\
         at 2s command switchover b; gate done\n\
         at 3s command switchover c; gate failed\n\
         at 4s command unlock; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run promote b 3 of failover: a -> b failover
        1s b barred
        1s run promote c 4 of failover: a -> c failover
        1s none -> c failover 4
        2s c -> none switchover 5
        2s run promote b 6 of switchover: c -> b switchover
        2s none -> b switchover 6
        3s b -> none switchover 7
        3s run promote c 8 of switchover: b -> c switchover
        3s c barred
        3s none -> b recovery 9
        4s a stands by; b holds; c unsure",
    );
}

#[test]
fn continue_goes_on_but_stays_unsure() {
    check(
        "policy gates fence:continue,promote:continue,verify\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; gate failed; show gates; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s run verify b 3 of failover: a -> b failover
        1s a unsure; b unsure; verify b 3 of failover: a -> b failover
        1s none -> b failover 3
        1s a unsure; b holds",
    );
}

#[test]
fn best_effort_never_ends_a_move() {
    check(
        "policy gates fence:best_effort,promote:best_effort\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; gate unreachable; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        1s a unsure; b holds",
    );
}

#[test]
fn if_reachable_forgives_only_what_never_began() {
    check(
        "policy gates fence:if_reachable,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate unreachable; show gates\n\
         at 2s restart; tick; command settle failed; command unlock; probe a pass; probe b pass; show gates; gate failed",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run fence a 3 of switchover: a -> b switchover
        1s run promote b 3 of switchover: a -> b switchover
        1s a unsure, to be repeated; b stands by; promote b 3 of switchover: a -> b switchover
        2s in doubt promote b 3 of switchover: a -> b switchover
        2s b barred
        2s locked
        2s unlocked
        2s a up
        2s run fence b 4 of failover: none -> a startup
        2s b up
        2s a unsure, to be repeated; b unsure; fence b 4 of failover: none -> a startup
        2s a barred
        2s locked",
    );
}

#[test]
fn required_is_not_reached_so_fails() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s b barred
        1s locked
        1s a unsure, to be repeated; b stands by, barred",
    );
}

#[test]
fn a_promotion_that_never_began_leaves_a_standby() {
    check(
        "policy gates promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run promote b 3 of failover: a -> b failover
        1s b barred
        1s locked
        1s a holds; b stands by, barred",
    );
}

#[test]
fn a_failed_verification_makes_unsure() {
    check(
        "policy gates demote,promote,verify:next\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate done; gate done; gate failed; gate done; gate done; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run demote a 3 of switchover: a -> b switchover
        1s run promote b 3 of switchover: a -> b switchover
        1s run verify b 3 of switchover: a -> b switchover
        1s b barred
        1s run demote b 4 of failover: none -> a recovery
        1s run promote a 4 of failover: none -> a recovery
        1s run verify a 4 of failover: none -> a recovery
        1s none -> a recovery 4
        1s a holds; b stands by, barred",
    );
}

#[test]
fn both_harms_must_succeed() {
    check(
        "policy gates fence:continue,demote:continue:again\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; show gates; gate failed; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run demote a 3 of failover: a -> b failover
        1s a holds; b stands by; demote a 3 of failover: a -> b failover
        1s none -> b failover 3
        1s a unsure, to be repeated; b holds",
    );
}

#[test]
fn a_failed_gate_of_a_replaced_attempt_bars_nobody() {
    check(
        "backends a b c\n\
         policy gates fence,promote fall 1\n\
         at 0s probe a pass; probe b pass; probe c pass; probe a fail\n\
         at 1s command switchover c; gate failed; show gates; gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s a down
        0s a -> none failover 2
        0s run fence a 3 of failover: a -> b failover
        1s run fence a 4 of failover: a -> c switchover
        1s a unsure; b stands by; c stands by; fence a 4 of failover: a -> c switchover
        1s run promote c 4 of failover: a -> c switchover
        1s none -> c switchover 4",
    );
}

// === What is owed ===

#[test]
fn an_owed_fence_is_made_up_for_once_a_probe_passes() {
    check(
        "policy failover fence:if_reachable,promote failback demote,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable; gate done\n\
         at 2s probe a pass; show gates\n\
         at 3s gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        2s run fence a 3 of failover: a -> b failover again
        2s a unsure, to be repeated; b holds; fence a 3 of failover: a -> b failover
        3s a stands by; b holds",
    );
}

#[test]
fn an_owed_fence_waits_ten_seconds_after_a_failure() {
    check(
        "policy failover fence:if_reachable,promote failback demote,promote hold_down 100s\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable; gate done\n\
         at 2s probe a pass; gate unreachable\n\
         at 11s probe a pass\n\
         at 12s probe a pass; gate failed; show gates\n\
         at 30s probe a pass",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        2s run fence a 3 of failover: a -> b failover again
        11s a up
        12s run fence a 3 of failover: a -> b failover again
        12s a unsure; b holds",
    );
}

#[test]
fn an_owed_fence_is_repeated_if_idempotent() {
    check(
        "policy failover fence:continue:again,promote manual\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; gate done; show gates\n\
         at 2s probe a pass; gate failed\n\
         at 12s probe a pass; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        1s a unsure, to be repeated; b holds
        2s run fence a 3 of failover: a -> b failover again
        12s a up
        12s run fence a 3 of failover: a -> b failover again
        12s a stands by; b holds",
    );
}

#[test]
fn fence_and_demote_are_owed_in_order() {
    check(
        "policy failover fence:if_reachable,demote:if_reachable,promote manual\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable; gate unreachable; gate done\n\
         at 2s probe a pass; gate done; show gates; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run demote a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        2s run fence a 3 of failover: a -> b failover again
        2s run demote a 3 of failover: a -> b failover again
        2s a unsure, to be repeated; b holds; demote a 3 of failover: a -> b failover
        2s a stands by; b holds",
    );
}

#[test]
fn what_is_done_is_not_repeated() {
    check(
        "policy failover fence:if_reachable,demote:if_reachable manual\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; gate unreachable\n\
         at 2s probe a pass; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run demote a 3 of failover: a -> b failover
        1s none -> b failover 3
        2s run demote a 3 of failover: a -> b failover again
        2s a stands by; b holds",
    );
}

#[test]
fn what_cannot_be_repeated_is_not_owed() {
    check(
        "policy failover fence:continue,promote manual\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; gate done\n\
         at 2s probe a pass; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        2s a unsure; b holds",
    );
}

#[test]
fn planned_moves_wait_for_an_owed_fence() {
    check(
        "backends a b c\n\
         policy gates fence:if_reachable manual\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable\n\
         at 2s probe a pass; command switchover c; show switch; command pin; command drill 9s\n\
         at 3s gate done; gate done; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s none -> b failover 3
        2s run fence a 3 of failover: a -> b failover again
        2s no switch
        2s rejected switching
        2s rejected switching
        3s b -> none switchover 4
        3s run fence b 5 of switchover: b -> c switchover
        3s none -> c switchover 5
        3s status c epoch 5 pinned",
    );
}

#[test]
fn an_active_that_fails_meanwhile_is_left_but_nobody_comes_yet() {
    check(
        "backends a b c\n\
         policy gates fence:if_reachable fall 1 manual\n\
         at 0s probe a pass; probe b pass; probe c pass; probe a fail; gate unreachable\n\
         at 2s probe a pass\n\
         at 3s probe b fail\n\
         at 4s gate done; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s a down
        0s a -> none failover 2
        0s run fence a 3 of failover: a -> b failover
        0s none -> b failover 3
        2s run fence a 3 of failover: a -> b failover again
        3s b down
        3s b -> none failover 4
        4s run fence b 5 of failover: b -> c failover
        4s none -> c failover 5",
    );
}

#[test]
fn the_active_of_an_owed_fence_may_come_back_at_once() {
    check(
        "policy gates fence:if_reachable fall 1 rise 1 manual\n\
         at 0s probe a pass; probe b pass; probe a fail; gate unreachable\n\
         at 2s probe a pass; command maintenance a\n\
         at 3s probe b fail\n\
         at 4s probe b pass; gate done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a down
        0s a -> none failover 2
        0s run fence a 3 of failover: a -> b failover
        0s none -> b failover 3
        2s a up
        2s run fence a 3 of failover: a -> b failover again
        2s a maintenance
        3s b down
        3s b -> none failover 4
        4s b up
        4s none -> b recovery 5",
    );
}

#[test]
fn what_the_failover_list_does_not_repeat_is_not_owed() {
    check(
        "policy failover fence switchover fence:continue:again manual\n\
         at 0s probe a pass; probe b pass\n\
         at 1s command switchover b; gate failed; show gates; probe a pass; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a -> none switchover 2
        1s run fence a 3 of switchover: a -> b switchover
        1s none -> b switchover 3
        1s a unsure, to be repeated; b holds
        1s a unsure; b holds",
    );
}

#[test]
fn nothing_is_made_up_for_during_a_move() {
    check(
        "backends a b c\n\
         policy failover fence:if_reachable switchover fence:if_reachable manual\n\
         by hand\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s command switchover b; held 1 all; gate unreachable\n\
         at 2s command switchover c; probe a pass\n\
         at 3s held 2 lost; probe a pass; show failback",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s hold 1 planned
        1s a -> none switchover 2
        1s run fence a 3 of switchover: a -> b switchover
        1s none -> b switchover 3
        2s hold 2 planned
        3s release 2 unacknowledged
        3s run fence a 3 of failover: a -> b failover again
        3s failback a: pinned, called off until 13s, manual, gate",
    );
}

// === Restarts ===

#[test]
fn an_idempotent_gate_runs_again() {
    check(
        "policy gates fence:again,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s restart; tick; show gates\n\
         at 3s probe a fail; probe a fail; probe a fail; probe b pass; gate done; gate done; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        2s run fence a 3 of failover: a -> b failover again
        2s a holds; b stands by; fence a 3 of failover: a -> b failover
        3s a down
        3s b up
        3s run promote b 4 of failover: a -> b failover
        3s none -> b failover 4
        3s status b epoch 4 hold_down 10s",
    );
}

#[test]
fn another_waits_for_an_operator() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s restart; tick; show gates; tick\n\
         at 3s probe b pass; gate done; show\n\
         at 9s command switchover b; command failback; command settle done; gate done; command settle done",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        2s in doubt fence a 3 of failover: a -> b failover
        2s a holds; b stands by; fence a 3 of failover: a -> b failover in doubt
        3s b up
        3s status none epoch 3 hold_down 10s
        9s rejected in doubt
        9s rejected in doubt
        9s run promote b 4 of failover: a -> b startup
        9s none -> b startup 4
        9s rejected no doubt",
    );
}

#[test]
fn what_is_settled_as_failed_fails() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done\n\
         at 2s restart; tick; probe b pass; probe a fail; command settle failed; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        2s in doubt promote b 3 of failover: a -> b failover
        2s b up
        2s b barred
        2s locked
        2s a stands by; b unsure, barred",
    );
}

#[test]
fn what_is_settled_again_runs_again() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s restart; tick; command settle again; show gates; gate done; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        2s in doubt fence a 3 of failover: a -> b failover
        2s run fence a 3 of failover: a -> b failover again
        2s a holds; b stands by; fence a 3 of failover: a -> b failover
        2s a stands by; b stands by",
    );
}

#[test]
fn a_repeated_promotion_that_reaches_nothing_may_have_got_through() {
    check(
        "policy gates promote:again:if_reachable\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s restart; tick; gate unreachable; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run promote b 3 of failover: a -> b failover
        2s run promote b 3 of failover: a -> b failover again
        2s a holds; b unsure",
    );
}

#[test]
fn the_one_that_took_the_role_is_the_candidate() {
    check(
        "policy gates fence,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; probe b fail; probe b fail; probe b fail; gate done; show gates\n\
         at 2s restart; tick\n\
         at 3s probe a pass; probe b pass; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s b down
        1s a stands by; b holds
        3s a up
        3s b up
        3s none -> b startup 4
        3s status b epoch 4 hold_down 10s failback a at 13s",
    );
}

#[test]
fn numbers_that_were_reserved_are_not_used_again() {
    check(
        "policy gates fence:again,promote\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate done; restart; tick; show",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s in doubt promote b 3 of failover: a -> b failover
        1s status none epoch 3 hold_down 10s",
    );
}

#[test]
fn bars_and_standings_outlive_a_restart() {
    check(
        "policy gates promote:next\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate failed; restart; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run promote b 3 of failover: a -> b failover
        1s b barred
        1s a holds; b unsure, barred",
    );
}

#[test]
fn a_gate_of_one_that_is_gone_is_forgotten() {
    check(
        "backends a b c\n\
         policy gates fence,promote\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; restart b c; tick; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s b stands by; c stands by",
    );
}

#[test]
fn a_gate_for_one_that_is_gone_leaves_the_other_unsure() {
    check(
        "backends a b c\n\
         policy gates fence,promote\n\
         at 0s probe a pass; probe b pass; probe c pass\n\
         at 1s probe a fail; probe a fail; probe a fail; restart; tick; reload a c; show gates; command settle done",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s in doubt fence a 3 of failover: a -> b failover
        1s a unsure; c stands by
        1s rejected no doubt",
    );
}

#[test]
fn an_owed_fence_in_doubt_does_not_keep_the_active_from_serving() {
    check(
        "policy failover fence:if_reachable,promote manual\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; gate unreachable; gate done\n\
         at 2s probe a pass; restart; tick; show gates; probe b pass; show; command drill 9s\n\
         at 3s command settle failed; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> none failover 2
        1s run fence a 3 of failover: a -> b failover
        1s run promote b 3 of failover: a -> b failover
        1s none -> b failover 3
        2s run fence a 3 of failover: a -> b failover again
        2s in doubt fence a 3 of failover: a -> b failover
        2s a unsure, to be repeated; b holds; fence a 3 of failover: a -> b failover in doubt
        2s b up
        2s none -> b startup 4
        2s status b epoch 4
        2s rejected in doubt
        3s a unsure; b holds",
    );
}

#[test]
fn without_a_word_on_standings_the_last_active_holds_the_role() {
    let (now, ids) = (Instant::now(), [BackendId(0), BackendId(1)]);
    let saved = Saved { active: Some(ids[1]), ..Saved::default() };
    let failover = Failover::resume(now, &ids, default_policy(), saved);
    let standings = failover.status().backends.into_iter().map(|b| b.standing);
    assert_eq!(standings.collect::<Vec<_>>(), [Standing::Standby, Standing::Holds]);
}

// === Jobs and age ===

#[test]
fn a_planned_move_waits_for_a_job() {
    check(
        "at 0s probe a pass; probe b pass; busy 5s; command switchover b; show gates\n\
         at 2s busy over; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a holds; b stands by; waits for a job
        2s a -> b switchover 2
        2s a stands by; b holds",
    );
}

#[test]
fn but_not_longer_than_it_may() {
    check(
        "at 0s probe a pass; probe b pass; busy 5s\n\
         at 1s command switchover b\n\
         at 9s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        6s a -> b switchover 2",
    );
}

#[test]
fn what_it_has_waited_counts_for_the_next_job() {
    check(
        "at 0s probe a pass; probe b pass; busy 5s\n\
         at 1s command switchover b\n\
         at 3s busy 4s\n\
         at 9s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        5s a -> b switchover 2",
    );
}

#[test]
fn nobody_waits_with_a_dead_active() {
    check(
        "at 0s probe a pass; probe b pass\n\
         at 1s busy 5s; probe a fail; probe a fail; probe a fail",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> b failover 2",
    );
}

#[test]
fn a_failback_that_waits_says_so() {
    check(
        "policy hold_down 1s below 3\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail\n\
         at 2s probe a pass; probe a pass\n\
         at 3s busy 5s; requests 1; show failback\n\
         at 4s requests 9; show failback\n\
         at 9s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> b failover 2
        2s a up
        3s failback a at 8s: job until 8s
        4s failback a at 8s: job until 8s
        8s b -> a failback 3",
    );
}

#[test]
fn a_reload_that_waits_stays_a_reload() {
    check(
        "policy hold_down 0s\n\
         at 0s probe a pass; probe b pass; busy 5s; reload b a\n\
         at 9s tick",
        "0s a up
        0s none -> a startup 1
        0s b up
        5s a -> b reload 2",
    );
}

#[test]
fn an_order_to_stay_ends_the_wait() {
    check(
        "at 0s probe a pass; probe b pass; busy 5s; command switchover b; command switchover a; show gates\n\
         at 9s show",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s a holds; b stands by
        9s status a epoch 1 pinned hold_down 10s",
    );
}

#[test]
fn who_is_too_old_does_not_take_over() {
    check(
        "backends a b c\n\
         at 0s probe a pass; probe b pass; probe c pass; stale b; command switchover b\n\
         at 1s probe a fail; probe a fail; probe a fail; show gates",
        "0s a up
        0s none -> a startup 1
        0s b up
        0s c up
        0s rejected not eligible
        1s a down
        1s a -> c failover 2
        1s a stands by; b stands by, stale; c holds",
    );
}

#[test]
fn who_is_too_old_is_not_failed_back_to() {
    check(
        "policy hold_down 1s\n\
         at 0s probe a pass; probe b pass\n\
         at 1s probe a fail; probe a fail; probe a fail; stale a\n\
         at 2s probe a pass; probe a pass\n\
         at 5s show failback; command failback; command drill 5s\n\
         at 6s fresh a",
        "0s a up
        0s none -> a startup 1
        0s b up
        1s a down
        1s a -> b failover 2
        2s a up
        5s failback a: stale
        5s rejected no standby
        6s b -> a failback 3",
    );
}

#[test]
fn the_last_active_is_never_too_old() {
    check(
        "policy fall 1 rise 1\n\
         at 0s probe a pass; stale a; show gates\n\
         at 1s probe a fail\n\
         at 2s probe a pass\n\
         at 3s restart; stale a; probe a pass",
        "0s a up
        0s none -> a startup 1
        0s a holds, stale; b stands by
        1s a down
        1s a -> none failover 2
        2s a up
        2s none -> a recovery 3
        3s a up
        3s none -> a startup 4",
    );
}

#[test]
fn nobody_waits_for_the_verdict_on_one_that_is_too_old() {
    check(
        "at 0s stale a; probe b pass",
        "0s b up
        0s none -> b startup 1",
    );
}
