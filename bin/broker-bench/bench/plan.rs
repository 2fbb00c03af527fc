//! Who publishes where, and who listens.

use super::error::{Error, Result};
use super::protocol::Protocol;
use super::stamp::{STAMP_BYTES, STREAMS_MAX};

/// Who publishes where, and who listens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Connections that publish.
    pub publishers: usize,
    /// Channels.
    pub channels: usize,
    /// Members of each channel.
    pub members: usize,
    /// So many connections share all memberships, one for each channel; `None`:
    /// each member is a connection of its own.
    pub shared: Option<usize>,
    /// What each message carries, in bytes.
    pub bytes: usize,
    /// The beginning of the channels' names.
    pub prefix: String,
}

impl Default for Plan {
    fn default() -> Self {
        let prefix = "bench".to_string();
        Plan { publishers: 1, channels: 1, members: 1, shared: None, bytes: 128, prefix }
    }
}

impl Plan {
    /// Whether it can be carried out over a protocol.
    ///
    /// # Errors
    /// Whatever prevents it.
    pub fn check<P: Protocol>(&self) -> Result<()> {
        let streams = self.publishers.max(self.channels);
        let complaint = if self.bytes < STAMP_BYTES {
            format!("a message carries at least {STAMP_BYTES} bytes")
        } else if self.publishers == 0 || self.channels == 0 || self.members == 0 {
            "at least one publisher, channel and member".to_string()
        } else if streams > STREAMS_MAX {
            format!("at most {STREAMS_MAX} channels, or publishers")
        } else if !P::IS_BROKER && (self.shared.is_some() || self.publishers != self.channels) {
            "it has one publisher for each channel".to_string()
        } else {
            return Ok(());
        };
        Err(Error::Usage(complaint))
    }

    /// The channels' names.
    pub fn names(&self) -> Vec<String> {
        (0..self.channels).map(|channel| format!("{}{channel:06}", self.prefix)).collect()
    }

    /// Connections that listen; they have the first numbers.
    pub fn listeners(&self) -> usize {
        self.shared.unwrap_or(self.channels * self.members)
    }

    /// Which channels a listener is in.
    pub fn channels_of(&self, listener: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, step) = match self.shared {
            None => (listener / self.members, self.channels),
            Some(connections) => (listener, connections),
        };
        (first..self.channels).step_by(step.max(1))
    }

    /// Publisher and channel of each stream. More publishers than channels
    /// share them, otherwise each publisher has several.
    pub fn streams(&self) -> Vec<(usize, usize)> {
        let streams = self.publishers.max(self.channels);
        (0..streams).map(|stream| (stream % self.publishers, stream % self.channels)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::protocol::{raw::Raw, text::Text};

    #[test]
    fn everybody_has_something_to_do() {
        let plan = Plan { publishers: 3, channels: 2, members: 2, ..Plan::default() };
        assert_eq!(plan.streams(), [(0, 0), (1, 1), (2, 0)]);
        let channels: Vec<Vec<usize>> = (0..4).map(|id| plan.channels_of(id).collect()).collect();
        assert_eq!(channels, [[0], [0], [1], [1]]);
        let plan = Plan { channels: 3, shared: Some(2), ..Plan::default() };
        assert_eq!(plan.streams(), [(0, 0), (0, 1), (0, 2)]);
        let channels: Vec<Vec<usize>> = (0..2).map(|id| plan.channels_of(id).collect()).collect();
        assert_eq!(channels, [vec![0, 2], vec![1]]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(Plan::default().check::<Raw>().is_ok());
        let plan = Plan { publishers: 2, ..Plan::default() };
        assert!(plan.check::<Text>().is_ok() && plan.check::<Raw>().is_err());
        assert!(Plan { bytes: 15, ..Plan::default() }.check::<Text>().is_err());
        assert!(Plan { members: 0, ..Plan::default() }.check::<Text>().is_err());
        let channels = STREAMS_MAX + 1;
        assert!(Plan { channels, ..Plan::default() }.check::<Text>().is_err());
    }
}
