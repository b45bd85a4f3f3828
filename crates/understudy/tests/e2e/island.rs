//! A network of its own for backends, which can be cut off and mended.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use benches::process::installed;
use benches::script;

use crate::stage::may_run;

/// A network namespace with a link to it. Both are gone when this is.
pub(crate) struct Island {
    name: String,
    link: String,
    host: String,
}

impl Island {
    /// `None`, and a line that says so, where there is no right to make one.
    pub(crate) fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        // Of this process and this island: the name of a link has 15 letters at most.
        let id = format!("{}x{count}", std::process::id() % 100_000);
        let name = format!("understudy-{id}");
        let usable = installed("ip").is_some() && ip(&format!("netns add {name}"));
        if !may_run(usable, "`ip netns` and root's rights") {
            return None;
        }
        // Of the networks for benchmarks (RFC 2544), which nobody routes.
        let place = (std::process::id() + count) % 512;
        let host = format!("198.{}.{}", 18 + place / 256, place % 256);
        let island = Self { name, link: format!("us{id}"), host };
        let Self { name, link, host } = &island;
        let made = [
            format!("link add {link} type veth peer name {link}p"),
            format!("link set {link}p netns {name}"),
            format!("address add {host}.1/30 dev {link}"),
            format!("link set {link} up"),
            format!("-n {name} address add {host}.2/30 dev {link}p"),
            format!("-n {name} link set lo up"),
            format!("-n {name} link set {link}p up"),
        ];
        for command in made {
            assert!(ip(&command), "ip {command}");
        }
        Some(island)
    }

    /// A program that is `program`, but runs there; it is written to `folder`.
    pub(crate) fn inhabitant(&self, program: &Path, folder: &Path) -> PathBuf {
        let there = folder.join(format!("{}-there", self.name));
        let (name, program) = (&self.name, program.display());
        let text = format!("#!/bin/sh\nexec ip netns exec {name} {program} \"$@\"\n");
        script::write(&there, &text);
        there
    }

    /// Where its inhabitants listen: any port there.
    pub(crate) fn listen(&self) -> String {
        format!("{}.2:0", self.host)
    }

    /// Nobody listens there, and the system says so: that is an answer.
    pub(crate) fn witness(&self) -> String {
        format!("{}.2:1", self.host)
    }

    pub(crate) fn cut(&self) {
        let Self { name, link, .. } = self;
        assert!(ip(&format!("-n {name} link set {link}p down")), "cut");
    }

    pub(crate) fn mend(&self) {
        let Self { name, link, .. } = self;
        assert!(ip(&format!("-n {name} link set {link}p up")), "mend");
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        // The link goes with one of its ends.
        let _ = ip(&format!("link delete {}", self.link));
        let gone = ip(&format!("netns delete {}", self.name));
        assert!(gone || std::thread::panicking(), "{} is left", self.name);
    }
}

fn ip(words: &str) -> bool {
    let path = installed("ip").unwrap_or_else(|| "ip".into());
    let run = Command::new(path).args(words.split(' ')).output();
    run.is_ok_and(|output| output.status.success())
}
