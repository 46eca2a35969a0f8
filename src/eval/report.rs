//! The report of a run: the same figures and tables as text, Markdown and JSON. Not responsible for computing them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::items::SkippedRow;
use super::stats::Interval;
use crate::config::EvalTask;

/// Skipped rows that the text lists; the JSON lists all.
const LISTED: usize = 20;

/// The report of a run or of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Version of Hearken.
    pub hearken: String,
    /// Task.
    pub task: EvalTask,
    /// Every setting that can change a figure: model, precision, context and others.
    pub settings: BTreeMap<String, String>,
    /// Number of rows of the data set.
    pub rows: usize,
    /// Number of rows to be scored, after `--limit`.
    pub chosen: usize,
    /// Number of scored rows, the denominator of the figures.
    pub scored: usize,
    /// Rows that were not scored.
    pub skipped: Vec<SkippedRow>,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Notes on how to read the figures.
    pub notes: Vec<String>,
}

/// A figure of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Key for programs.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Value; absent if there is no data for it.
    pub value: Option<f64>,
    /// 95 % confidence interval.
    pub interval: Option<Interval>,
    /// Numerator, if the value is a quotient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<f64>,
    /// Denominator: a count, or hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<f64>,
    /// Value as text.
    pub text: String,
}

/// A table of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Title.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
}

impl Figure {
    /// Creates a figure without an interval.
    #[must_use]
    pub fn plain(key: &str, name: &str, value: f64, text: impl Into<String>) -> Self {
        let (key, name) = (key.to_owned(), name.to_owned());
        Self { key, name, value: Some(value), interval: None, counted: None, of: None, text: text.into() }
    }

    /// Creates a figure from a count.
    #[must_use]
    pub fn count(key: &str, name: &str, count: usize) -> Self {
        Self::plain(key, name, count as f64, count.to_string())
    }
}

impl Table {
    /// Creates an empty table.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.to_owned(), columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }
}

impl EvalReport {
    /// Writes the report as text for the terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{}\n{}\n\n", self.heading(), self.denominator());
        let widest = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        for figure in &self.figures {
            let _ = writeln!(out, "{}  {}", padded(&figure.name, widest), figure.text);
        }
        for table in &self.tables {
            let _ = write!(out, "\n{}\n{}", table.title, columns(table));
        }
        for note in &self.notes {
            let _ = write!(out, "\n{note}\n");
        }
        if !self.skipped.is_empty() {
            let _ = write!(out, "\nNot scored:\n{}", self.listed("  "));
        }
        out
    }

    /// Writes the report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n\n| figure | |\n|---|---|\n", self.heading(), self.denominator());
        for figure in &self.figures {
            let _ = writeln!(out, "| {} | {} |", cell(&figure.name), cell(&figure.text));
        }
        for table in &self.tables {
            let line = |cells: &[String]| format!("| {} |\n", cells.iter().map(|c| cell(c)).collect::<Vec<_>>().join(" | "));
            let _ = write!(out, "\n## {}\n\n{}|{}\n", table.title, line(&table.columns), "---|".repeat(table.columns.len()));
            out.extend(table.rows.iter().map(|row| line(row)));
        }
        for note in &self.notes {
            let _ = write!(out, "\n{note}\n");
        }
        if !self.skipped.is_empty() {
            let _ = write!(out, "\n## Not scored\n\n{}", self.listed("* "));
        }
        out.push_str("\n## Settings\n\n");
        for (name, value) in &self.settings {
            let _ = writeln!(out, "* {name}: {}", cell(value));
        }
        out
    }

    /// Returns the task, model, precision and data set in one line.
    pub(super) fn heading(&self) -> String {
        let of = |name: &str| self.settings.get(name).map_or("?", String::as_str);
        format!("{}: {}, {}, on {}", self.task.title(), of("model"), of("precision"), of("data"))
    }

    /// Returns the number of scored rows in words.
    fn denominator(&self) -> String {
        let mut text = format!("{} of {} rows scored", self.scored, self.rows);
        if self.chosen < self.rows - self.skipped.len().min(self.rows) {
            let _ = write!(text, " (--limit chose {})", self.chosen);
        }
        match self.skipped.len() {
            0 => text.push_str("; none left out."),
            n => {
                let _ = write!(text, "; {n} could not be, and no figure counts them unless it says so.");
            }
        }
        text
    }

    /// Lists the skipped rows, each after `lead`.
    fn listed(&self, lead: &str) -> String {
        let mut out: String = self.skipped.iter().take(LISTED).map(|s| format!("{lead}{}: {}\n", s.row, s.why)).collect();
        if self.skipped.len() > LISTED {
            let _ = writeln!(out, "{lead}and {} more, listed in report.json", self.skipped.len() - LISTED);
        }
        out
    }
}

/// Escapes `text` for a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// Pads `text` with spaces to `width` characters.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// Writes `table` with aligned columns.
fn columns(table: &Table) -> String {
    let width = |at: usize| {
        let cells = table.rows.iter().chain([&table.columns]).filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    [&table.columns].into_iter().chain(&table.rows).map(line).collect()
}
