//! What a run came to: the same figures and tables as text, Markdown and JSON.
//!
//! Not responsible for computing any of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::items::Skipped;
use super::stats::Interval;
use crate::config::EvalTask;

/// Rows that were not scored are named, up to so many on the terminal; the JSON names all.
const NAMED: usize = 20;

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version that made it.
    pub hearken: String,
    /// What was done.
    pub task: EvalTask,
    /// With which model, in which numbers, how: everything that could change a figure.
    pub settings: BTreeMap<String, String>,
    /// Rows of the data set.
    pub rows: usize,
    /// Rows that were to be scored, after `--limit`.
    pub chosen: usize,
    /// Rows that the figures are of: the denominator.
    pub scored: usize,
    /// Rows that are not in it.
    pub skipped: Vec<Skipped>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// What else there is to say in columns.
    pub tables: Vec<Table>,
    /// What has to be known to read the figures.
    pub notes: Vec<String>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name for programs.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// The figure; absent when there is nothing to compute it from.
    pub value: Option<f64>,
    /// Where it lies in 95 of 100 cases.
    pub interval: Option<Interval>,
    /// Where it is a quotient, what was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<f64>,
    /// And of how many, or in how many hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<f64>,
    /// As a person reads it.
    pub text: String,
}

/// Figures in columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What it is about.
    pub title: String,
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

impl Figure {
    /// A figure without an interval.
    #[must_use]
    pub fn plain(key: &str, name: &str, value: f64, text: impl Into<String>) -> Self {
        let (key, name) = (key.to_owned(), name.to_owned());
        Self { key, name, value: Some(value), interval: None, counted: None, of: None, text: text.into() }
    }

    /// A count.
    #[must_use]
    pub fn count(key: &str, name: &str, count: usize) -> Self {
        Self::plain(key, name, count as f64, count.to_string())
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.to_owned(), columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows: Vec::new() }
    }
}

impl Report {
    /// For the terminal.
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
            let _ = write!(out, "\nNot scored:\n{}", self.named("  "));
        }
        out
    }

    /// For a page.
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
            let _ = write!(out, "\n## Not scored\n\n{}", self.named("* "));
        }
        out.push_str("\n## Settings\n\n");
        for (name, value) in &self.settings {
            let _ = writeln!(out, "* {name}: {}", cell(value));
        }
        out
    }

    /// What was scored, with what, on what.
    pub(super) fn heading(&self) -> String {
        let of = |name: &str| self.settings.get(name).map_or("?", String::as_str);
        format!("{}: {}, {}, on {}", self.task.title(), of("model"), of("precision"), of("data"))
    }

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

    fn named(&self, lead: &str) -> String {
        let mut out: String = self.skipped.iter().take(NAMED).map(|s| format!("{lead}{}: {}\n", s.row, s.why)).collect();
        if self.skipped.len() > NAMED {
            let _ = writeln!(out, "{lead}and {} more: report.json names them", self.skipped.len() - NAMED);
        }
        out
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.chars().count())))
}

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
