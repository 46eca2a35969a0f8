//! Which items are heard together in one session. Pure, and the same on every run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::hear::Sitting;
use super::items::{Expected, Item};
use crate::config::{ContextChoice, EvalTask, ProactiveStyle};

/// Clips of one class that a session hears in the benchmark's *Multi*.
const MULTI: usize = 3;
/// The condition of recordings without anything to respond to.
pub const BACKGROUND: &str = "background";

/// The sittings of `task`, under each of `contexts` where several items share a session, else under the first.
#[must_use]
pub fn arrange(task: &EvalTask, items: Vec<Item>, contexts: &[ContextChoice]) -> Vec<Sitting> {
    let usual = contexts.first().copied().unwrap_or_default();
    match task {
        EvalTask::Streaming { counts, .. } => {
            let of = |context: &ContextChoice, count: usize| {
                in_groups(&EvalTask::condition(count, context.policy.name()), *context, items.clone(), count)
            };
            contexts.iter().flat_map(|context| counts.iter().flat_map(move |count| of(context, *count))).collect()
        }
        EvalTask::Proactive { style: ProactiveStyle::Multi } => of_one_class(items, usual),
        _ => in_groups("", usual, items, 1),
    }
}

/// Long recordings, each heard in a session of its own.
#[must_use]
pub fn background(files: Vec<PathBuf>, context: ContextChoice) -> Vec<Sitting> {
    let sitting = |audio: PathBuf| {
        let id = audio.display().to_string();
        let item = Item { id, audio, expected: Expected::Ignore, ..Item::default() };
        Sitting { condition: BACKGROUND.to_owned(), context, items: vec![item] }
    };
    files.into_iter().map(sitting).collect()
}

fn in_groups(condition: &str, context: ContextChoice, items: Vec<Item>, size: usize) -> Vec<Sitting> {
    let mut items = items.into_iter().peekable();
    let mut sittings = Vec::new();
    while items.peek().is_some() {
        sittings.push(Sitting { condition: condition.to_owned(), context, items: items.by_ref().take(size.max(1)).collect() });
    }
    sittings
}

/// Manifests are sorted by decision: within a class the order is that of hashes of the names, so that both kinds meet.
fn of_one_class(items: Vec<Item>, context: ContextChoice) -> Vec<Sitting> {
    let mut classes: BTreeMap<String, Vec<(Vec<u8>, Item)>> = BTreeMap::new();
    for item in items {
        let hash = Sha256::digest(&item.id).to_vec();
        classes.entry(item.class.first().cloned().unwrap_or_default()).or_default().push((hash, item));
    }
    let group = |mut class: Vec<(Vec<u8>, Item)>| {
        class.sort_by(|a, b| a.0.cmp(&b.0));
        in_groups("", context, class.into_iter().map(|(_, item)| item).collect(), MULTI)
    };
    classes.into_values().flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(classes: &[&str]) -> Vec<Item> {
        let item = |(n, class): (usize, &&str)| Item { id: n.to_string(), class: vec![(*class).to_owned()], ..Item::default() };
        classes.iter().enumerate().map(item).collect()
    }

    #[test]
    fn a_multi_session_hears_three_clips_of_one_class_and_no_clip_twice() {
        let sittings = arrange(&EvalTask::Proactive { style: ProactiveStyle::Multi }, items(&["a", "b", "a", "a", "a", "b", "a"]), &[]);
        let sizes: Vec<usize> = sittings.iter().map(|s| s.items.len()).collect();
        assert_eq!(sizes, [3, 2, 2]);
        assert!(sittings.iter().all(|s| s.items.iter().all(|item| item.class == s.items[0].class)));
        let mut ids: Vec<&str> = sittings.iter().flat_map(|s| s.items.iter().map(|i| i.id.as_str())).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6"]);
    }

    #[test]
    fn streaming_hears_everything_once_for_each_number_of_items_and_each_policy() {
        let task = EvalTask::Streaming { of: Box::new(EvalTask::PROACTIVE), counts: vec![1, 3], contexts: Vec::new() };
        let recent = ContextChoice { policy: crate::config::ContextPolicy::RecentOnly, positions: 512 };
        let both = arrange(&task, items(&["a"; 4]), &[ContextChoice::default(), recent]);
        let (sittings, second) = both.split_at(6);
        assert!(second.iter().all(|s| s.context == recent && s.condition.ends_with(" recent_only")) && second.len() == 6);
        let sizes: Vec<(&str, usize)> = sittings.iter().map(|s| (s.condition.as_str(), s.items.len())).collect();
        assert_eq!(sizes, [("1", 1), ("1", 1), ("1", 1), ("1", 1), ("3", 3), ("3", 1)]);
    }
}
