//! Collects what is wrong with one file, with the places where it is.

use std::cell::RefCell;

use crate::problem::{Problem, Severity, snippet};
use crate::yaml::{Fault, Mark};

/// Where something stands: the key path and the token to point at.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) mark: Mark,
}

/// A value and where it stands, for checks that come later.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

/// What is wrong with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None }
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Collects what is wrong with one file.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    file: &'a str,
    source: &'a str,
    problems: RefCell<Vec<Problem>>,
    /// Where something stands that must not be shown.
    secrets: RefCell<Vec<Mark>>,
    purpose: Purpose,
}

/// What the reading code is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To read a file.
    Read,
    /// To declare the keys; there is no file.
    Describe,
}

impl<'a> Report<'a> {
    pub(crate) fn new(file: &'a str, source: &'a str) -> Self {
        Self {
            file,
            source,
            problems: RefCell::default(),
            secrets: RefCell::default(),
            purpose: Purpose::Read,
        }
    }

    /// For a run that only declares the schema.
    pub(crate) fn describing() -> Self {
        Self { purpose: Purpose::Describe, ..Self::new("", "") }
    }

    pub(crate) fn describes(&self) -> bool {
        self.purpose == Purpose::Describe
    }

    pub(crate) fn error(&self, place: &Place, complaint: Complaint) {
        self.add(Severity::Error, place, complaint);
    }

    pub(crate) fn warning(&self, place: &Place, complaint: Complaint) {
        self.add(Severity::Warning, place, complaint);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        let place = Place { path: fault.path, mark: fault.mark };
        self.error(&place, Complaint { message: fault.message, advice: fault.advice });
    }

    /// Takes back what was said about a place, for when the cause is found to be another mistake.
    pub(crate) fn retract(&self, place: &Place, message: &str) {
        let mut problems = self.problems.borrow_mut();
        problems.retain(|problem| problem.path != place.path || problem.message != message);
    }

    fn add(&self, severity: Severity, place: &Place, complaint: Complaint) {
        self.problems.borrow_mut().push(Problem {
            severity,
            file: self.file.to_owned(),
            line: place.mark.line,
            column: place.mark.column,
            path: place.path.clone(),
            message: complaint.message,
            advice: complaint.advice,
            snippet: snippet(self.source, place.mark),
        });
    }

    /// Shows no problem of this line with the line itself: there is a secret in it.
    pub(crate) fn conceal(&self, place: &Place) {
        self.secrets.borrow_mut().push(place.mark);
    }

    /// How many errors there are so far: what is read between two equal counts is sound.
    pub(crate) fn errors(&self) -> usize {
        let problems = self.problems.borrow();
        problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Everything collected, in the order of the file.
    pub(crate) fn finish(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        for secret in self.secrets.into_inner() {
            for problem in problems.iter_mut().filter(|problem| problem.line == secret.line) {
                problem.snippet = None;
            }
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        // A mistake below an anchor is one mistake, however often the anchor is used.
        problems.dedup_by(|b, a| (a.line, a.column, &a.message) == (b.line, b.column, &b.message));
        problems
    }
}
