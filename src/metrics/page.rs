//! Writes families of figures, one after the other.

use crate::figures::Spread;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt::Error;

/// Microseconds in a second: the unit in which durations are counted.
const US: f64 = 1e6;

/// The name of a family, and its help text.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    /// The name without its unit, and without `_total`.
    stem: &'a str,
    help: &'a str,
    unit: Option<&'a Unit>,
}

/// A family without a unit.
pub(super) fn named<'a>(name: &'a str, help: &'a str) -> Name<'a> {
    Name { stem: name, help, unit: None }
}

impl<'a> Name<'a> {
    /// The name with this unit, which becomes its suffix.
    pub(super) fn of(self, unit: &'a Unit) -> Self {
        Name { unit: Some(unit), ..self }
    }
}

/// The text that is being written.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes a counter.
    pub(super) fn counter(&mut self, name: Name<'_>, value: u64) -> Result<(), Error> {
        self.counter_of(name, &value)
    }

    /// Writes a counter with a fraction.
    pub(super) fn counter_secs(&mut self, name: Name<'_>, value: f64) -> Result<(), Error> {
        self.counter_of(name, &value)
    }

    fn counter_of(&mut self, name: Name<'_>, value: &impl EncodeCounterValue) -> Result<(), Error> {
        let Name { stem, help, unit } = name;
        let mut metric = self.0.encode_descriptor(stem, help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(value, None)
    }

    /// Writes a family of counters that differ by one label.
    pub(super) fn counters(
        &mut self,
        name: Name<'_>,
        label: &'static str,
        values: &[(&'static str, u64)],
    ) -> Result<(), Error> {
        let Name { stem, help, unit } = name;
        let mut family = self.0.encode_descriptor(stem, help, unit, MetricType::Counter)?;
        for (word, value) in values {
            let labels = [(label, *word)];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, u64>(value, None)?;
        }
        Ok(())
    }

    /// Writes a gauge.
    pub(super) fn gauge(
        &mut self,
        name: Name<'_>,
        value: impl EncodeGaugeValue + Copy,
    ) -> Result<(), Error> {
        let Name { stem, help, unit } = name;
        let mut metric = self.0.encode_descriptor(stem, help, unit, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// Writes a family of gauges that differ by one label.
    pub(super) fn gauges(
        &mut self,
        name: Name<'_>,
        label: &'static str,
        values: &[(&'static str, u64)],
    ) -> Result<(), Error> {
        let Name { stem, help, unit } = name;
        let mut family = self.0.encode_descriptor(stem, help, unit, MetricType::Gauge)?;
        for (word, value) in values {
            let labels = [(label, *word)];
            family.encode_family(&labels)?.encode_gauge(value)?;
        }
        Ok(())
    }

    /// Writes a histogram of sizes.
    pub(super) fn spread(&mut self, name: Name<'_>, spread: &Spread) -> Result<(), Error> {
        self.histogram(name, spread, 1.0)
    }

    /// Writes a histogram of durations, in seconds.
    pub(super) fn durations(&mut self, name: Name<'_>, spread: &Spread) -> Result<(), Error> {
        self.histogram(name.of(&Unit::Seconds), spread, US)
    }

    fn histogram(&mut self, name: Name<'_>, spread: &Spread, per: f64) -> Result<(), Error> {
        let (sum, steps) = spread.get();
        let end = |end: Option<u64>| end.map_or(f64::INFINITY, |end| float(end) / per);
        let buckets: Vec<(f64, u64)> = steps.iter().map(|(to, count)| (end(*to), *count)).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let Name { stem, help, unit } = name;
        let mut metric = self.0.encode_descriptor(stem, help, unit, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(float(sum) / per, count, &buckets, None)
    }
}

/// Converts with a relative error of at most one in nine thousand million million.
#[allow(clippy::cast_precision_loss)]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
