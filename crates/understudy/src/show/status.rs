//! How services stand, for people: what matters first, one screen for several. Pure.

use admin::wire::{
    AdminState, Backend, Drift, Health, Job, Operator, Process, Readiness, Service, Wish,
};
use jiff::tz::TimeZone;

use super::{Cell, Colour, Tone, left, millis, printable, span, table};

/// How to show it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) colour: Colour,
    /// Whose clock to tell times by.
    pub(crate) zone: TimeZone,
    /// How long ago the server said so, in seconds.
    pub(crate) age: f64,
}

/// Everything about these services, and about the process.
pub(crate) fn render(services: &[&Service], process: &Process, view: &View) -> String {
    let mut text = String::new();
    for (index, service) in services.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        text += &headline(service, view);
        for (tone, note) in notes(service, view) {
            text += &format!("  {}\n", view.colour.paint(tone, &note));
        }
        let claims = service.backends.iter().any(|backend| claim(backend).is_some());
        let rows: Vec<Vec<Cell>> =
            service.backends.iter().map(|backend| row(backend, claims, view)).collect();
        text += &table(&rows, "  ", view.colour);
    }
    let about = process_notes(process);
    if !about.is_empty() {
        text.push('\n');
    }
    for (tone, note) in about {
        text += &format!("{}\n", view.colour.paint(tone, &note));
    }
    text
}

/// Who has the traffic, and since when.
fn headline(service: &Service, view: &View) -> String {
    let since = span(service.since_seconds + view.age);
    let (tone, who) = who(service);
    let load = &service.load;
    let mut rest = format!(" for {since}, epoch {}, {} in flight", service.epoch, load.in_flight);
    if load.held > 0 {
        rest += &format!(", {} held", load.held);
    }
    let name = view.colour.paint(Tone::Strong, &service.name);
    format!("{name}: {}{rest}\n", view.colour.paint(tone, &who))
}

/// Who has the traffic, and whether that is as it should be.
fn who(service: &Service) -> (Tone, String) {
    match &service.active {
        None => (Tone::Bad, "nobody is active".to_owned()),
        Some(active) if service.on_primary => (Tone::Good, format!("{active} is active (primary)")),
        Some(active) => (Tone::Odd, format!("{active} is active (standby)")),
    }
}

/// What else there is to know, the most urgent first.
fn notes(service: &Service, view: &View) -> Vec<(Tone, String)> {
    let mut notes = Vec::new();
    let mut note = |tone, text: String| notes.push((tone, text));
    if let Some(switching) = &service.switching {
        let since = span(switching.since_seconds + view.age);
        note(Tone::Odd, format!("moving to {} ({}) for {since}", switching.to, switching.reason));
    }
    if let Some(gate) = &service.gate {
        let which = format!("gate {} of {} (epoch {})", gate.gate, gate.backend, gate.epoch);
        note(
            if gate.in_doubt { Tone::Bad } else { Tone::Odd },
            match gate.in_doubt {
                false => format!("{which} runs: requests wait"),
                true => format!(
                    "{which} is in doubt, nothing moves: look at the application, then \
                     `understudy gate done`, `failed` or `again`"
                ),
            },
        );
    }
    for backend in service.backends.iter().filter(|backend| backend.barred) {
        let name = &backend.name;
        note(Tone::Bad, format!("a gate failed: {name} may not become active until `unlock`"));
    }
    for backend in &service.backends {
        if backend.standing.as_deref() == Some("unsure") {
            let name = &backend.name;
            note(Tone::Odd, format!("{name} may still hold the active role: a gate is owed"));
        }
    }
    if let Some(seconds) = service.verifying_for_seconds {
        let seconds = left(seconds - view.age);
        note(Tone::Odd, format!("watched for {seconds} more; taken back if it does not work out"));
    }
    if let Some(drill) = &service.drill {
        let seconds = left(drill.ends_in_seconds - view.age);
        note(
            Tone::Odd,
            match &drill.tag {
                None => format!("drill: {} is treated as failed for {seconds} more", drill.backend),
                Some(tag) => {
                    let tag = printable(tag);
                    format!("drill: requests with {tag} go to {} for {seconds} more", drill.backend)
                }
            },
        );
    }
    if let Some(dual) = &service.dual_active {
        let (names, since) = (dual.backends.join(" and "), span(dual.since_seconds + view.age));
        let (tone, then) = if dual.accepted {
            (Tone::Odd, "automatic moves go on by order")
        } else {
            (Tone::Bad, "no automatic moves until that is over, or `unlock`")
        };
        note(tone, format!("{names} claim the active role, for {since}: {then}"));
    }
    if service.locked {
        let (tone, words) = match service.active {
            Some(_) => {
                (Tone::Odd, "locked: no automatic moves, not even a failover, until `unlock`")
            }
            None => {
                let words =
                    "locked: nobody takes over by itself; `unlock`, or `switchover --to BACKEND`";
                (Tone::Bad, words)
            }
        };
        note(tone, words.to_owned());
    }
    if service.pinned {
        note(
            Tone::Odd,
            "pinned: stays where it is while that is eligible, until `unpin`".to_owned(),
        );
    }
    if let Some(words) = failback(service, view) {
        note(Tone::Plain, words);
    }
    if let Some(scheduled) = &service.scheduled {
        let at = scheduled.at.to_zoned(view.zone.clone()).strftime("%F %T %:z");
        let seconds = left(scheduled.in_seconds - view.age);
        let (to, by) = (&scheduled.to, by(&scheduled.by));
        note(Tone::Plain, format!("scheduled: to {to} at {at}, in {seconds}, {by}"));
    }
    for drift in &service.drift {
        note(Tone::Odd, drifted(drift, view));
    }
    for job in &service.jobs {
        if let Some((tone, words)) = job_note(job, view) {
            note(tone, words);
        }
    }
    for backend in &service.backends {
        let failed = backend.last_probe.iter().flat_map(|probe| &probe.checks);
        // One probe alone is in the row of its backend.
        let is_alone = backend.last_probe.as_ref().is_some_and(|probe| probe.checks.len() < 2);
        for check in failed.filter(|check| !is_alone && check.outcome != "pass") {
            let (name, outcome) = (&backend.name, printable(&check.outcome));
            note(Tone::Bad, format!("{name}: probe {} ({}): {outcome}", check.name, check.level));
        }
        if let Some(why) = &backend.undecided {
            let (name, since) = (&backend.name, backend.last_verdict_ago_seconds);
            let since = since
                .map_or_else(|| "yet".to_owned(), |ago| format!("for {}", span(ago + view.age)));
            note(Tone::Bad, format!("{name}: no verdict {since}: {}", printable(why)));
        }
        if let Some(readiness) = backend.readiness.as_ref().filter(|readiness| !readiness.ready) {
            note(Tone::Odd, format!("{} is not ready: {}", backend.name, unready(readiness)));
        }
    }
    notes
}

