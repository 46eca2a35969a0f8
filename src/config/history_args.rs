//! The arguments of `hearken history` and the requests that they mean; `history` carries them out.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::formats::{ReportArgs, ReportFormat};
use super::values::arguments_error;
use crate::error::Result;
use crate::export::DocumentFormat;
use crate::files::Existing;

/// A request of `hearken history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryRequest {
    /// List the past sessions, newest first.
    List(ReportFormat),
    /// Print a session with the times of its lines.
    Show(SessionChoice, ReportFormat),
    /// Print the lines of all sessions that contain this text.
    Search(String, ReportFormat),
    /// Write a session to a file or to stdout.
    Export {
        /// Session to export.
        session: SessionChoice,
        /// Format of the export.
        form: ExportForm,
        /// File to write; None: stdout.
        out: Option<PathBuf>,
        /// Treatment of a file that exists already.
        existing: Existing,
    },
    /// Delete sessions, the newest time span, or everything.
    Delete(Deletion),
}

/// The choice of a past session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChoice {
    /// The session that started last.
    Last,
    /// The session with this number, as `hearken history list` prints it.
    Number(i64),
}

/// The format of an exported session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportForm {
    /// A document for people (text, Markdown) or media players (subtitles).
    Document(DocumentFormat),
    /// The events of the session, as `listen --format jsonl` prints them.
    Events,
}

impl ExportForm {
    /// Every format, in the order of the help text.
    pub const ALL: [Self; 5] = [
        Self::Document(DocumentFormat::Text),
        Self::Document(DocumentFormat::Markdown),
        Self::Document(DocumentFormat::Srt),
        Self::Document(DocumentFormat::Vtt),
        Self::Events,
    ];

    /// Returns the format that belongs to the extension of `path`, in any case; None for an unknown or no extension.
    #[must_use]
    pub fn of(path: &std::path::Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        Self::ALL.into_iter().find(|form| form.extension() == extension)
    }

    /// Returns the extension of files of this format, without the dot; also its name on the command line.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Document(form) => form.extension(),
            Self::Events => "jsonl",
        }
    }
}

/// The part of the history that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// These sessions, with their recordings.
    Sessions(Vec<SessionChoice>),
    /// Everything that was heard in the last time span of this length, until now.
    Newest(Duration),
    /// Every session and every recording.
    Everything,
}

/// The names of the formats, for messages.
const FORMS: &str = "txt, md, srt, vtt or jsonl";

#[derive(Debug, Subcommand)]
pub(super) enum HistoryCommand {
    /// List the sessions, newest first
    List(ReportArgs),
    /// Print a session with times
    Show(ShowArgs),
    /// Search every session for a text
    Search(SearchArgs),
    /// Write a session as text, Markdown, subtitles or events
    Export(ExportArgs),
    /// Delete sessions and their recordings from this machine
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Session number, as `hearken history list` prints it; `last` is the newest
    #[arg(value_name = "SESSION", value_parser = session)]
    session: SessionChoice,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// Words to search for, in any order; case and accents are ignored
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
    #[command(flatten)]
    report: ReportArgs,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Session number, as `hearken history list` prints it; `last` is the newest
    #[arg(value_name = "SESSION", value_parser = session)]
    session: SessionChoice,
    /// Output format [default: the extension of --out, or txt without one]
    #[arg(long, value_name = "txt|md|srt|vtt|jsonl", value_parser = form)]
    format: Option<ExportForm>,
    /// Write to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file of --out if it exists
    #[arg(long, requires = "out")]
    force: bool,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false)]
pub(super) struct DeleteArgs {
    /// Session numbers, as `hearken history list` prints them; `last` is the newest
    #[arg(value_name = "SESSION", value_parser = session)]
    sessions: Vec<SessionChoice>,
    /// Delete what was heard in the last N minutes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last_minutes: Option<u32>,
    /// Delete every session and recording
    #[arg(long)]
    all: bool,
}

impl HistoryCommand {
    /// Converts the arguments to a request.
    ///
    /// # Errors
    /// `Arguments` when the text to search for is empty, or when the extension of `--out` names no format.
    pub(super) fn request(self) -> Result<HistoryRequest> {
        Ok(match self {
            Self::List(typed) => HistoryRequest::List(typed.format()),
            Self::Show(typed) => HistoryRequest::Show(typed.session, typed.report.format()),
            Self::Search(typed) => {
                let text = typed.text.join(" ").trim().to_owned();
                if text.is_empty() {
                    return Err(arguments_error("there is nothing to search for: give a text"));
                }
                HistoryRequest::Search(text, typed.report.format())
            }
            Self::Export(typed) => {
                let form = match (typed.format, &typed.out) {
                    (Some(form), _) => form,
                    (None, Some(out)) if out.extension().is_some() => ExportForm::of(out).ok_or_else(|| {
                        arguments_error(format!("{}: no format has this extension; choose one with --format: {FORMS}", out.display()))
                    })?,
                    (None, _) => ExportForm::Document(DocumentFormat::Text),
                };
                let existing = if typed.force { Existing::Replaced } else { Existing::Kept };
                HistoryRequest::Export { session: typed.session, form, out: typed.out, existing }
            }
            Self::Delete(typed) => HistoryRequest::Delete(match typed.last_minutes {
                Some(minutes) => Deletion::Newest(Duration::from_secs(60 * u64::from(minutes))),
                None if typed.all => Deletion::Everything,
                None => Deletion::Sessions(typed.sessions),
            }),
        })
    }
}

fn session(text: &str) -> Result<SessionChoice, String> {
    match text {
        "last" => Ok(SessionChoice::Last),
        _ => match text.parse() {
            Ok(number) if number > 0 => Ok(SessionChoice::Number(number)),
            _ => Err("expected a session number of `hearken history list`, or last".to_owned()),
        },
    }
}

fn form(text: &str) -> Result<ExportForm, String> {
    let known = ExportForm::ALL.into_iter().find(|form| form.extension() == text);
    known.ok_or_else(|| format!("expected {FORMS}"))
}
