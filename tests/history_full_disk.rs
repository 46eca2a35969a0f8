//! Deleting from a history on a full disk: a small file system in memory, in a namespace of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod history_bench;
mod inside;

use std::path::Path;
use std::process::Command;

use hearken::config::HistoryPrefs;
use history_bench::{Bench, said, started};
use inside::needs;

const KEEP: HistoryPrefs = HistoryPrefs { keep: true, days: 0, audio: false };
const SESSIONS: usize = 40;

/// Copies the home $1 to a file system of 6 MB, leaves $2 kB free there, and runs each further argument, a line for `hearken history`.
/// Prints before each what is in the history, and after each the exit code.
const SCRIPT: &str = r#"
home=$(mktemp -d); mount -t tmpfs -o size=6m none "$home"; cp -r "$1"/. "$home"; free=$2; shift 2
cat /dev/zero > "$home/filler" 2>/dev/null; truncate -s -"${free}"K "$home/filler"
for line in "$@"; do
    HEARKEN_HOME=$home "$HEARKEN" history $line 2>&1; echo "exit $?"
    echo "size $(stat -c %s "$home/data/history.db")"
done
"#;

/// A history of some megabytes, without the small files of a writer that has ended.
fn history() -> Bench {
    let mut bench = Bench::start(KEEP);
    for session in 0..SESSIONS {
        bench.sink.record(&started());
        for n in 1..=60 {
            bench.sink.record(&said(10 * n, &format!("session {session} talks of number {n} and of many ordinary things besides")));
        }
    }
    bench.end();
    assert!(bench.paths.history_file().metadata().unwrap().len() > 1_000_000);
    bench
}

/// Runs [`SCRIPT`] and returns the lines that it prints.
fn on_a_full_disk(home: &Path, free_kb: u32, lines: &[&str]) -> Vec<String> {
    needs("unshare", "util-linux");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", SCRIPT, "sh"]).arg(home).arg(free_kb.to_string()).args(lines);
    let output = command.env("HEARKEN", env!("CARGO_BIN_EXE_hearken")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(str::to_owned).collect()
}

/// Returns the numbers that follow `word` at the beginning of a line.
fn numbers(lines: &[String], word: &str) -> Vec<u64> {
    lines.iter().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}

fn has(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

#[test]
fn deleting_works_on_a_full_disk_and_says_what_was_done() {
    let bench = history();
    for free_kb in [0, 8, 300] {
        let lines = on_a_full_disk(bench.home.path(), free_kb, &["list", "delete 1 3 3", "list", "search talks", "delete --all", "list"]);
        assert!(has(&lines, "2 sessions are deleted."), "{free_kb} kB: {lines:#?}");
        let listed = |line: &String| line.contains(" talks of number 1 and ") && !line.contains("  said  ");
        assert_eq!(lines.iter().filter(|line| listed(line)).count(), SESSIONS + SESSIONS - 2, "{free_kb} kB: {lines:#?}");
        assert!(has(&lines, "Everything is deleted; sessions: 38."), "{free_kb} kB: {lines:#?}");
        // A file that cannot be made smaller is said as such, and is no failure of the deletion.
        let codes = numbers(&lines, "exit");
        assert!(codes[1] == 0 || codes[1] == 1 && has(&lines, "what is deleted still takes room on the disk"), "{free_kb} kB: {lines:#?}");
        assert_eq!([&codes[..1], &codes[2..]].concat(), [0, 0, 0, 0, 0], "{free_kb} kB: {lines:#?}");
        let sizes = numbers(&lines, "size");
        assert!(sizes[4] < sizes[3] / 4, "deleting everything frees the room: {sizes:?}");
    }
}