/// What is to be known of a job without asking for it: that it runs, or fails.
fn job_note(job: &Job, view: &View) -> Option<(Tone, String)> {
    if let Some(seconds) = job.running_for_seconds {
        let to = job.running_to.as_ref().map_or_else(String::new, |to| format!(" for {to}"));
        return Some((
            Tone::Plain,
            format!("job {} runs{to}, {}", job.name, span(seconds + view.age)),
        ));
    }
    let times = job.failures;
    (times > 0).then(|| {
        let words = printable(&job.words);
        let often = if times == 1 { String::new() } else { format!(" {times} times in a row") };
        (Tone::Bad, format!("job {} failed{often}: {words}; `job show {0}`", job.name))
    })
}

/// What speaks against a standby.
fn unready(readiness: &Readiness) -> String {
    let reasons: Vec<String> = readiness.reasons.iter().map(|why| printable(why)).collect();
    reasons.join("; ")
}

/// The role that a backend claims and what it asks for, if it says anything.
fn claim(backend: &Backend) -> Option<Cell> {
    let wish = match backend.wish {
        None | Some(Wish::Serve) => None,
        Some(Wish::Drain) => Some("asks for a drain"),
        Some(Wish::Maintenance) => Some("asks for maintenance"),
    };
    let words: Vec<&str> =
        backend.role.map(admin::wire::Role::word).into_iter().chain(wish).collect();
    let tone = if wish.is_some() { Tone::Odd } else { Tone::Plain };
    (!words.is_empty()).then(|| Cell::new(tone, words.join(", ")))
}

/// Whether a standby is ready.
fn readiness(backend: &Backend) -> Option<Cell> {
    backend.readiness.as_ref().map(|readiness| {
        let promotes = !readiness.notes.is_empty();
        match (readiness.ready, promotes) {
            (true, false) => Cell::new(Tone::Good, "ready to take over"),
            (true, true) => {
                Cell::new(Tone::Good, format!("ready to take over: {}", readiness.notes.join(", ")))
            }
            (false, _) => Cell::new(Tone::Odd, "not ready to take over"),
        }
    })
}

