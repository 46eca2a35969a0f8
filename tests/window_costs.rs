//! What the open window costs, as the program that a person starts: time until it listens, memory, and a quiet room.
//!
//! `HEARKEN_QUIET_SECS=60 cargo test --release --test window_costs -- --nocapture` prints the figures of the README. The limits
//! below leave room for a machine that does other things as well and for an unoptimised build.
#![cfg(all(feature = "window", feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod inside;
mod x11;

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use inside::{inside, needs, run_inside_within};
use x11::{Server, X11};

const QUIET_SECS: u64 = 12;
/// Share of a core that a quiet room may take here.
const MOST_SHARE: f64 = 0.03;
/// From start to listening, here.
const MOST_START: Duration = Duration::from_secs(6);
/// Memory of the whole program, in kB.
const MOST_RESIDENT_KB: u64 = 300_000;

#[test]
fn the_window_listens_soon_takes_little_memory_and_does_next_to_nothing_in_a_quiet_room() {
    needs("Xvfb", "xvfb libgl1 libegl1 libgl1-mesa-dri libxkbcommon-x11-0");
    run_inside_within("inner_costs", Duration::from_secs(480));
}

#[test]
fn inner_costs() {
    if !inside() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    std::fs::write(home.path().join("config/settings.toml"), "[window]\nwelcomed = true\nlanguage = \"en\"\n").unwrap();
    let noise = home.path().join("noise.wav");
    write_noise(&noise);
    let server = Server::start();
    let mut x = X11::connect(&server);

    let (first, to_first) = start(home.path(), &server, &mut x);
    end(first, &mut x);
    let (mut window, to_second) = start(home.path(), &server, &mut x);
    println!("from start to listening: {:.2} s the first time, {:.2} s afterwards", to_first.as_secs_f64(), to_second.as_secs_f64());
    assert!(to_second < MOST_START, "{to_second:?}");

    // A player that stumbles is not quiet.
    let mut noise = Command::new("paplay").args(["--device=vmic_sink", "--latency-msec=2000"]).arg(&noise).spawn().unwrap();
    let quiet = std::env::var("HEARKEN_QUIET_SECS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(QUIET_SECS);
    let pid = window.id();
    let mut tries = 0;
    let share = loop {
        tries += 1;
        assert!(tries < 6, "the window does not come to rest");
        wait_until_it_rests(pid);
        let (before, woken, begun) = (cpu_secs(pid), switches(pid), Instant::now());
        std::thread::sleep(Duration::from_secs(quiet));
        let share = (cpu_secs(pid) - before) / begun.elapsed().as_secs_f64();
        // The thread that paints is the first one. A sound server that stumbles may open the gate; then it is tried again.
        if switches(pid) == woken {
            break share;
        }
    };
    let resident = status(pid, "VmRSS:");
    println!("in a quiet room: {:.2} % of a core over {quiet} s, nothing painted; {} MB resident", share * 100.0, resident / 1_000);
    assert!(window.try_wait().unwrap().is_none() && share < MOST_SHARE, "{share}");
    assert!(resident < MOST_RESIDENT_KB, "{resident} kB");
    let _ = noise.kill();
    let _ = noise.wait();
    end(window, &mut x);
}

/// Starts the window, and waits until it is there and says in its log that it listens.
fn start(home: &Path, server: &Server, x: &mut X11) -> (Child, Duration) {
    let log = home.join("data/hearken.log");
    let listens = || std::fs::read_to_string(&log).unwrap_or_default().matches("listening to").count();
    let (before, begun) = (listens(), Instant::now());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
    command.env("HEARKEN_HOME", home).env("HOME", home).env_remove("WAYLAND_DISPLAY").env("DISPLAY", format!(":{}", server.number));
    let child = command.spawn().unwrap();
    while listens() == before || x.window().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    (child, begun.elapsed())
}

fn end(mut window: Child, x: &mut X11) {
    if let Some(shown) = x.window() {
        x.close(shown);
    }
    let begun = Instant::now();
    while window.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(15), "closing the window ends Hearken");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The gate has closed once the thread that paints has slept for three seconds.
fn wait_until_it_rests(pid: u32) {
    let begun = Instant::now();
    let (mut woken, mut since) = (switches(pid), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        assert!(begun.elapsed() < Duration::from_secs(90), "it is never quiet");
        std::thread::sleep(Duration::from_millis(100));
        if switches(pid) != woken {
            (woken, since) = (switches(pid), Instant::now());
        }
    }
}

/// Seconds that all threads have computed (proc(5): fields 14 and 15, in hundredths).
fn cpu_secs(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// How often the first thread has been woken.
fn switches(pid: u32) -> u64 {
    status(pid, "voluntary_ctxt_switches:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Ten minutes of a room at -65 dBFS.
fn write_noise(path: &Path) {
    let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    let mut state = 1_u64;
    for _ in 0..600 * 16_000 {
        // Knuth's numbers; the high bits are the random ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writer.write_sample((state >> 59) as i16 * 2 - 31).unwrap();
    }
    writer.finalize().unwrap();
}
