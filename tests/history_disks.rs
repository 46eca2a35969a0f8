//! The history on disks that lack what a database wants: shared memory and locks, as some folders of a network do.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod history_bench;

use std::path::Path;
use std::process::{Command, Output};

use hearken::config::HistoryPrefs;
use history_bench::{Bench, said, started};

/// A library that takes memory shared through a file (`NO_SHM`) or locks (`NO_LOCKS`) away from the program that it is loaded into.
const POOR_DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static int is_shared(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name - 1);
    return length > 4 && !strncmp(name + length - 4, "-shm", 4);
}
static void *mapped(const char *real, void *at, size_t length, int prot, int flags, int fd, off_t offset) {
    if (getenv("NO_SHM") && fd >= 0 && is_shared(fd)) { errno = ENODEV; return MAP_FAILED; }
    return ((void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, real))(at, length, prot, flags, fd, offset);
}
void *mmap(void *a, size_t l, int p, int f, int fd, off_t o) { return mapped("mmap", a, l, p, f, fd, o); }
void *mmap64(void *a, size_t l, int p, int f, int fd, off_t o) { return mapped("mmap64", a, l, p, f, fd, o); }
static int controlled(const char *real, int fd, int what, void *with) {
    if (getenv("NO_LOCKS") && what == F_SETLK && ((struct flock *)with)->l_type != F_UNLCK) { errno = ENOLCK; return -1; }
    return ((int (*)(int, int, void *))dlsym(RTLD_NEXT, real))(fd, what, with);
}
#define CONTROL(name) int name(int fd, int what, ...) \
    { va_list rest; va_start(rest, what); void *with = va_arg(rest, void *); va_end(rest); return controlled(#name, fd, what, with); }
CONTROL(fcntl)
CONTROL(fcntl64)
"#;

/// Builds [`POOR_DISK`] in `folder` and returns its path.
fn poor_disk(folder: &Path) -> std::path::PathBuf {
    let (source, library) = (folder.join("poor_disk.c"), folder.join("poor_disk.so"));
    std::fs::write(&source, POOR_DISK).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    assert!(built.expect("cc is needed to build Hearken, too").success());
    library
}

#[test]
fn a_history_is_read_and_changed_on_a_disk_without_shared_memory_and_one_without_locks_is_named() {
    let mut bench = Bench::start(HistoryPrefs { keep: true, days: 30, audio: false });
    bench.sink.record(&started());
    bench.sink.record(&said(1, "what is your name"));
    bench.end();
    let tools = tempfile::tempdir().unwrap();
    let library = poor_disk(tools.path());
    let hearken = |lacks: &str, args: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command.env("HEARKEN_HOME", bench.home.path()).env("LD_PRELOAD", &library).env(lacks, "1");
        command.arg("history").args(args).output().unwrap()
    };
    let refused = hearken("NO_LOCKS", &["list"]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && why.contains("this disk keeps no locks") && !why.contains("another program"), "{why}");
    let found = hearken("NO_SHM", &["search", "NAME"]);
    assert!(String::from_utf8_lossy(&found.stdout).contains("what is your name"), "{}", String::from_utf8_lossy(&found.stderr));
    assert_eq!(hearken("NO_SHM", &["delete", "1"]).status.code(), Some(0));
    assert!(hearken("NO_SHM", &["list"]).stdout.is_empty());
    // The same file on a better disk.
    assert_eq!(hearken("NOTHING", &["delete", "--all"]).status.code(), Some(0));
}
