//! What was measured: figures with names, for programs and for people.

use super::book::Faults;
use super::process::Usage;
use super::units::{each, figure, float, grouped};
use hdrhistogram::Histogram;
use serde_json::{Map, Number, Value};
use std::fmt::Write;

/// The share of the time that a process must have run, or waited for a core, to count
/// as what kept things from going faster.
const SATURATED: f64 = 0.93;

/// What one measurement found. Keys end with their unit: `_ns`, `_us`, `_s`,
/// `_bytes`, `_per_s`.
#[derive(Clone, Debug)]
pub struct Report {
    figures: Map<String, Value>,
    /// For people: the line of what was done, then one for each finding.
    lines: Vec<String>,
    /// Whether everything was as it must be.
    is_clean: bool,
    /// Whether the generator spins while it waits for what comes.
    spins: bool,
}

impl Report {
    /// Of this workload; `what` says for people what is done.
    pub fn new(workload: &str, what: &str) -> Self {
        let mut figures = Map::new();
        figures.insert("workload".into(), workload.into());
        Report { figures, lines: vec![format!("{workload}: {what}")], is_clean: true, spins: false }
    }

    /// Says whether the generator spins, and so takes a core whatever it has to do.
    pub fn generator_spins(&mut self, spins: bool) -> &mut Self {
        self.spins = spins;
        self
    }

    /// A figure; one that is no number (nothing was measured) is left out.
    pub fn put(&mut self, key: &str, figure: f64) -> &mut Self {
        if let Some(number) = Number::from_f64(rounded(figure)) {
            self.figures.insert(key.into(), number.into());
        }
        self
    }

    /// A number of things.
    pub fn count(&mut self, key: &str, number: u64) -> &mut Self {
        self.figures.insert(key.into(), number.into());
        self
    }

    /// Yes or no.
    pub fn flag(&mut self, key: &str, is_so: bool) -> &mut Self {
        self.figures.insert(key.into(), is_so.into());
        self
    }

    /// A text.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.figures.insert(key.into(), text.into());
        self
    }

    /// A line for people.
    pub fn say(&mut self, line: String) -> &mut Self {
        self.lines.push(line);
        self
    }

    /// CPU time, for `units` units of work of this kind (`message`).
    pub fn usage(&mut self, used: Usage, units: u64, unit: &str) -> &mut Self {
        let share = |time: u64| float(time) / float(used.at.max(1));
        if let Some(broker) = used.broker {
            self.put("broker_cores", share(broker));
            self.put("broker_waited_cores", share(used.broker_waited));
            if let Some(each) = each(broker, units) {
                self.put(&format!("broker_ns_per_{unit}"), each);
            }
        }
        self.put("generator_cores", share(used.own));
        self.put("generator_waited_cores", share(used.own_waited));
        if let Some(each) = each(used.own, units) {
            self.put(&format!("generator_ns_per_{unit}"), each);
        }
        self.put("seconds", float(used.at) / 1e9);
        self.text("limited_by", limited_by(used, self.spins))
    }

    /// Says for people what CPU time was used.
    pub fn say_usage(&mut self, used: Usage, units: u64, unit: &str) -> &mut Self {
        let share = |time: u64| figure(float(time) / float(used.at.max(1)));
        let Some(broker) = used.broker else {
            return self.say(
                "broker: its process is not known (another machine, or another user's), \
                 so its CPU time is left out; --pid names it"
                    .to_string(),
            );
        };
        let (Some(broker_each), Some(own_each)) = (each(broker, units), each(used.own, units))
        else {
            return self;
        };
        let limit = match limited_by(used, self.spins) {
            "generator" => {
                ". The generator could not go faster: the rate says nothing about the broker"
            }
            "both" => ". Neither broker nor generator could go faster",
            _ => "",
        };
        self.say(format!(
            "broker: {} ns of CPU for each {unit} ({} cores); generator: {} ns ({} cores){limit}",
            figure(broker_each),
            share(broker),
            figure(own_each),
            share(used.own)
        ))
    }

    /// Latencies, under keys that begin with `prefix`.
    pub fn latency(&mut self, prefix: &str, latency: &Histogram<u64>) -> &mut Self {
        if latency.is_empty() {
            return self;
        }
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
            self.put(&format!("{prefix}{name}_us"), micros(latency, quantile));
        }
        self.put(&format!("{prefix}max_us"), float(latency.max()) / 1e3)
    }

    /// Whether all came, in order and once.
    pub fn faults(&mut self, faults: Faults, delivered: u64, complaint: Option<&str>) -> &mut Self {
        self.count("delivered", delivered)
            .count("lost", faults.lost)
            .count("out_of_order", faults.out_of_order)
            .count("misrouted", faults.misrouted)
            .count("damaged", faults.damaged);
        if let Some(complaint) = complaint {
            self.text("complaint", complaint).say(format!("complaint: {complaint}"));
        }
        self.verdict(faults.is_clean() && complaint.is_none(), &if faults.is_clean() {
            format!("all {} messages arrived, each once, in order", grouped(delivered))
        } else {
            format!(
                "of {} messages {} lost, {} out of order or twice, {} at the wrong member, {} damaged",
                grouped(delivered + faults.lost),
                faults.lost,
                faults.out_of_order,
                faults.misrouted,
                faults.damaged
            )
        })
    }

    /// Whether everything was as it must be, and what to say of it.
    pub fn verdict(&mut self, is_clean: bool, what: &str) -> &mut Self {
        self.is_clean &= is_clean;
        self.flag("clean", self.is_clean);
        self.say(format!("{}: {what}", if is_clean { "verified" } else { "WRONG" }))
    }

    /// Whether everything was as it must be.
    pub fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// Returns the first line about what is not as it must be.
    pub fn wrong(&self) -> Option<&str> {
        self.lines.iter().find(|line| line.starts_with("WRONG")).map(String::as_str)
    }

    /// A figure, if it was measured.
    pub fn get(&self, key: &str) -> Option<f64> {
        match self.figures.get(key)? {
            Value::Bool(is_so) => Some(f64::from(u8::from(*is_so))),
            other => other.as_f64(),
        }
    }

    /// For programs.
    pub fn figures(&self) -> Value {
        Value::Object(self.figures.clone())
    }

    /// For people: some lines.
    pub fn text_for_people(&self) -> String {
        let mut text = String::new();
        for (index, line) in self.lines.iter().enumerate() {
            let indent = if index == 0 { "" } else { "  " };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{indent}{line}");
        }
        text
    }
}

