//! Hearken opens no internet socket except to download a model. Observed from outside the process, in a network namespace without
//! an interface where the system permits it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[cfg(feature = "window")]
mod inside;
#[cfg(feature = "window")]
mod x11;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Returns true if this command succeeds.
fn works(line: &[&str]) -> bool {
    let run = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// Returns the command prefix that removes the network; empty if the system does not permit it.
fn alone() -> Vec<&'static str> {
    let options: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-r", "-n"]];
    options.into_iter().find(|line| works(&[line, &["true"][..]].concat())).map_or_else(Vec::new, <[&str]>::to_vec)
}

/// Runs `hearken line`, with the command prefix `before`. Returns the internet sockets that it opened, as far as they are
/// visible, and its exit status.
fn internet_sockets(before: &[&str], line: &[&str], home: &Path) -> (BTreeSet<String>, ExitStatus) {
    let log = home.join("sockets");
    let traced = ["strace", "-f", "-qq", "-e", "trace=socket", "-o", log.to_str().unwrap()];
    let traces = works(&[&traced[..], &["true"]].concat());
    let mut whole = alone();
    if traces {
        whole.extend(traced);
    }
    whole.extend(before);
    whole.push(env!("CARGO_BIN_EXE_hearken"));
    whole.extend(line);
    let mut command = Command::new(whole[0]);
    command.args(&whole[1..]).env("HEARKEN_HOME", home.join("hearken")).env("HF_HOME", home.join("hf"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut seen = BTreeSet::new();
    let status = loop {
        seen.extend(open_now(&child));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    if traces {
        let calls = fs::read_to_string(log).unwrap();
        seen.extend(calls.lines().filter(|call| call.contains("socket(AF_INET")).map(str::to_owned));
    }
    (seen, status)
}

/// Returns the internet sockets that the process and its children have open at this moment.
fn open_now(child: &Child) -> Vec<String> {
    let mut left = vec![child.id()];
    let mut found = Vec::new();
    while let Some(pid) = left.pop() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        left.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        let held: BTreeSet<String> =
            links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
        if held.is_empty() {
            continue;
        }
        for table in ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"] {
            let lines = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            found.extend(
                lines.lines().filter(|line| line.split_whitespace().nth(9).is_some_and(|inode| held.contains(inode))).map(str::to_owned),
            );
        }
    }
    found
}

#[test]
fn listening_and_model_commands_open_no_internet_socket() {
    let home = tempfile::tempdir().unwrap();
    let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav/d1_speech_7p3s.wav");
    for line in [&["listen", wav.to_str().unwrap()][..], &["model", "list"], &["model", "path", "starter"], &["model", "verify", "starter"]]
    {
        let (sockets, status) = internet_sockets(&[], line, home.path());
        assert!(status.success(), "{line:?}");
        assert_eq!(sockets, BTreeSet::new(), "{line:?}");
    }
}

/// The display is reached through a Unix socket, which works without a network interface.
#[cfg(feature = "window")]
#[test]
fn window_opens_no_internet_socket() {
    inside::needs("Xvfb", "xvfb libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0");
    let home = tempfile::tempdir().unwrap();
    let server = x11::Server::start();
    let display = format!("DISPLAY=:{}", server.number);
    // `timeout` ends the window after 30 s, with exit status 124.
    let before = ["env", "-u", "WAYLAND_DISPLAY", &display, "timeout", "30"];
    std::thread::scope(|scope| {
        let window = scope.spawn(|| {
            let mut display = x11::X11::connect(&server);
            (0..250).any(|_| {
                std::thread::sleep(Duration::from_millis(100));
                display.window().is_some()
            })
        });
        let (sockets, status) = internet_sockets(&before, &[], home.path());
        assert_eq!(status.code(), Some(124), "Hearken ran until the timeout");
        assert!(window.join().unwrap(), "Hearken showed its window");
        assert_eq!(sockets, BTreeSet::new());
    });
}

#[test]
fn socket_of_a_model_download_is_visible_to_this_test() {
    let home = tempfile::tempdir().unwrap();
    // The server does not answer, so the socket stays open long enough to be seen.
    let line = ["model", "download", "tester/tiny", "--accept-licence"];
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
    command.args(line).env("HEARKEN_HOME", home.path().join("hearken")).env("HF_HOME", home.path().join("hf")).env("HF_ENDPOINT", address);
    for name in ["HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = std::time::Instant::now();
    let seen = loop {
        let seen = open_now(&child);
        if !seen.is_empty() || begun.elapsed() > Duration::from_secs(20) {
            break seen;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!seen.is_empty(), "the observation finds no socket at all");
}
