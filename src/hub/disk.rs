//! Free disk space and total memory.

use std::path::Path;
use std::process::{Command, Stdio};

/// Returns the free bytes on the disk of `path`, or of its nearest existing parent; None if the system does not say. Runs a program
/// of the system (`df`, PowerShell), because Rust's library has no such call.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|folder| folder.is_dir())?;
    let mut asked = if cfg!(windows) { windows(there)? } else { Command::new("df") };
    if !cfg!(windows) {
        asked.args(["-P", "-k"]).arg(there).env("LC_ALL", "C");
    }
    let answer = asked.stdin(Stdio::null()).stderr(Stdio::null()).output().ok().filter(|answer| answer.status.success())?;
    let text = String::from_utf8_lossy(&answer.stdout);
    if cfg!(windows) { text.trim().parse().ok() } else { available(&text) }
}

/// Returns the PowerShell command that prints the free bytes of the drive of `there`; None if its path is not Unicode.
fn windows(there: &Path) -> Option<Command> {
    let drive = there.to_str()?.trim_start_matches(r"\\?\").get(..1)?.to_owned();
    let mut asked = Command::new("powershell");
    asked.args(["-NoProfile", "-Command", &format!("(Get-PSDrive -Name {drive}).Free")]);
    Some(asked)
}

/// Returns the free bytes in the output of `df -P -k` (POSIX): the number before the percentage, in units of 1,024 bytes, because
/// names may contain spaces. None if there is no such line.
fn available(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.lines().last()?.split_whitespace().collect();
    let percent =
        words.iter().position(|word| word.len() > 1 && word.trim_end_matches('%').parse::<u32>().is_ok() && word.ends_with('%'))?;
    words.get(percent.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// Returns the total memory of this machine in bytes; None if the system does not say.
#[must_use]
pub fn memory_bytes() -> Option<u64> {
    crate::model::memory::total()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_df_is_parsed() {
        let linux = "Filesystem     1024-blocks      Used Available Capacity Mounted on\n/dev/sda1        263174212 100000000 149749112      41% /home of mine\n";
        assert_eq!(available(linux), Some(149_749_112 * 1_024));
        assert_eq!(available("Filesystem 1024-blocks Used Available Capacity Mounted on\nmap auto_home 0 0 0 100% /System\n"), Some(0));
        assert_eq!(available("df: no such file"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn free_space_is_known_for_a_folder_that_does_not_exist_yet() {
        assert!(free_bytes(Path::new("/tmp/not/there/yet")).is_some_and(|bytes| bytes > 0));
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 28));
    }
}
