//! Writes families of figures, one after the other.

use crate::figures::Spread;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt::Error;

/// Microseconds of a second: what durations are counted in.
const US: f64 = 1e6;

/// What a family is called, and what it is.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    /// Without its unit, and without `_total`.
    stem: &'a str,
    help: &'a str,
    unit: Option<&'a Unit>,
}

/// A family without a unit.
pub(super) fn named<'a>(name: &'a str, help: &'a str) -> Name<'a> {
    Name { stem: name, help, unit: None }
}

impl<'a> Name<'a> {
    /// With this unit, which becomes the end of its name.
    pub(super) fn of(self, unit: &'a Unit) -> Self {
        Name { unit: Some(unit), ..self }
    }
}

/// The text in the making.
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    /// A figure that only grows.
    pub(super) fn counter(&mut self, name: Name<'_>, value: u64) -> Result<(), Error> {
        self.counter_of(name, &value)
    }

    /// The same, with a fraction.
    pub(super) fn counter_secs(&mut self, name: Name<'_>, value: f64) -> Result<(), Error> {
        self.counter_of(name, &value)
    }

    fn counter_of(&mut self, name: Name<'_>, value: &impl EncodeCounterValue) -> Result<(), Error> {
        let Name { stem, help, unit } = name;
        let mut metric = self.0.encode_descriptor(stem, help, unit, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(value, None)
    }

    /// Several that only grow and differ by one word.
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

    /// A figure that grows and shrinks.
    pub(super) fn gauge(
        &mut self,
        name: Name<'_>,
        value: impl EncodeGaugeValue + Copy,
    ) -> Result<(), Error> {
        let Name { stem, help, unit } = name;
        let mut metric = self.0.encode_descriptor(stem, help, unit, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    /// Several that grow and shrink and differ by one word.
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

    /// How often a figure was how large.
    pub(super) fn spread(&mut self, name: Name<'_>, spread: &Spread) -> Result<(), Error> {
        self.histogram(name, spread, 1.0)
    }

    /// How often something took how many seconds.
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

/// As close as can be: what is lost is one in nine thousand million million.
#[allow(clippy::cast_precision_loss)]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
