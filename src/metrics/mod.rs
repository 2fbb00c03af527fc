//! `/metrics`: the broker's figures as `OpenMetrics` text.
//!
//! Only what is cheap to count is counted for this alone; the rest is looked up for
//! each scrape (`scrape`). No label holds a name that a client can choose, so the
//! number of series has a limit.

mod page;
mod process;
mod scrape;

use crate::broker::Broker;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The registry of a broker's figures.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// The figures of this broker.
    pub fn new(broker: Arc<Broker>) -> Metrics {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape::Scrape(broker)));
        registry.register_collector(Box::new(process::Process));
        Metrics(registry)
    }

    /// All figures as they are now, with `# EOF` at the end. It looks at every
    /// channel and client, so it may take a while.
    ///
    /// # Errors
    /// None are known: the text is made in memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}
