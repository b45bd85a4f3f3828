//! Jobs beside the traffic: from the active to standbys, one at a time, and out of the way of moves.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::{
    Command, CommandError, Control, Inherited, JobRun, Kind, Operator, Refusal, Source, Status,
};
use routing::failover::AdminState;
use tempfile::TempDir;

use crate::file::wait_for_event;
use crate::harness::{
    Backend, PATIENCE, config, moves, order, start_on, switchover, wait_for, wait_for_active, web,
};

/// A folder with a program that notes when it begins and ends, and ends when it may.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: TempDir::new().expect("a folder") };
        fs::write(desk.path("go"), "").expect("a file");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on programs do not end.
    fn detain(&self) {
        fs::remove_file(self.path("go")).expect("it was there");
    }

    fn allow(&self) {
        fs::write(self.path("go"), "").expect("a file");
    }

    /// From now on they fail.
    fn spoil(&self) {
        fs::write(self.path("bad"), "").expect("a file");
    }

    fn mend(&self) {
        fs::remove_file(self.path("bad")).expect("it was there");
    }

    fn job(&self, name: &str, more: &str) -> String {
        let script = "echo $$ > pid; echo \"begin $UNDERSTUDY_JOB $UNDERSTUDY_FROM $UNDERSTUDY_TO\" >> log; \
                      while [ ! -e go ]; do sleep 0.01; done; sleep 0.02; \
                      echo said by $UNDERSTUDY_JOB; echo \"end $UNDERSTUDY_JOB\" >> log; [ ! -e bad ]";
        let script = script.replace('"', "\\\"");
        let folder = self.folder.path().display();
        format!(
            "{name}: {{ exec: {{ command: [sh, -c, \"{script}\"], directory: {folder} }}{more} }}"
        )
    }

    fn jobs(&self, jobs: &[(&str, &str)]) -> String {
        let jobs: Vec<String> = jobs.iter().map(|(name, more)| self.job(name, more)).collect();
        format!("jobs: {{ {} }}", jobs.join(", "))
    }

    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn until_begun(&self, job: &str) {
        let begun = format!("begin {job} ");
        let met = async {
            while !self.log().iter().any(|line| line.starts_with(&begun)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, met).await.is_ok(), "{job} has not begun");
    }

    /// Waits until the program that began last is gone.
    async fn until_gone(&self) {
        let pid = fs::read_to_string(self.path("pid")).expect("it has begun");
        let gone = async {
            while runs(pid.trim()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, gone).await.is_ok(), "{pid} still runs");
    }
}

/// Whether a process is there that has not ended.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn pair(more: &str) -> (Backend, Backend, Control) {
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let control = start_on(&config(&[&a, &b], more), "a").await;
    until_up(&control, "b").await;
    (a, b, control)
}

async fn until_up(control: &Control, name: &str) {
    let is_up = |status: &Arc<Status>| {
        let mut backends = web(status).backends.iter();
        backends.any(|b| &*b.name == name && b.health == control::Health::Up)
    };
    wait_for(control, &format!("{name} is not up"), is_up).await;
}

/// How jobs have ended, as `job backend outcome`.
fn ends(control: &Control) -> Vec<String> {
    let ends = control.events(0).into_iter().filter_map(|event| match event.kind {
        Kind::JobEnded { job, backend, outcome, .. } => {
            Some(format!("{job} {} {outcome}", backend.as_deref().unwrap_or("-")))
        }
        _ => None,
    });
    ends.collect()
}

async fn run(control: &Control, job: &str) -> Result<JobRun, CommandError> {
    control.run_job("web", job.to_owned(), true, Operator::local("test")).await
}

