//! The number of processor cores, and the thread count that candle and rayon read from the environment.

use std::collections::BTreeSet;
use std::fs;
use std::thread;

/// Returns the number of physical cores of this machine, at most [`allowed`]: a second thread on a core shares its multipliers and
/// gains nothing. Where the system does not report cores (all but Linux), returns [`allowed`].
#[must_use]
pub fn physical() -> usize {
    let allowed = allowed();
    physical_of(|cpu| fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")).ok())
        .map_or(allowed, |cores| cores.min(allowed))
}

/// Returns the number of threads of this process that may run at the same time, by affinity and quota; 1 if unknown.
#[must_use]
pub fn allowed() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Name of the environment variable of the thread count, which rayon reads once, and candle at every product.
const THREADS: &str = "RAYON_NUM_THREADS";

/// Sets the thread count of candle and rayon in the environment to [`physical`], unless the user has set it: without it candle 0.11
/// reads /proc/cpuinfo at every product.
///
/// # Safety
/// No other thread may run, because this changes the environment.
pub unsafe fn set_candle_threads() {
    if std::env::var_os(THREADS).is_none() {
        // SAFETY: the caller's promise.
        unsafe { std::env::set_var(THREADS, physical().to_string()) };
    }
}

/// Returns the number of cores of the logical processors 0, 1, …, by the list of siblings of each, up to the first without a list;
/// None if processor 0 has none.
fn physical_of(siblings_of: impl Fn(usize) -> Option<String>) -> Option<usize> {
    let cores: BTreeSet<String> = (0..).map_while(siblings_of).collect();
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sibling_processors_count_as_one_core() {
        let machine = ["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"];
        assert_eq!(physical_of(|cpu| machine.get(cpu).map(|s| (*s).to_owned())), Some(4));
        assert_eq!(physical_of(|_| None), None);
        assert!(physical() >= 1);
    }
}
