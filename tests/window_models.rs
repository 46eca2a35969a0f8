//! The models page against a hub on this machine: the steps from the licence to the ready model, failures, and the progress in the bar.
#![cfg(feature = "window")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod hub_server;
mod window_bench;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use hearken::config::Paths;
use hearken::hub::ModelManager;
use hearken::hub::settings::{HubSettings, NetworkAccess, RetryLimits};
use hearken::protocol::{Command, ModelChoice};
use hub_server::{FakeHub, HubFault};
use window_bench::{Bench, open_in};

const WIDE: [f32; 2] = [1_200.0, 760.0];
/// A file that the hub serves from its second host.
const LARGE: &str = "model-00001-of-00002.safetensors";
/// The catalogue of the user with a model of the hub that stands before the others.
const CATALOGUE: &str = "[[model]]\nname = \"tiny\"\ntitle = \"Tiny one\"\nabout = \"A small model.\"\nhub = \"tester/tiny\"\n\
    about_bytes = 2_000_000\nmemory_bytes = 1_000_000\n\
    [[model.licence]]\nname = \"House rules\"\nsummary = \"Be kind.\"\ntext = \"https://example.org/rules\"\n";

fn files_of(folder: &Path, below: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_of(&path, below));
        } else {
            found.push((path.strip_prefix(below).unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// Returns a hub with the fixture's model.
fn hub() -> FakeHub {
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    let wanted = |name: &str| !["config.json", "hyperparameters.yaml"].contains(&name);
    FakeHub::holding(files_of(&fixture, &fixture).into_iter().filter(|(name, _)| wanted(name)))
}

/// Opens a window with the models of `hub`, which waits `back_off` after a failure, and the catalogue `catalogue`.
fn open_models(hub: &FakeHub, back_off: Duration, catalogue: &str) -> Bench {
    let mut bench = open_in(tempfile::tempdir().unwrap(), WIDE, "[window]\nwelcomed = true\nlanguage = \"en\"\nnotify = false\n", |home| {
        std::fs::create_dir_all(home.join("config")).unwrap();
        std::fs::write(home.join("config/catalog.toml"), catalogue).unwrap();
    });
    let retry_limits = RetryLimits { stall: Duration::from_secs(5), back_off, max_back_off: Duration::from_secs(600), attempts: 4 };
    let settings = HubSettings {
        endpoint: Some(hub.address.clone()),
        cache: bench.home.path().join("hf/hub"),
        network: NetworkAccess::Allowed,
        retry_limits,
    };
    let manager = ModelManager::with(&Paths::inside(bench.home.path()), settings);
    let ctx = bench.harness.ctx.clone();
    bench.harness.state_mut().as_mut().unwrap().use_models(manager, &ctx);
    bench.click("fixture");
    wait(&mut bench, "the page", |bench| bench.shows("Tiny one"));
    bench
}

fn wait(bench: &mut Bench, what: &str, is_it: impl Fn(&Bench) -> bool) {
    let begun = Instant::now();
    while !is_it(bench) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: {:?}", bench.values());
        std::thread::sleep(Duration::from_millis(20));
        bench.settle();
    }
}

/// Clicks a button that may be scrolled out of view.
fn press_on(bench: &mut Bench, role: Role, label: &str) {
    bench.harness.query_all_by_role_and_label(role, label).next().unwrap_or_else(|| panic!("{label}")).click_accesskit();
    bench.settle();
}

/// Goes through the first step: accepts the licence and starts the download.
fn get(bench: &mut Bench) {
    press_on(bench, Role::Button, "Get (2 MB)");
    assert!(bench.shows("1 Licence") && bench.shows("Be kind."), "{:?}", bench.values());
    let download = |bench: &Bench| bench.harness.get_by_role_and_label(Role::Button, "Download").accesskit_node().is_disabled();
    assert!(download(bench), "nothing is downloaded before the licence is accepted");
    assert_eq!(bench.harness.get_by_label("Read the licence").accesskit_node().role(), Role::Link);
    press_on(bench, Role::CheckBox, "I accept the House rules");
    assert!(!download(bench));
    press_on(bench, Role::Button, "Download");
}

#[test]
fn a_model_is_got_in_steps_and_used_from_the_message() {
    let hub = hub();
    let mut bench = open_models(&hub, Duration::from_millis(5), CATALOGUE);
    wait(&mut bench, "the facts", |bench| bench.shows("of disk;") && bench.shows("stay free") && bench.shows("of memory"));
    get(&mut bench);
    wait(&mut bench, "ready", |bench| bench.shows("Tiny one is ready") && bench.shows("Use it now"));
    assert!(bench.shows("4 Ready"), "{:?}", bench.values());
    // The starter has such a button as well.
    wait(&mut bench, "the button", |bench| bench.harness.query_all_by_role_and_label(Role::Button, "Use this model").count() == 2);
    assert_eq!(hub.served(), hub.bytes());
    press_on(&mut bench, Role::Button, "Use it now");
    let sent: Vec<Command> = bench.commands.try_iter().collect();
    assert!(
        sent.iter().any(|command| matches!(command, Command::ChooseModel(ModelChoice::Dir(name)) if name == Path::new("tiny"))),
        "{sent:?}"
    );
}

#[test]
fn a_failed_connection_is_said_at_once_and_tried_again_at_once_when_wanted() {
    let hub = hub();
    hub.inject("api", [HubFault::Status(503, "")]);
    hub.inject(LARGE, [HubFault::Cut(0)]);
    let mut bench = open_models(&hub, Duration::from_secs(500), CATALOGUE);
    get(&mut bench);
    wait(&mut bench, "the failure", |bench| bench.shows("The download server is busy. Trying again in 500 s."));
    press_on(&mut bench, Role::Button, "Try now");
    wait(&mut bench, "the second failure", |bench| bench.shows("No internet connection. Trying again in 500 s."));
    assert!(!bench.shows("the connection"), "the technical reason is folded: {:?}", bench.values());
    press_on(&mut bench, Role::Button, "Try now");
    wait(&mut bench, "ready", |bench| bench.shows("Tiny one is ready"));
}

#[test]
fn a_download_is_seen_in_the_bar_while_the_page_is_closed() {
    let hub = hub();
    hub.inject(LARGE, [HubFault::Cut(600_000)]);
    let mut bench = open_models(&hub, Duration::from_secs(500), CATALOGUE);
    get(&mut bench);
    wait(&mut bench, "the break", |bench| bench.shows("Trying again"));
    bench.press(egui::Modifiers::NONE, egui::Key::Escape);
    assert!(!bench.shows("Trying again"));
    let shown = |bench: &Bench| bench.values().into_iter().find(|value| value.starts_with("tiny ") && value.ends_with(" %"));
    let percent = shown(&bench).unwrap_or_else(|| panic!("{:?}", bench.values()));
    bench.click(&percent);
    wait(&mut bench, "the page", |bench| bench.shows("Try now"));
    press_on(&mut bench, Role::Button, "Stop");
    wait(&mut bench, "the end", |bench| bench.shows("Stopped.") && shown(bench).is_none());
    wait(&mut bench, "the rest", |bench| bench.values().iter().any(|value| value.starts_with("Resume download (")));
}

#[test]
fn a_model_that_does_not_fit_on_the_disk_cannot_be_got() {
    let hub = hub();
    let huge = CATALOGUE.replace("about_bytes = 2_000_000", "about_bytes = 9_000_000_000_000_000");
    let mut bench = open_models(&hub, Duration::from_millis(5), &huge);
    wait(&mut bench, "the reason", |bench| bench.shows("but only"));
    press_on(&mut bench, Role::Button, "Get (9000000 GB)");
    press_on(&mut bench, Role::CheckBox, "I accept the House rules");
    assert!(bench.harness.get_by_role_and_label(Role::Button, "Download").accesskit_node().is_disabled());
    assert_eq!(hub.requests("api").len(), 0, "nothing is asked before it fits");
}

#[test]
fn a_changed_release_is_said_on_the_card() {
    let hub = hub();
    let text = format!("{CATALOGUE}[model.sums]\n\"{LARGE}\" = \"{}\"\n", "0".repeat(64));
    let mut bench = open_models(&hub, Duration::from_millis(5), &text);
    get(&mut bench);
    wait(&mut bench, "ready", |bench| bench.shows("Tiny one is ready"));
    assert!(bench.shows(&format!("{LARGE} has changed since this Hearken was made")), "{:?}", bench.values());
}