fn metric(control: &Control, series: &str) -> Option<f64> {
    let text = control.metrics().encode();
    let start = format!("{series} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).and_then(|value| value.parse().ok())
}

#[tokio::test]
async fn a_job_runs_from_the_active_to_each_standby_in_turn_and_is_shown() {
    let desk = Desk::new();
    let (a, b, c) =
        (Backend::start("a").await, Backend::start("b").await, Backend::start("c").await);
    let control = start_on(&config(&[&a, &b, &c], &desk.jobs(&[("sync", "")])), "a").await;
    until_up(&control, "b").await;
    until_up(&control, "c").await;
    let done = run(&control, "sync").await.expect("it runs");
    assert_eq!(done.outcome, Some("done"));
    let turns: Vec<_> = done.turns.iter().map(|turn| turn.backend.as_deref()).collect();
    assert_eq!(turns, [Some("b"), Some("c")]);
    assert_eq!(&*done.turns[0].output, "said by sync\n");
    assert_eq!(desk.log(), ["begin sync a b", "end sync", "begin sync a c", "end sync"]);
    assert_eq!(ends(&control), ["sync b done", "sync c done"]);

    let status = control.status();
    let job = &web(&status).jobs[0];
    assert_eq!((&*job.name, &*job.schedule), ("sync", "by order only"));
    assert_eq!((&*job.outcome, job.failures, job.running.clone()), ("done", 0, None));
    let succeeded =
        |name: &str| job.backends.iter().any(|b| &*b.name == name && b.succeeded.is_some());
    assert_eq!((succeeded("a"), succeeded("b"), succeeded("c")), (false, true, true));
    let shown = control.job("web", "sync".to_owned()).await.expect("it is shown");
    assert_eq!(shown.runs.len(), 1);
    assert_eq!(shown.runs[0], done);
    let runs = "understudy_job_runs_total{service=\"web\",job_name=\"sync\",outcome=\"done\"}";
    assert_eq!(metric(&control, runs), Some(2.0));
    let running = "understudy_job_running{service=\"web\",job_name=\"sync\"}";
    assert_eq!(metric(&control, running), Some(0.0));

    // One that is not wanted has no turn.
    let away = Command::SetAdmin("b".to_owned(), AdminState::Maintenance);
    order(&control, away).await.expect("it is done");
    run(&control, "sync").await.expect("it runs");
    assert_eq!(ends(&control)[2..], ["sync c done"]);
}

#[tokio::test]
async fn jobs_by_schedule_never_overlap() {
    let desk = Desk::new();
    let jobs =
        [("first", ", every: 1s"), ("second", ", every: 1s"), ("whole", ", every: 1s, to: active")];
    let (_a, _b, control) = pair(&desk.jobs(&jobs)).await;
    let often = async {
        while desk.log().len() < 14 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, often).await.is_ok(), "{:?}", desk.log());
    let log = desk.log();
    for pair in log.chunks_exact(2) {
        let job = pair[0].split(' ').nth(1).expect("its name");
        assert_eq!(pair[1], format!("end {job}"), "{log:?}");
    }
    assert!(log.contains(&"begin whole a ".to_owned()), "{log:?}");
    drop(control);
}

#[tokio::test]
async fn a_planned_move_waits_for_a_job_to_end() {
    let desk = Desk::new();
    desk.detain();
    let (_a, _b, control) = pair(&desk.jobs(&[("sync", ", every: 1h, move_waits: 1h")])).await;
    desk.until_begun("sync").await;
    let moved = tokio::spawn({
        let control = control.clone();
        async move { order(&control, switchover("b")).await }
    });
    // The order is on record, and nothing moves.
    wait_for_event(&control, &mut 0, "switchover to b: begun").await;
    assert_eq!(moves(&control), ["-->a Startup"]);
    let refused = run(&control, "sync").await.expect_err("it runs already");
    assert!(matches!(refused, CommandError::Impossible(_)), "{refused}");
    desk.allow();
    moved.await.expect("no panic").expect("it moves");
    assert_eq!(ends(&control)[0], "sync b done");
    assert_eq!(moves(&control).last().map(String::as_str), Some("a->b Switchover"));
}

#[tokio::test]
async fn who_ordered_a_move_that_waits_is_told_when_its_backend_is_lost() {
    let desk = Desk::new();
    desk.detain();
    let (_a, mut b, control) = pair(&desk.jobs(&[("sync", ", every: 1h, move_waits: 1h")])).await;
    desk.until_begun("sync").await;
    let moved = tokio::spawn({
        let control = control.clone();
        async move { order(&control, switchover("b")).await }
    });
    wait_for_event(&control, &mut 0, "switchover to b: begun").await;
    b.kill().await;
    let told = tokio::time::timeout(PATIENCE, moved).await.expect("in time").expect("no panic");
    assert!(matches!(told, Err(CommandError::CalledOff(_))), "{told:?}");
    assert_eq!(moves(&control), ["-->a Startup"]);
}

