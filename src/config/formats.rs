//! Output formats of the commands.

use clap::Args;

/// The output format of `hearken listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// Lines for people: replies, sounds, and margins and timings if asked for.
    Text,
    /// JSON Lines: one event a line.
    Jsonl,
    /// SubRip subtitles, each printed once it is complete.
    Srt,
    /// WebVTT subtitles, each printed once it is complete.
    Vtt,
}

impl OutputFormat {
    /// Reads the value of `--format`; an error names the accepted values.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "jsonl" => Ok(Self::Jsonl),
            "srt" => Ok(Self::Srt),
            "vtt" => Ok(Self::Vtt),
            _ => Err("expected text, jsonl, srt or vtt".to_owned()),
        }
    }
}

/// The format in which a command prints its report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// The destination of stdout, which decides the default format of `hearken listen`: text or JSON Lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// A terminal, read by a person.
    Terminal,
    /// A file or another program.
    Redirected,
}

/// The option `--json` of every command that prints a report.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl ReportArgs {
    /// Returns the format of the report: JSON if `--json` was given, else text.
    pub(super) const fn format(&self) -> ReportFormat {
        if self.json { ReportFormat::Json } else { ReportFormat::Text }
    }
}
