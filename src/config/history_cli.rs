//! `hearken history …`: what was typed, and what is meant by it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::request::ReportFormat;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::export::DocumentFormat;
use crate::files::Existing;

/// What is asked of the sessions of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryRequest {
    /// List them.
    List(ReportFormat),
    /// Print one.
    Show(SessionChoice, ReportFormat),
    /// Print the lines that hold this text.
    Search(String, ReportFormat),
    /// Write one to a file, or to stdout where none is named.
    Export {
        /// Which.
        session: SessionChoice,
        /// In which form.
        form: ExportForm,
        /// To which file.
        out: Option<PathBuf>,
        /// What to do when the file is there.
        existing: Existing,
    },
    /// Delete.
    Delete(Deletion),
}

/// Which session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChoice {
    /// The one that began last.
    Last,
    /// The one of this number.
    Number(i64),
}

/// The form of an exported session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportForm {
    /// For people and players.
    Document(DocumentFormat),
    /// Its events, as `listen --format jsonl` prints them.
    Events,
}

impl ExportForm {
    /// Every form.
    pub const ALL: [Self; 5] = [
        Self::Document(DocumentFormat::Text),
        Self::Document(DocumentFormat::Markdown),
        Self::Document(DocumentFormat::Srt),
        Self::Document(DocumentFormat::Vtt),
        Self::Events,
    ];

    /// The form that a file's name asks for, where it asks for one.
    #[must_use]
    pub fn of(path: &std::path::Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        Self::ALL.into_iter().find(|form| form.extension() == extension)
    }

    /// What the names of its files end in.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Document(form) => form.extension(),
            Self::Events => "jsonl",
        }
    }
}

/// What to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// These sessions.
    Sessions(Vec<SessionChoice>),
    /// What was heard so lately, of every session.
    Newest(Duration),
    /// Everything.
    Everything,
}

#[derive(Debug, Subcommand)]
pub(super) enum HistoryTask {
    /// List the sessions, newest first
    List(ListArgs),
    /// Print a session: what was said and heard, and when
    Show(ShowArgs),
    /// Find lines that hold a text, in every session
    Search(SearchArgs),
    /// Write a session to a file
    Export(ExportArgs),
    /// Delete sessions from this machine, with their recordings
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Number of the session, as `hearken history list` prints it; `last` is the newest
    #[arg(value_name = "SESSION", value_parser = session)]
    session: SessionChoice,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// The text; capitals do not matter
    #[arg(value_name = "TEXT", required = true)]
    text: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Number of the session, as `hearken history list` prints it; `last` is the newest
    #[arg(value_name = "SESSION", value_parser = session)]
    session: SessionChoice,
    /// Form of the file [default: as the name of --out ends, else txt]
    #[arg(long, value_name = "txt|md|srt|vtt|jsonl", value_parser = form)]
    format: Option<ExportForm>,
    /// Write to this file [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "out")]
    force: bool,
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false)]
pub(super) struct DeleteArgs {
    /// Numbers of sessions, as `hearken history list` prints them; `last` is the newest
    #[arg(value_name = "SESSION", value_parser = session)]
    sessions: Vec<SessionChoice>,
    /// Delete what was heard in the newest N minutes, of every session
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last_minutes: Option<u32>,
    /// Delete every session
    #[arg(long)]
    all: bool,
}

impl HistoryTask {
    pub(super) fn request(self) -> Result<HistoryRequest> {
        let format = |json| if json { ReportFormat::Json } else { ReportFormat::Text };
        Ok(match self {
            Self::List(typed) => HistoryRequest::List(format(typed.json)),
            Self::Show(typed) => HistoryRequest::Show(typed.session, format(typed.json)),
            Self::Search(typed) => {
                let text = typed.text.join(" ").trim().to_owned();
                if text.is_empty() {
                    return Err(Error::new(ErrorKind::Arguments, "there is nothing to search for: give a text")
                        .with_remedy(Remedy::CheckCommandLine));
                }
                HistoryRequest::Search(text, format(typed.json))
            }
            Self::Export(typed) => {
                let by_name = || ExportForm::of(typed.out.as_ref()?);
                let form = typed.format.or_else(by_name).unwrap_or(ExportForm::Document(DocumentFormat::Text));
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

fn session(text: &str) -> std::result::Result<SessionChoice, String> {
    match text {
        "last" => Ok(SessionChoice::Last),
        _ => match text.parse() {
            Ok(number) if number > 0 => Ok(SessionChoice::Number(number)),
            _ => Err("expected a number of `hearken history list`, or last".to_owned()),
        },
    }
}

fn form(text: &str) -> std::result::Result<ExportForm, String> {
    let known = ExportForm::ALL.into_iter().find(|form| form.extension() == text);
    known.ok_or_else(|| "expected txt, md, srt, vtt or jsonl".to_owned())
}
