//! What is done again and again, from the active to standbys: the key `jobs` of a service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::action::{Purpose, tries};
use crate::choice::{flag, word};
use crate::cron::{CronTimes, parse_time_zone};
use crate::gates::{ROLES, call};
use crate::kinds::{duration, parse_name, secs, text};
use crate::model::{Action, At as Asked, Job, JobTarget, MaxAge, Schedule};
use crate::problem::quoted;
use crate::reader::{Section, Value};
use crate::report::{At, Complaint};
use crate::{defaults, lint};

/// Nothing that is done more seldom is a job for a balancer.
const LONGEST: Duration = secs(366 * 24 * 3600);

/// Whom a job is about, as its author writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Standbys,
    Active,
}

const TO: &[(&str, Word)] = &[("standbys", Word::Standbys), ("active", Word::Active)];

/// Each with the place of its role.
pub(crate) fn jobs(value: &mut Value<'_>, base: &Path) -> Option<Vec<At<Job>>> {
    value.named("jobs by name", 0, |name, value| {
        if let Err(complaint) = parse_name(name.value) {
            value.report().error(&name.place, complaint);
        }
        value.keys(|section| job(name.value, section, base))?
    })
}

fn job(name: &str, section: &mut Section<'_>, base: &Path) -> Option<At<Job>> {
    let errors = section.report().errors();
    let action = call(section, base, Purpose::Job);
    section.exactly_one(&["exec", "http"], "what the job does");
    let schedule = schedule(section);
    let jitter = section.or(
        "jitter",
        "It begins so much later at most, by chance",
        defaults::JOB_JITTER,
        duration(Duration::ZERO..=secs(24 * 3600)),
    );
    let to = target(section);
    let catch_up = section.or(
        "catch_up",
        "Whether it is made up for, once, when its time passed while it could not run",
        defaults::JOB_CATCH_UP,
        flag,
    );
    let move_waits = section.or(
        "move_waits",
        "How long a planned move waits for it to end; then, and at any other move at once, it is cancelled",
        defaults::JOB_MOVE_WAITS,
        duration(Duration::ZERO..=secs(3600)),
    );
    let max_age = section.optional(
        "max_age",
        "How old its last success for a standby may be, or its keys; a standby with an older one is not ready",
        max_age,
    );
    let tries = tries(section, defaults::JOB_DEADLINE, secs(24 * 3600), defaults::JOB_BACK_OFF);
    let idempotent = section.or(
        "idempotent",
        "Whether a try that may have been done may be repeated",
        defaults::IDEMPOTENT,
        flag,
    );
    let job = Job {
        name: Arc::from(name),
        action: action?,
        tries,
        idempotent,
        schedule: schedule?,
        jitter,
        to: to?,
        catch_up,
        move_waits,
        max_age,
    };
    if section.report().errors() == errors {
        together(section, &job);
    }
    if section.report().errors() == errors {
        for lint in lint::job(&job) {
            let complaint = Complaint::new(lint.message).advice(lint.advice);
            section.report().warning(&section.place_of(lint.keys), complaint);
        }
    }
    Some(At { value: job, place: section.place("role") })
}

fn schedule(section: &mut Section<'_>) -> Option<Schedule> {
    section.at_most_one(&["every", "cron"]);
    let every = section.optional(
        "every",
        "So long after it last began; without `every` and `cron` it runs only when an operator says so",
        duration(secs(1)..=LONGEST),
    );
    let cron = section.optional(
        "cron",
        "When: minute, hour, day of the month, month, day of the week, for example `0 3 * * *`",
        text("a cron pattern", |text| Ok(text.to_owned())),
    );
    let time_zone = section.optional(
        "time_zone",
        "In which time zone `cron` is, for example `Europe/Madrid`; UTC when left out",
        text("a time zone", parse_time_zone),
    );
    if section.has("time_zone") && !section.has("cron") {
        let complaint = Complaint::new("`time_zone` is for `cron`, and there is none");
        let complaint = complaint.advice("remove it, or give the times by `cron`");
        section.report().error(&section.key_place("time_zone"), complaint);
    }
    if section.has("every") {
        return every.map(Schedule::Every);
    }
    if !section.has("cron") {
        return Some(Schedule::Never);
    }
    let pattern = cron?;
    match CronTimes::new(&pattern, time_zone.unwrap_or(TimeZone::UTC)) {
        Ok(times) => Some(Schedule::Cron(times)),
        Err(fault) => {
            let never = "remove it: then the job runs only when an operator says so";
            let complaint = fault.complaint(&pattern, never);
            section.report().error(&section.place("cron"), complaint);
            None
        }
    }
}

fn target(section: &mut Section<'_>) -> Option<JobTarget> {
    let to = section.or(
        "to",
        "Whom it is about: `standbys` (each in turn) or `active` alone",
        defaults::JOB_TO,
        word(TO),
    );
    let role = section.optional(
        "role",
        "Only for standbys that claim this role: `active` or `standby`; any when left out",
        word(ROLES),
    );
    match to {
        Word::Standbys => Some(JobTarget::Standbys { role }),
        Word::Active if !section.has("role") => Some(JobTarget::Active),
        Word::Active => {
            let complaint =
                Complaint::new("`role` picks standbys, and this job is about the active alone");
            let complaint = complaint.advice("remove `role`, or `to: active`");
            section.report().error(&section.key_place("role"), complaint);
            None
        }
    }
}

const AGE: &str = "How old";

fn max_age(value: &mut Value<'_>) -> Option<MaxAge> {
    let age = duration(secs(1)..=LONGEST);
    value.either(
        |value| age(value).map(|age| MaxAge { age, blocks: false }),
        |value| {
            value.keys(|section| {
                let age = section.required("age", AGE, &age);
                let blocks = section.or(
                    "blocks",
                    "Whether a standby with an older one may not become active",
                    defaults::MAX_AGE_BLOCKS,
                    flag,
                );
                Some(MaxAge { age: age?, blocks })
            })?
        },
    )
}

/// What valid keys get wrong together.
fn together(section: &Section<'_>, job: &Job) {
    let complain = |key: &str, message: &str, advice: &str| {
        let complaint = Complaint::new(message).advice(advice);
        section.report().error(&section.key_place(key), complaint);
    };
    let alone = job.to == JobTarget::Active;
    match job.schedule {
        Schedule::Every(every) if job.jitter > every => complain(
            "jitter",
            "`jitter` is longer than `every`: the job would run when it pleases",
            "a tenth of the interval is usual",
        ),
        Schedule::Never if !job.jitter.is_zero() => complain(
            "jitter",
            "`jitter` is for a schedule, and this job has none",
            "give `every` or `cron`, or remove it",
        ),
        Schedule::Every(_) | Schedule::Cron(_) | Schedule::Never => {}
    }
    if job.max_age.is_some() {
        if job.schedule == Schedule::Never {
            complain(
                "max_age",
                "`max_age` of a job without a schedule: no standby would stay fresh",
                "give `every` or `cron`, or remove it",
            );
        } else if alone {
            complain(
                "max_age",
                "`max_age` is of standbys, and this job is about the active alone",
                "remove it, or `to: active`",
            );
        }
    }
    if let Action::Http(request) = &job.action
        && alone
        && request.at == Asked::To
    {
        let message = format!("nobody is {}: this job is about the active alone", quoted("{to}"));
        complain("http", &message, "write `{from}/path` or `/path`, or remove `to: active`");
    }
}
