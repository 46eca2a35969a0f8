//! Groups items into sessions. Pure and deterministic.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::items::{EvalItem, Expected};
use super::sessions::EvalSession;
use crate::config::{ContextChoice, EvalTask, ProactiveStyle};

/// Maximum number of clips, all of one class, in a session of Proactive-Sound-Bench's *Multi* style.
const CLIPS_OF_MULTI: usize = 3;
/// Condition of the predictions on background recordings (`--background`), which call for no response.
pub const BACKGROUND: &str = "background";

/// Groups `items` into sessions: for `streaming` all of them for each pair of a context policy and a number of items in a session;
/// for the *Multi* style up to 3 of one class; otherwise one in each, under the first policy of `contexts`.
#[must_use]
pub fn group(task: &EvalTask, items: Vec<EvalItem>, contexts: &[ContextChoice]) -> Vec<EvalSession> {
    let first = contexts.first().copied().unwrap_or_default();
    match task {
        EvalTask::Streaming { counts, .. } => {
            let of = |context: &ContextChoice, count: usize| {
                in_groups(&EvalTask::condition(count, context.policy.name()), *context, items.clone(), count)
            };
            contexts.iter().flat_map(|context| counts.iter().flat_map(move |count| of(context, *count))).collect()
        }
        EvalTask::Proactive { style: ProactiveStyle::Multi } => of_one_class(items, first),
        _ => in_groups("", first, items, 1),
    }
}

/// Returns a session of one item for each of the background recordings `files`; the id of the item is the path, and no response is
/// expected.
#[must_use]
pub fn background(files: Vec<PathBuf>, context: ContextChoice) -> Vec<EvalSession> {
    let session = |audio: PathBuf| {
        let id = audio.display().to_string();
        let item = EvalItem { id, audio, expected: Expected::Ignore, ..EvalItem::default() };
        EvalSession { condition: BACKGROUND.to_owned(), context, items: vec![item] }
    };
    files.into_iter().map(session).collect()
}

/// Cuts `items` in their order into sessions of `size` items (at least 1); the last session may be shorter.
fn in_groups(condition: &str, context: ContextChoice, items: Vec<EvalItem>, size: usize) -> Vec<EvalSession> {
    let mut items = items.into_iter().peekable();
    let mut sessions = Vec::new();
    while items.peek().is_some() {
        sessions.push(EvalSession { condition: condition.to_owned(), context, items: items.by_ref().take(size.max(1)).collect() });
    }
    sessions
}

/// Cuts the items of each class into sessions of up to [`CLIPS_OF_MULTI`]. Manifests are sorted by label, so the order within a
/// class is that of hashed ids, which mixes RESPOND and IGNORE clips.
fn of_one_class(items: Vec<EvalItem>, context: ContextChoice) -> Vec<EvalSession> {
    let mut classes: BTreeMap<String, Vec<(Vec<u8>, EvalItem)>> = BTreeMap::new();
    for item in items {
        let hash = Sha256::digest(&item.id).to_vec();
        classes.entry(item.class.first().cloned().unwrap_or_default()).or_default().push((hash, item));
    }
    let cut = |mut class: Vec<(Vec<u8>, EvalItem)>| {
        class.sort_by(|a, b| a.0.cmp(&b.0));
        in_groups("", context, class.into_iter().map(|(_, item)| item).collect(), CLIPS_OF_MULTI)
    };
    classes.into_values().flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(classes: &[&str]) -> Vec<EvalItem> {
        let item = |(n, class): (usize, &&str)| EvalItem { id: n.to_string(), class: vec![(*class).to_owned()], ..EvalItem::default() };
        classes.iter().enumerate().map(item).collect()
    }

    #[test]
    fn multi_session_has_three_clips_of_one_class_and_no_clip_twice() {
        let sessions = group(&EvalTask::Proactive { style: ProactiveStyle::Multi }, items(&["a", "b", "a", "a", "a", "b", "a"]), &[]);
        let sizes: Vec<usize> = sessions.iter().map(|s| s.items.len()).collect();
        assert_eq!(sizes, [3, 2, 2]);
        assert!(sessions.iter().all(|s| s.items.iter().all(|item| item.class == s.items[0].class)));
        let mut ids: Vec<&str> = sessions.iter().flat_map(|s| s.items.iter().map(|i| i.id.as_str())).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6"]);
    }

    #[test]
    fn streaming_has_each_item_once_per_session_size_and_policy() {
        let task = EvalTask::Streaming { of: Box::new(EvalTask::PROACTIVE), counts: vec![1, 3], contexts: Vec::new() };
        let recent = ContextChoice { policy: crate::config::ContextPolicy::RecentOnly, positions: 512 };
        let both = group(&task, items(&["a"; 4]), &[ContextChoice::default(), recent]);
        let (sessions, second) = both.split_at(6);
        assert!(second.iter().all(|s| s.context == recent && s.condition.ends_with(" recent_only")) && second.len() == 6);
        let sizes: Vec<(&str, usize)> = sessions.iter().map(|s| (s.condition.as_str(), s.items.len())).collect();
        assert_eq!(sizes, [("1", 1), ("1", 1), ("1", 1), ("1", 1), ("3", 3), ("3", 1)]);
    }
}
