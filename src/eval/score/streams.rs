//! The report on labelled streams: the figures of each group, and the missed, confused and stray outputs.

use std::collections::BTreeMap;

use super::{by_class, figure};
use crate::eval::items::Prediction;
use crate::eval::metrics::Metric;
use crate::eval::report::{EvalReport, Figure, Table};
use crate::eval::streams::{StreamFit, StreamKind, fit};

/// Maximum number of rows of a table of the most frequent outputs.
const SHOWN: usize = 20;
/// Name of the column with a stream's group.
const GROUP: &str = "group";
/// Text of a table cell in place of a word that is missing on one side.
const NOTHING: &str = "(nothing)";

/// Adds figures and tables by group, and tables of missed, confused and stray outputs, to `report`, which has the overall figures.
pub(super) fn add(report: &mut EvalReport, of_metrics: &[Metric], heard: &[&Prediction]) {
    groups(report, of_metrics, heard);
    let fits: Vec<(&str, StreamFit<'_>)> = heard.iter().filter_map(|p| Some((group_of(p), fit(p).ok()?))).collect();
    let tables = [edits(&fits), missed(&fits), word_confusions(&fits), stray(&fits)];
    let grouped = fits.iter().any(|(group, _)| !group.is_empty());
    report.tables.extend(tables.into_iter().flatten().map(|table| if grouped { table } else { without_groups(table) }));
}

/// Removes the first column of `table` if that is the column of groups.
fn without_groups(mut table: Table) -> Table {
    if table.columns.first().is_some_and(|first| first == GROUP) {
        std::iter::once(&mut table.columns).chain(&mut table.rows).for_each(|row| drop(row.remove(0)));
    }
    table
}

/// Returns the group of a stream: its class; empty without one.
fn group_of(prediction: &Prediction) -> &str {
    prediction.class.first().map_or("", String::as_str)
}

/// Replaces the report's figures by those of each group and adds a table of them; of the overall figures only `on_time` stays.
/// Does nothing if no stream has a group.
fn groups(report: &mut EvalReport, of_metrics: &[Metric], heard: &[&Prediction]) {
    let mut groups: Vec<&str> = Vec::new();
    for group in heard.iter().map(|p| group_of(p)).filter(|group| !group.is_empty()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    // Without groups the figures of all streams stay.
    if groups.is_empty() {
        return;
    }
    report.figures.retain(|figure| figure.key == "on_time");
    for group in &groups {
        let of: Vec<&Prediction> = heard.iter().copied().filter(|p| group_of(p) == *group).collect();
        let key: String = group.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        let named = |figure: Figure| Figure { name: format!("{group}: {}", figure.name), ..figure };
        report.figures.extend(of_metrics.iter().filter_map(|metric| figure(metric, &key, &of)).map(named));
    }
    report.tables.extend(by_class(of_metrics, heard, 1).map(|table| Table { title: "By group".to_owned(), ..table }));
}

/// Returns a table of the word errors of each group, by kind; `None` if no stream is one of words.
fn edits(fits: &[(&str, StreamFit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (group, fit) in fits.iter().filter(|(_, fit)| fit.kind == StreamKind::Words) {
        let sum = sums.entry(group).or_default();
        let of = [fit.words_due(), fit.substituted.len(), fit.deleted.len(), fit.inserted.len()];
        sum.iter_mut().zip(of).for_each(|(sum, of)| *sum += of);
    }
    let mut table = Table::new("Word errors", &[GROUP, "words", "substitutions", "deletions", "insertions"]);
    let row = |(group, sum): (&str, [usize; 4])| std::iter::once(named(group)).chain(sum.iter().map(usize::to_string)).collect();
    table.rows = sums.into_iter().map(row).collect();
    (!table.rows.is_empty()).then_some(table)
}

/// Returns a table of the kinds of due outputs that were missed at least once in a group, with the numbers due and missed, the
/// most missed first; `None` if there are none.
fn missed(fits: &[(&str, StreamFit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<(&str, &str), [usize; 2]> = BTreeMap::new();
    for (group, fit) in fits {
        let all = fit.came.iter().map(|kind| (kind, 0)).chain(fit.missed.iter().map(|kind| (kind, 1)));
        for (kind, missed) in all {
            let sum = sums.entry((group, kind)).or_default();
            (sum[0], sum[1]) = (sum[0] + 1, sum[1] + missed);
        }
    }
    let rows = sums.into_iter().filter(|(_, sum)| sum[1] > 0);
    let row = |((group, kind), [due, missed]): ((&str, &str), [usize; 2])| (missed, vec![named(group), kind.to_owned(), due.to_string()]);
    most_frequent("What was missed", &[GROUP, "what", "due", "missed"], rows.map(row).collect())
}

/// Returns a table of substituted, deleted and inserted words over all groups, the most frequent first; `None` if there are none.
fn word_confusions(fits: &[(&str, StreamFit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (_, fit) in fits {
        let confused = fit.substituted.iter().copied();
        let missing = fit.deleted.iter().map(|word| (*word, NOTHING));
        let added = fit.inserted.iter().map(|word| (NOTHING, *word));
        confused.chain(missing).chain(added).for_each(|pair| *sums.entry(pair).or_default() += 1);
    }
    let row = |((said, heard), times): ((&str, &str), usize)| (times, vec![said.to_owned(), heard.to_owned()]);
    most_frequent("Words that were mistaken", &["said", "heard", "times"], sums.into_iter().map(row).collect())
}

/// Returns a table of the texts of replies that were not due, by group, the most frequent first; `None` if there are none.
fn stray(fits: &[(&str, StreamFit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (group, fit) in fits {
        fit.stray.iter().for_each(|reply| *sums.entry((group, reply)).or_default() += 1);
    }
    let row = |((group, reply), times): ((&str, &str), usize)| (times, vec![named(group), reply.to_owned()]);
    most_frequent("Replies that were not due", &[GROUP, "reply", "times"], sums.into_iter().map(row).collect())
}

/// Returns a table of the 20 `rows` with the largest counts (the first of each pair), which form the last column; `None` without rows.
fn most_frequent(title: &str, columns: &[&str], mut rows: Vec<(usize, Vec<String>)>) -> Option<Table> {
    // A stable sort: rows of equal count stay in the order of their names.
    rows.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut table = Table::new(title, columns);
    if rows.len() > SHOWN {
        table.title = format!("{title}: the first {SHOWN} of {}", rows.len());
    }
    table.rows = rows.into_iter().take(SHOWN).map(|(count, row)| row.into_iter().chain([count.to_string()]).collect()).collect();
    (!table.rows.is_empty()).then_some(table)
}

/// Returns the group's name for a table, `(none)` for the empty one.
fn named(group: &str) -> String {
    if group.is_empty() { "(none)".to_owned() } else { group.to_owned() }
}