/// `back to a in 12 s`, or why not; `None` where there is nothing to go back to.
pub(crate) fn failback(service: &Service, view: &View) -> Option<String> {
    let failback = service.failback.as_ref()?;
    let to = &failback.to;
    let waits_for: Vec<String> = failback.waits_for.iter().map(|what| printable(what)).collect();
    let due = failback.due_in_seconds.map(|seconds| left(seconds - view.age));
    Some(match (due, waits_for.as_slice()) {
        (Some(due), []) => format!("back to {to} in {due}"),
        (Some(due), waits_for) => {
            format!("back to {to} in {due} at the earliest: {}", waits_for.join("; "))
        }
        (None, []) => format!("not back to {to} by itself"),
        (None, waits_for) => format!("not back to {to} now: {}", waits_for.join("; ")),
    })
}

fn drifted(drift: &Drift, view: &View) -> String {
    let Drift { what, file, now, since_seconds, by: operator, .. } = drift;
    let since = span(since_seconds + view.age);
    let by = by(operator);
    format!("differs from the file: {what}: {now} (file: {file}), for {since}, {by}")
}

/// `by alice: "disk swap"`.
fn by(operator: &Operator) -> String {
    let who = printable(&operator.who);
    match printable(&operator.why).as_str() {
        "" => format!("by {who}"),
        why => format!("by {who}: \"{why}\""),
    }
}

/// One backend in columns. The active has a mark, so that colour is not needed to find it.
/// There is a column for what backends say of themselves if any does.
fn row(backend: &Backend, claims: bool, view: &View) -> Vec<Cell> {
    let mark = if backend.active { "*" } else { " " };
    let health = match backend.health {
        Health::Up => Tone::Good,
        Health::Down => Tone::Bad,
        Health::Unknown => Tone::Odd,
    };
    let admin = match backend.admin {
        AdminState::Ready => Tone::Plain,
        AdminState::Drain | AdminState::Maintenance => Tone::Odd,
    };
    let probe = backend.last_probe.as_ref().map(|probe| {
        let ago = span(probe.ago_seconds + view.age);
        let tone = if probe.outcome == "pass" { Tone::Plain } else { Tone::Bad };
        let outcome = printable(&probe.outcome);
        Cell::new(tone, format!("{outcome}, {}, {ago} ago", millis(probe.took_ms)))
    });
    let mut row = vec![
        Cell::new(Tone::Strong, format!("{mark} {}", backend.name)),
        Cell::new(Tone::Faint, &*backend.url),
        Cell::new(health, backend.health.word()),
        Cell::new(admin, backend.admin.word()),
    ];
    if claims {
        row.push(claim(backend).unwrap_or_default());
    }
    row.push(Cell::new(Tone::Plain, format!("{} in flight", backend.in_flight)));
    row.push(probe.unwrap_or_else(|| Cell::new(Tone::Faint, "not probed yet")));
    row.extend(readiness(backend));
    row
}

/// What is not as it should be with the process as a whole.
fn process_notes(process: &Process) -> Vec<(Tone, String)> {
    let mut notes = Vec::new();
    if let Some(seconds) = process.cut_off_for_seconds {
        let (witnesses, since) = (process.witnesses, span(seconds));
        let words = format!(
            "cut off: none of the {witnesses} witnesses answers, for {since}; every decision holds"
        );
        notes.push((Tone::Bad, words));
    }
    if let Some(problem) = &process.state_problem {
        notes.push((Tone::Bad, format!("state: {}", printable(problem))));
    }
    if process.state_dir.is_none() && process.state_problem.is_none() {
        let words = "no state_dir: decisions are in memory, a restart forgets them";
        notes.push((Tone::Faint, words.to_owned()));
    }
    for drift in &process.drift {
        notes.push((Tone::Odd, format!("differs from the file: {}", printable(drift))));
    }
    if process.predecessor {
        let words = "the process before this one still finishes its requests";
        notes.push((Tone::Odd, words.to_owned()));
    }
    notes
}

/// The same on one line and without times, so that it differs only when something has changed.
pub(crate) fn summary(service: &Service) -> String {
    let mut words = vec![who(service).1];
    if let Some(switching) = &service.switching {
        words.push(format!("moving to {}", switching.to));
    }
    for (holds, word) in [
        (service.drill.is_some(), "drill"),
        (service.dual_active.is_some(), "two claim the active role"),
        (service.locked, "locked"),
        (service.pinned, "pinned"),
        (service.scheduled.is_some(), "a switchover is to come"),
    ] {
        if holds {
            words.push(word.to_owned());
        }
    }
    for backend in &service.backends {
        let health = backend.health.word();
        words.push(match backend.admin {
            AdminState::Ready => format!("{} {health}", backend.name),
            AdminState::Drain | AdminState::Maintenance => {
                format!("{} {health} in {}", backend.name, backend.admin.word())
            }
        });
    }
    format!("{}: {}", service.name, words.join(", "))
}

#[cfg(test)]
pub(crate) mod tests;
