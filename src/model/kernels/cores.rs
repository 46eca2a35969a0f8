//! How many cores this machine has.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

/// Physical cores that this process may use: a second thread on a core whose multiplier is busy gains nothing. Where the
/// system does not say (all but Linux), what it calls its parallelism.
#[must_use]
pub fn physical() -> usize {
    let allowed = allowed();
    physical_of(|cpu| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")).ok())
        .map_or(allowed, |cores| cores.min(allowed))
}

/// Threads that may run at the same time.
#[must_use]
pub fn allowed() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What rayon reads once, and candle at every product.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Tells candle how many cores there are, unless the user has. Where nobody does, candle 0.11 reads /proc/cpuinfo at each of
/// the hundred products of a chunk: a sixth of the starter's time in 32-bit floats went there.
///
/// # Safety
/// No other thread may run: it changes the environment.
pub unsafe fn set_candle_threads() {
    if std::env::var_os(THREADS).is_none() {
        // SAFETY: the caller's promise.
        unsafe { std::env::set_var(THREADS, physical().to_string()) };
    }
}

/// Cores among the processors 0, 1, … whose siblings `siblings_of` knows.
fn physical_of(siblings_of: impl Fn(usize) -> Option<String>) -> Option<usize> {
    let cores: BTreeSet<String> = (0..).map_while(siblings_of).collect();
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_count_once() {
        let machine = ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"];
        assert_eq!(physical_of(|cpu| machine.get(cpu).map(|s| (*s).to_owned())), Some(4));
        assert_eq!(physical_of(|_| None), None);
        assert!(physical() >= 1);
    }
}