#[tokio::test]
async fn a_planned_move_that_has_waited_long_enough_cancels_the_job() {
    let desk = Desk::new();
    desk.detain();
    let (_a, _b, control) = pair(&desk.jobs(&[("sync", ", every: 1h, move_waits: 100ms")])).await;
    desk.until_begun("sync").await;
    order(&control, switchover("b")).await.expect("it moves");
    assert_eq!(ends(&control)[0], "sync b cancelled");
    desk.until_gone().await;
    let cancelled = control.events(0).into_iter().position(|e| e.to_string().contains("cancelled"));
    let moved = control.events(0).into_iter().position(|e| e.to_string().contains("a -> b"));
    assert!(cancelled < moved, "{:#?}", control.events(0));
}

#[tokio::test]
async fn a_failover_cancels_a_job_at_once() {
    let desk = Desk::new();
    desk.detain();
    let (mut a, _b, control) = pair(&desk.jobs(&[("sync", ", every: 1h, move_waits: 1h")])).await;
    desk.until_begun("sync").await;
    a.kill().await;
    wait_for_active(&control, "b").await;
    assert_eq!(ends(&control), ["sync b cancelled"]);
    desk.until_gone().await;
    let status = control.status();
    let job = &web(&status).jobs[0];
    assert_eq!((&*job.outcome, job.failures), ("cancelled", 0));
    let counted =
        "understudy_job_runs_total{service=\"web\",job_name=\"sync\",outcome=\"cancelled\"}";
    assert_eq!(metric(&control, counted), Some(1.0));
}

#[tokio::test]
async fn nothing_is_run_during_a_move_or_without_an_active_or_a_standby() {
    let desk = Desk::new();
    desk.detain();
    let gate = desk.job("promote", "");
    let jobs = desk.jobs(&[("sync", "")]);
    let (mut a, mut b) = (Backend::start("a").await, Backend::start("b").await);
    let text = config(&[&a, &b], &format!("{jobs}\n    gates: {{ switchover: {{ {gate} }} }}"));
    let control = start_on(&text, "a").await;
    until_up(&control, "b").await;
    assert_eq!(run(&control, "x").await, Err(CommandError::UnknownJob("x".to_owned())));
    let moved = tokio::spawn({
        let control = control.clone();
        async move { order(&control, switchover("b")).await }
    });
    wait_for(&control, "no gate", |status| web(status).gate.is_some()).await;
    let refused = run(&control, "sync").await;
    let moving = [Refusal::Switching, Refusal::NothingActive].map(CommandError::Refused);
    assert!(refused.as_ref().is_err_and(|why| moving.contains(why)), "{refused:?}");
    desk.allow();
    wait_for_active(&control, "b").await;
    drop(moved);

    a.kill().await;
    wait_for_event(&control, &mut 0, "a is down").await;
    let alone = run(&control, "sync").await.expect_err("there is no standby");
    assert_eq!(alone.to_string(), "no standby is up and ready");
    b.kill().await;
    wait_for(&control, "still active", |status| web(status).active.is_none()).await;
    let nobody = run(&control, "sync").await;
    assert_eq!(nobody, Err(CommandError::Refused(Refusal::NothingActive)));
    assert_eq!(ends(&control), Vec::<String>::new());
}

