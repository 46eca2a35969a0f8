//! The report of a run: the same figures and tables as text, Markdown and JSON. Not responsible for computing them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::items::SkippedRow;
use super::stats::Interval;
use crate::config::EvalTask;

/// Maximum number of skipped rows that text and Markdown of a report list; `report.json` lists all.
const LISTED: usize = 20;

/// The report of one run, or of the comparison of two: the content of `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Version of Hearken that made the run; in a comparison that of the second run.
    pub hearken: String,
    /// Task of the run; in a comparison that of the second run.
    pub task: EvalTask,
    /// Settings of the run by name, as text: model, precision, data, context and others. In a comparison those of the second run; a
    /// table shows those that differ.
    pub settings: BTreeMap<String, String>,
    /// Number of rows of the data set, usable or not; in a comparison the larger number of predictions.
    pub rows: usize,
    /// Number of usable rows that `--limit` left to be scored; in a comparison as `rows`.
    pub chosen: usize,
    /// Number of rows that were scored, with `streaming` each once; in a comparison the number of predictions in both runs.
    pub scored: usize,
    /// Rows that could not be scored; empty in a comparison.
    pub skipped: Vec<SkippedRow>,
    /// Figures, in the order of the text: metrics first. In a comparison the differences, second minus first.
    pub figures: Vec<Figure>,
    /// Tables, in the order of the text.
    pub tables: Vec<Table>,
    /// Notes for the reader: exact variants of metrics, gaps in the data, limits of a figure.
    pub notes: Vec<String>,
}

/// One number of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Key for programs: that of the metric, followed by `_` and the condition or group if there are several.
    pub key: String,
    /// Name for people, in the text and the Markdown.
    pub name: String,
    /// Value for programs, a fraction where the text says percent; absent if there is no data.
    pub value: Option<f64>,
    /// 95 % confidence interval, in the unit of `value`; absent if none is calculated.
    pub interval: Option<Interval>,
    /// Numerator, if `value` is the quotient of two sums; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<f64>,
    /// Denominator of the quotient: a count, or hours; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<f64>,
    /// Value as text with its unit, interval and counts.
    pub text: String,
}

/// A table of a report, of text cells only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Title, without mark-up.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows of cells, each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

impl Figure {
    /// Creates a figure without interval, numerator and denominator; `text` is shown to people, `value` is for programs.
    #[must_use]
    pub fn plain(key: &str, name: &str, value: f64, text: impl Into<String>) -> Self {
        let (key, name) = (key.to_owned(), name.to_owned());
        Self { key, name, value: Some(value), interval: None, counted: None, of: None, text: text.into() }
    }

    /// Creates a figure whose value is `count`, without an interval.
    #[must_use]
    pub fn count(key: &str, name: &str, count: usize) -> Self {
        Self::plain(key, name, count as f64, count.to_string())
    }
}

impl Table {
    /// Creates a table without rows.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.to_owned(), columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }
}

impl EvalReport {
    /// Returns the report as text for the terminal, without the settings and with at most 20 skipped rows.
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

    /// Returns the report as Markdown, with the settings and at most 20 skipped rows.
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

    /// Returns the task, model, precision and data set in one line, without a line end.
    pub(super) fn heading(&self) -> String {
        let of = |name: &str| self.settings.get(name).map_or("?", String::as_str);
        format!("{}: {}, {}, on {}", self.task.title(), of("model"), of("precision"), of("data"))
    }

    /// Returns the sentence that says how many rows are scored, how many `--limit` chose, and how many are left out.
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

    /// Returns a line for each of the first 20 skipped rows, with `lead` before it, and a line for the number of the others.
    fn listed(&self, lead: &str) -> String {
        let mut out: String = self.skipped.iter().take(LISTED).map(|s| format!("{lead}{}: {}\n", s.row, s.why)).collect();
        if self.skipped.len() > LISTED {
            let _ = writeln!(out, "{lead}and {} more, listed in report.json", self.skipped.len() - LISTED);
        }
        out
    }
}

/// Escapes `|` in `text` for a cell of a Markdown table and replaces line ends by spaces.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// Pads `text` with spaces at its end to `width` characters; a longer text stays as it is.
fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

/// Returns the lines of `table` for the terminal, column names first, with aligned columns.
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
