//! Reads what `/metrics` says: Prometheus' text format, as far as our tests need it.

/// One scrape.
#[derive(Clone, Debug)]
pub struct Scrape(Vec<Series>);

#[derive(Clone, Debug)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Scrape {
    /// Reads a whole scrape. Label values with quotes in them are beyond it.
    ///
    /// # Panics
    ///
    /// When a line is not a series.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines
            .map(|line| series(line).unwrap_or_else(|| panic!("not a series: {line:?}")))
            .collect();
        Self(series)
    }

    /// The sum of the series of that name that have all these labels; 0 if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|series| series.value).sum()
    }

    /// Whether there is a series of that name with all these labels.
    #[must_use]
    pub fn has(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.matching(name, labels).next().is_some()
    }

    fn matching(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Series> {
        self.0.iter().filter(move |series| {
            series.name == name
                && labels.iter().all(|(key, value)| {
                    series.labels.iter().any(|(known, is)| known == key && is == value)
                })
        })
    }
}

fn series(line: &str) -> Option<Series> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let labels = labels
        .split_terminator("\",")
        .map(|label| {
            let (key, value) = label.split_once("=\"")?;
            Some((key.to_owned(), value.trim_end_matches('"').to_owned()))
        })
        .collect::<Option<_>>()?;
    Some(Series { name: name.to_owned(), labels, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x_total Xs.\n# TYPE x_total counter\n\
        x_total{service=\"web\",class=\"2xx\"} 7\nx_total{service=\"web\",class=\"5xx\"} 2\n\
        y 1.5\ny_bucket{le=\"+Inf\"} 3\n";

    #[test]
    fn sums_by_labels() {
        let scrape = Scrape::parse(TEXT);
        let sum = |name, labels: &[_]| scrape.sum(name, labels);
        assert!((sum("x_total", &[]) - 9.0).abs() < f64::EPSILON);
        assert!((sum("x_total", &[("class", "5xx")]) - 2.0).abs() < f64::EPSILON);
        assert!((sum("y", &[]) - 1.5).abs() < f64::EPSILON);
        assert!(scrape.has("y_bucket", &[("le", "+Inf")]));
        assert!(!scrape.has("x_total", &[("class", "4xx")]));
    }

    #[test]
    #[should_panic(expected = "not a series")]
    fn refuses_what_it_does_not_understand() {
        let _ = Scrape::parse("x_total{service} 7");
    }
}