#[tokio::test]
async fn a_standby_that_is_too_old_takes_over_from_nobody_where_that_blocks() {
    let desk = Desk::new();
    desk.spoil();
    let jobs = desk.jobs(&[("sync", ", every: 1h, max_age: { age: 1h, blocks: true }")]);
    let (mut a, _b, control) = pair(&jobs).await;
    wait_for_event(&control, &mut 0, "job sync for b: failed").await;
    wait_for_event(&control, &mut 0, "the last success of job sync for b is too old").await;
    let said = "job sync has never succeeded for it";
    wait_for_event(&control, &mut 0, said).await;
    let stale = "understudy_job_stale{service=\"web\",job_name=\"sync\",backend=\"b\"}";
    assert_eq!(metric(&control, stale), Some(1.0));
    let status = control.status();
    let b = &web(&status).backends[1];
    assert!(b.readiness.as_ref().is_some_and(|found| found.reasons[0].starts_with(said)), "{b:#?}");
    let refused = order(&control, switchover("b")).await;
    assert_eq!(refused, Err(CommandError::Refused(Refusal::NotEligible)));
    a.kill().await;
    wait_for(&control, "somebody is active", |status| web(status).active.is_none()).await;
    a.revive().await;
    wait_for_active(&control, "a").await;
    assert_eq!(moves(&control), ["-->a Startup", "a->- Failover", "-->a Recovery"]);

    desk.mend();
    let done = run(&control, "sync").await.expect("it runs");
    assert_eq!(done.outcome, Some("done"));
    wait_for_event(&control, &mut 0, "job sync is up to date for b again").await;
    assert_eq!(metric(&control, stale), Some(0.0));
    a.kill().await;
    wait_for_active(&control, "b").await;
    // Who was active until now has all there is.
    wait_for(&control, "a is stale", |status| {
        let backends = &web(status).jobs[0].backends;
        backends.iter().any(|x| &*x.name == "a" && !x.is_stale && x.age.is_some())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_a_reload_takes_away_is_cancelled() {
    let desk = Desk::new();
    desk.detain();
    let jobs = [("sync", ", every: 1h"), ("other", "")];
    let (a, b, control) = pair(&desk.jobs(&jobs)).await;
    desk.until_begun("sync").await;
    control.reload(config(&[&a, &b], &desk.jobs(&jobs[..1]))).await.expect("it is in force");
    assert_eq!(ends(&control), Vec::<String>::new(), "it stays");
    control.reload(config(&[&a, &b], &desk.jobs(&jobs[1..]))).await.expect("it is in force");
    wait_for_event(&control, &mut 0, "job sync for b: cancelled").await;
    desk.until_gone().await;
    desk.allow();
    assert_eq!(run(&control, "other").await.expect("it runs").outcome, Some("done"));
}

#[tokio::test]
async fn a_schedule_survives_a_restart_and_what_was_under_way_has_begun() {
    let (desk, state) = (Desk::new(), TempDir::new().expect("a folder"));
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    let text = config(&[&a, &b], &desk.jobs(&[("sync", ", every: 1h")]));
    let start = || async {
        let loaded = config::load("test.yaml", &text, &PathBuf::new());
        let mut config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        config.state_dir = Some(state.path().to_owned());
        let started = Control::start(config, Source::default(), Inherited::default()).await;
        let control = started.expect("it starts");
        wait_for_active(&control, "a").await;
        until_up(&control, "b").await;
        control
    };
    let control = start().await;
    wait_for_event(&control, &mut 0, "job sync for b: done").await;
    let before = web(&control.status()).jobs[0].began;
    control.shut_down().await;
    drop(control);

    let control = start().await;
    let status = control.status();
    let job = &web(&status).jobs[0];
    assert_eq!((job.began, &*job.outcome), (before, "done"), "it does not run again");
    assert!(job.backends[1].succeeded.is_some(), "{job:?}");
    desk.detain();
    let waiting = control.run_job("web", "sync".to_owned(), false, Operator::local("test"));
    assert_eq!(waiting.await.expect("it begins").outcome, None);
    wait_for(&control, "it does not run", |s| web(s).jobs[0].running.is_some()).await;
    let began = web(&control.status()).jobs[0].began;
    control.shut_down().await;
    drop(control);
    desk.until_gone().await;

    let control = start().await;
    let status = control.status();
    let job = &web(&status).jobs[0];
    assert_eq!((job.began, job.running.clone()), (began, None));
    assert_eq!(&*job.outcome, "cancelled");
    assert_eq!(desk.log().len(), 3, "{:?}", desk.log());
}

#[tokio::test]
async fn a_job_for_one_role_is_for_those_that_claim_it() {
    let desk = Desk::new();
    let (a, b, c) =
        (Backend::start("a").await, Backend::start("b").await, Backend::start("c").await);
    c.answer_with(201);
    let jobs = desk.jobs(&[("copy", ", role: standby")]);
    let role = "role: { by: status, standby: 201 }";
    let health = format!("{{ http: {{ path: /, {role} }}, interval: 50ms, required_role: off }}");
    let more = format!("{jobs}\n    health: {health}");
    let control = start_on(&config(&[&a, &b, &c], &more), "a").await;
    until_up(&control, "b").await;
    let claims = |status: &Arc<Status>| web(status).backends[2].role.is_some();
    wait_for(&control, "c claims nothing", claims).await;
    control
        .run_job("web", "copy".to_owned(), true, Operator::local("test"))
        .await
        .expect("it runs");
    assert_eq!(desk.log(), ["begin copy a c", "end copy"], "b claims nothing");
}
