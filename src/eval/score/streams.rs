//! What there is to say about labelled streams: the figures of each group, and what was missed, mistaken and not due.

use std::collections::BTreeMap;

use super::{by_class, figure};
use crate::eval::items::Prediction;
use crate::eval::judge::Metric;
use crate::eval::report::{Figure, Report, Table};
use crate::eval::streams::{Fit, What, fit};

/// Rows of a table that are shown, the worst.
const SHOWN: usize = 20;
/// Head of the column that names groups.
const GROUP: &str = "group";
/// What stands where a word is missing.
const NOTHING: &str = "(nothing)";

/// Adds it.
pub(super) fn add(report: &mut Report, of_metrics: &[Metric], heard: &[&Prediction]) {
    groups(report, of_metrics, heard);
    let fits: Vec<(&str, Fit<'_>)> = heard.iter().filter_map(|p| Some((group_of(p), fit(p).ok()?))).collect();
    let tables = [edits(&fits), missed(&fits), mistaken(&fits), stray(&fits)];
    let grouped = fits.iter().any(|(group, _)| !group.is_empty());
    report.tables.extend(tables.into_iter().flatten().map(|table| if grouped { table } else { without_groups(table) }));
}

fn without_groups(mut table: Table) -> Table {
    if table.columns.first().is_some_and(|first| first == GROUP) {
        std::iter::once(&mut table.columns).chain(&mut table.rows).for_each(|row| drop(row.remove(0)));
    }
    table
}

fn group_of(prediction: &Prediction) -> &str {
    prediction.class.first().map_or("", String::as_str)
}

/// The figures of each group; of all together only whether they were on time.
fn groups(report: &mut Report, of_metrics: &[Metric], heard: &[&Prediction]) {
    let mut groups: Vec<&str> = Vec::new();
    for group in heard.iter().map(|p| group_of(p)).filter(|group| !group.is_empty()) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    // Without groups the figures are of all streams.
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

/// The three kinds of word errors.
fn edits(fits: &[(&str, Fit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for (group, fit) in fits.iter().filter(|(_, fit)| fit.of == What::Words) {
        let sum = sums.entry(group).or_default();
        let of = [fit.words_said(), fit.confused.len(), fit.missing.len(), fit.added.len()];
        sum.iter_mut().zip(of).for_each(|(sum, of)| *sum += of);
    }
    let mut table = Table::new("Word errors", &[GROUP, "words", "substitutions", "deletions", "insertions"]);
    let row = |(group, sum): (&str, [usize; 4])| std::iter::once(named(group)).chain(sum.iter().map(usize::to_string)).collect();
    table.rows = sums.into_iter().map(row).collect();
    (!table.rows.is_empty()).then_some(table)
}

/// What was due, by its kind: what was missed most often first.
fn missed(fits: &[(&str, Fit<'_>)]) -> Option<Table> {
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
    worst("What was missed", &[GROUP, "what", "due", "missed"], rows.map(row).collect())
}

/// Words that were heard as others, were not heard, or were never said.
fn mistaken(fits: &[(&str, Fit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (_, fit) in fits {
        let confused = fit.confused.iter().copied();
        let missing = fit.missing.iter().map(|word| (*word, NOTHING));
        let added = fit.added.iter().map(|word| (NOTHING, *word));
        confused.chain(missing).chain(added).for_each(|pair| *sums.entry(pair).or_default() += 1);
    }
    let row = |((said, heard), times): ((&str, &str), usize)| (times, vec![said.to_owned(), heard.to_owned()]);
    worst("Words that were mistaken", &["said", "heard", "times"], sums.into_iter().map(row).collect())
}

/// Replies that were not due.
fn stray(fits: &[(&str, Fit<'_>)]) -> Option<Table> {
    let mut sums: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (group, fit) in fits {
        fit.stray.iter().for_each(|reply| *sums.entry((group, reply)).or_default() += 1);
    }
    let row = |((group, reply), times): ((&str, &str), usize)| (times, vec![named(group), reply.to_owned()]);
    worst("Replies that were not due", &[GROUP, "reply", "times"], sums.into_iter().map(row).collect())
}

/// A table of the rows that count most, with their counts in the last column; none of no rows.
fn worst(title: &str, columns: &[&str], mut rows: Vec<(usize, Vec<String>)>) -> Option<Table> {
    // Equal ones stay in the order of their names.
    rows.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let mut table = Table::new(title, columns);
    if rows.len() > SHOWN {
        table.title = format!("{title}: the first {SHOWN} of {}", rows.len());
    }
    table.rows = rows.into_iter().take(SHOWN).map(|(count, row)| row.into_iter().chain([count.to_string()]).collect()).collect();
    (!table.rows.is_empty()).then_some(table)
}

fn named(group: &str) -> String {
    if group.is_empty() { "(none)".to_owned() } else { group.to_owned() }
}
