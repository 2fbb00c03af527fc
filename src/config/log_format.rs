//! The forms in which events are logged.

/// The form of a line in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: time, level, and the fields as `key=value`.
    #[default]
    Text,
    /// All of it as `key=value`.
    Logfmt,
    /// A JSON object.
    Json,
}

impl LogFormat {
    /// Every form.
    pub const ALL: [LogFormat; 3] = [LogFormat::Text, LogFormat::Logfmt, LogFormat::Json];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Logfmt => "logfmt",
            LogFormat::Json => "json",
        }
    }

    /// The form of this name.
    pub fn parse(name: &str) -> Option<LogFormat> {
        LogFormat::ALL.into_iter().find(|format| format.as_str() == name)
    }
}
