//! What is written of requests and events, in words.

use crate::kinds::show_size;
use crate::logs::show_to;
use crate::model::{AccessLog, Config, LogFormat, LogTo, Rotate};

/// Lines with line breaks; nothing when nothing is written.
pub(super) fn logs(config: &Config) -> String {
    let mut text = String::new();
    if let Some(AccessLog { to, format, sample, query }) = &config.access_log {
        let form = match format {
            LogFormat::Json => "JSON",
            LogFormat::Combined => "the combined format",
            LogFormat::Template(_) => "a format of its own",
        };
        let whose = if *sample < 1.0 {
            format!(
                "Failures, requests that were held or sent again, and a share of {sample} of the others are"
            )
        } else {
            "Every request is".to_owned()
        };
        let query = if *query { "" } else { ", without queries" };
        text.push_str(&format!(
            "{whose} written to {} in {form}{query}.{}\n",
            show_to(to),
            aside(to)
        ));
        let silent = config.services.iter().filter(|service| !service.access_log);
        let silent: Vec<&str> = silent.map(|service| &*service.name).collect();
        if !silent.is_empty() {
            text.push_str(&format!("Nothing is written of requests to {}.\n", silent.join(", ")));
        }
    }
    if let Some(log) = &config.event_log {
        let to = &log.to;
        text.push_str(&format!("Events are written to {} in JSON.{}\n", show_to(to), aside(to)));
    }
    text
}

/// When a file is set aside, as a further sentence.
fn aside(to: &LogTo) -> String {
    match to {
        LogTo::File { rotate: Some(Rotate { size, keep }), .. } => {
            format!(" At {} the file is set aside; {keep} are kept.", show_size(*size))
        }
        LogTo::File { rotate: None, .. } => " A SIGUSR1 opens the file anew.".to_owned(),
        LogTo::Stdout | LogTo::SyslogUnix(_) | LogTo::SyslogUdp(_) => String::new(),
    }
}