/// A latency in microseconds.
pub fn micros(latency: &Histogram<u64>, quantile: f64) -> f64 {
    float(latency.value_at_quantile(quantile)) / 1e3
}

/// Rounds to six digits: more than anything here is good for.
fn rounded(figure: f64) -> f64 {
    if figure == 0.0 || !figure.is_finite() {
        return figure;
    }
    let scale = 10_f64.powf(5.0 - figure.abs().log10().floor());
    (figure * scale).round() / scale
}

/// Returns who ran, or waited for a core, practically all the time. A generator that
/// spins always does, so it does not count.
fn limited_by(used: Usage, spins: bool) -> &'static str {
    let is_saturated = |time: u64| float(time) / float(used.at.max(1)) > SATURATED;
    let broker = is_saturated(used.broker.unwrap_or(0) + used.broker_waited);
    let generator = !spins && is_saturated(used.own + used.own_waited);
    match (broker, generator) {
        (true, true) => "both",
        (true, false) => "broker",
        (false, true) => "generator",
        (false, false) => "neither",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_every_figure_and_people_a_verdict() {
        let mut report = Report::new("publish", "1 to 1");
        let used = Usage {
            at: 1_000_000_000,
            broker: Some(500_000_000),
            own: 950_000_000,
            ..Usage::default()
        };
        report.usage(used, 1_000_000, "message").say_usage(used, 1_000_000, "message");
        report.put("nothing", f64::NAN);
        report.faults(Faults::default(), 1_000_000, None);
        let json: Value = report.figures();
        assert_eq!(json["broker_ns_per_message"], 500.0);
        assert_eq!(json["limited_by"], "generator");
        assert_eq!(json["clean"], true);
        assert_eq!(json["seconds"], 1.0);
        assert!(json.get("nothing").is_none());
        assert_eq!(report.get("lost"), Some(0.0));
        let text = report.text_for_people();
        assert!(
            text.starts_with("publish: 1 to 1\n  broker: 500 ns of CPU for each message"),
            "{text}"
        );
        assert!(
            text.ends_with("  verified: all 1,000,000 messages arrived, each once, in order\n")
        );
    }

    #[test]
    fn nothing_follows_from_a_generator_that_spins_and_nothing_from_nothing() {
        let used = Usage {
            at: 1_000_000_000,
            broker: Some(100_000_000),
            own: 990_000_000,
            ..Usage::default()
        };
        let mut report = Report::new("latency", "");
        report.generator_spins(true).usage(used, 100, "message").say_usage(used, 100, "message");
        assert_eq!(report.figures()["limited_by"], "neither");
        assert!(!report.text_for_people().contains("could not go faster"));
        let mut report = Report::new("publish", "");
        report.say_usage(used, 0, "message");
        assert_eq!(report.text_for_people(), "publish: \n");
    }

    #[test]
    fn one_fault_is_enough() {
        let mut report = Report::new("publish", "1 to 1");
        report.faults(Faults { lost: 1, ..Faults::default() }, 9, None);
        report.verdict(true, "the rest is well");
        assert!(!report.is_clean());
        assert_eq!(report.get("clean"), Some(0.0));
        assert!(report.text_for_people().contains("WRONG: of 10 messages 1 lost, 0 out of order"));
    }

    #[test]
    fn figures_have_six_digits() {
        let shown = |figure: f64| rounded(figure).to_string();
        let figures = [123.456_789, 0.000_123_456_789, 7_654_321.0, 0.0].map(shown);
        assert_eq!(figures, ["123.457", "0.000123457", "7654320", "0"]);
    }
}
