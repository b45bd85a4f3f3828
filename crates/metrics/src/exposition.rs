//! Collects samples by metric and writes them in Prometheus' text format, with the `prometheus` crate.
//!
//! The only file that knows that crate.

use prometheus::TextEncoder;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{self, MetricFamily, MetricType};

use crate::cells::Distribution;
use crate::names::{ALL, Id, Kind};

/// The samples of one scrape, by metric.
pub(crate) struct Exposition(Vec<MetricFamily>);

impl Exposition {
    /// Every declared metric, without samples.
    pub(crate) fn new() -> Self {
        Self(
            ALL.iter()
                .map(|metric| {
                    let mut family = MetricFamily::default();
                    family.set_name(metric.name.to_owned());
                    family.set_help(metric.help.to_owned());
                    family.set_field_type(match metric.kind {
                        Kind::Counter => MetricType::COUNTER,
                        Kind::Gauge => MetricType::GAUGE,
                        Kind::Histogram => MetricType::HISTOGRAM,
                    });
                    family
                })
                .collect(),
        )
    }

    /// Adds a sample of a counter.
    pub(crate) fn counter(&mut self, id: Id, labels: &[&str], value: u64) {
        let mut counter = proto::Counter::default();
        counter.set_value(value as f64);
        self.sample(id, Kind::Counter, labels).set_counter(counter);
    }

    /// Adds a sample of a gauge.
    pub(crate) fn gauge(&mut self, id: Id, labels: &[&str], value: f64) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        self.sample(id, Kind::Gauge, labels).set_gauge(gauge);
    }

    /// Adds a gauge of 1 for the `current` of some `states` and of 0 for each other.
    pub(crate) fn states(&mut self, id: Id, labels: [&str; 2], states: &[&str], current: &str) {
        for state in states {
            let value = if *state == current { 1.0 } else { 0.0 };
            self.gauge(id, &[labels[0], labels[1], state], value);
        }
    }

    /// Adds the buckets up to these `bounds`, the sum and the count of a histogram.
    pub(crate) fn histogram(
        &mut self,
        id: Id,
        labels: &[&str],
        value: &Distribution,
        bounds: &[u64],
    ) {
        let mut histogram = proto::Histogram::default();
        let buckets = value.cumulative(bounds).map(|(bound, count)| {
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(value.count());
        histogram.set_sample_sum(value.sum_seconds());
        self.sample(id, Kind::Histogram, labels).set_histogram(histogram);
    }

    /// The text, with the metrics of this process after our own. A metric without samples is left
    /// out.
    pub(crate) fn encode(mut self) -> String {
        self.0.retain(|family| !family.get_metric().is_empty());
        self.0.extend(ProcessCollector::for_self().collect());
        TextEncoder::new().encode_to_string(&self.0).expect("each has a name and samples")
    }

    fn sample(&mut self, id: Id, kind: Kind, values: &[&str]) -> &mut proto::Metric {
        let declared = &ALL[id as usize];
        debug_assert_eq!(declared.kind, kind, "{}", declared.name);
        debug_assert_eq!(declared.labels.len(), values.len(), "{}", declared.name);
        let labels = declared.labels.iter().zip(values).map(|(name, value)| {
            let mut label = proto::LabelPair::default();
            label.set_name((*name).to_owned());
            label.set_value((*value).to_owned());
            label
        });
        let samples = self.0[id as usize].mut_metric();
        samples.push(proto::Metric::from_label(labels.collect()));
        samples.last_mut().expect("it was just pushed")
    }
}
