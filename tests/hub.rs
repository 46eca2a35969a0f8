//! Installation from a hub that misbehaves in every way that hubs do: wrong bytes are never loaded, local bytes are never
//! downloaded again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod hub_server;
#[path = "hub/storage.rs"]
mod storage;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearken::config::{ComputeDevice, Originals, Paths, Precision};
use hearken::error::{Error, ErrorKind};
use hearken::hub::control::{InstallControl, InstallProgress};
use hearken::hub::fetch::{InstallError, OVERLAP};
use hearken::hub::install::{InstallRequest, PreparePrecision, install};
use hearken::hub::settings::{HubSettings, NetworkAccess, RetryLimits};
use hearken::hub::{self, ModelManager, catalog};
use hearken::model::Model;
use hearken::protocol::ModelChoice;
use hearken::protocol::models::{InstallEnd, InstallStep, ModelState};
use hub_server::{COMMIT, FakeHub, HubFault, name_of_blob};

/// A file on the second host, and one in git.
const LARGE: &str = "model-00001-of-00002.safetensors";
const SMALL: &str = "model_config.yaml";

/// A hub with the fixture's model, and an empty machine.
struct Bench {
    hub: FakeHub,
    home: tempfile::TempDir,
    control: Arc<InstallControl>,
    progress: InstallProgress,
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture")
}

fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => {
                    let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    found.push((name, fs::read(entry.path()).unwrap()));
                }
            }
        }
    }
    found
}

fn choice() -> ModelChoice {
    ModelChoice::Dir("tiny".into())
}

impl Bench {
    fn new() -> Self {
        let wanted = |name: &str| !["config.json", "hyperparameters.yaml"].contains(&name);
        let hub = FakeHub::holding(files_of(&fixture()).into_iter().filter(|(name, _)| wanted(name)));
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("config")).unwrap();
        fs::write(home.path().join("config/catalog.toml"), "[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\n").unwrap();
        Self { hub, home, control: Arc::default(), progress: InstallProgress::default() }
    }

    fn paths(&self) -> Paths {
        Paths::inside(self.home.path())
    }

    fn settings(&self) -> HubSettings {
        let retry_limits = RetryLimits {
            stall: Duration::from_millis(400),
            back_off: Duration::from_millis(5),
            max_back_off: Duration::from_secs(3),
            attempts: 4,
        };
        HubSettings {
            endpoint: Some(self.hub.address.clone()),
            cache: self.home.path().join("hf/hub"),
            network: NetworkAccess::Allowed,
            retry_limits,
        }
    }

    fn request(&self) -> InstallRequest {
        let entry = catalog::resolve(&choice(), &self.paths()).unwrap().unwrap();
        let (settings, paths) = (self.settings(), self.paths());
        InstallRequest { entry, settings, paths, prepare: PreparePrecision::Auto, originals: Originals::Keep }
    }

    fn get(&self) -> Result<PathBuf, InstallError> {
        install(&self.request(), &self.control, &self.progress)
    }

    /// Installs the model and compares every byte.
    fn get_whole(&self) -> PathBuf {
        let folder = self.get().unwrap_or_else(|ended| panic!("{ended:?}"));
        self.assert_whole(&folder);
        folder
    }

    fn assert_whole(&self, folder: &Path) {
        for (name, bytes) in files_of(&fixture()) {
            if folder.join(&name).exists() {
                assert_eq!(fs::read(folder.join(&name)).unwrap(), bytes, "{name}");
            }
        }
        let found = hub::find_with(&choice(), &self.paths(), &self.settings()).unwrap();
        assert_eq!((found.folder.as_path(), found.name.as_str()), (folder, "tiny"));
        Model::load(folder, "tiny", Some(Precision::F32), ComputeDevice::Cpu).unwrap();
    }

    /// Returns the error of an installation that fails. An incomplete model must not be found.
    fn error(&self) -> Error {
        let error = match self.get() {
            Err(InstallError::Failed(error)) => error,
            other => panic!("a failure was expected: {other:?}"),
        };
        assert!(hub::find_with(&choice(), &self.paths(), &self.settings()).is_err(), "an incomplete model was found");
        assert!(!error.message().contains("signed=secret"), "{error}");
        error
    }

    fn repository(&self) -> PathBuf {
        self.home.path().join("hf/hub/models--tester--tiny")
    }

    fn blob(&self, name: &str) -> PathBuf {
        self.repository().join("blobs").join(name_of_blob(&self.hub.file(name)))
    }

    fn partial(&self, name: &str) -> PathBuf {
        let blob = self.blob(name);
        blob.with_file_name(format!("{}.hearken.partial", blob.file_name().unwrap().to_str().unwrap()))
    }

    /// Writes a partial file, as a crash after `bytes` of the file `name` leaves it.
    fn begun(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.repository().join("blobs")).unwrap();
        fs::write(self.partial(name), bytes).unwrap();
    }
}

#[test]
fn a_model_is_downloaded_verified_and_found_in_the_shared_layout() {
    let bench = Bench::new();
    let folder = bench.get_whole();
    assert_eq!(folder, bench.repository().join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(bench.repository().join("refs/main")).unwrap(), COMMIT);
    let link = fs::read_link(folder.join("qwen25OmniConfig/config.json")).unwrap();
    assert!(link.starts_with("../../../blobs"), "{}", link.display());
    assert!(bench.blob(LARGE).is_file() && bench.blob(SMALL).is_file());
    let names: BTreeSet<String> = files_of(&bench.repository().join("blobs")).into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| [40, 64].contains(&name.len())), "only blobs are left: {names:?}");
    assert_eq!(bench.hub.served(), bench.hub.bytes(), "every byte is downloaded once");
    assert_eq!(bench.get_whole(), folder);
    assert_eq!(bench.hub.served(), bench.hub.bytes(), "and not again");
}

#[test]
fn a_connection_cut_at_any_byte_is_resumed() {
    let size = Bench::new().hub.file(LARGE).len();
    for at in [0, 1, OVERLAP as usize - 1, OVERLAP as usize, OVERLAP as usize + 1, 8_191, size / 2, size - 1] {
        let bench = Bench::new();
        bench.hub.inject(LARGE, [HubFault::Cut(at)]);
        bench.get_whole();
        let again = bench.hub.served_of(LARGE) - size as u64;
        assert!(again <= OVERLAP, "cut at {at}: {again} bytes came twice");
    }
}

#[test]
fn a_failed_download_resumes_when_started_again() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Cut(300_000), HubFault::Cut(0), HubFault::Cut(0), HubFault::Cut(0), HubFault::Cut(0)]);
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.message().contains(LARGE) && error.message().contains("kept"), "{error}");
    assert_eq!(fs::metadata(bench.partial(LARGE)).unwrap().len(), 300_000);
    bench.hub.clear_faults();
    let again = Bench { control: Arc::default(), ..bench };
    again.get_whole();
    assert_eq!(again.hub.served(), again.hub.bytes() + OVERLAP);
    assert!(!again.hub.requests(&format!("Some(({}, ", 300_000 - OVERLAP)).is_empty());
}

#[test]
fn bytes_of_another_range_are_rejected() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Cut(300_000), HubFault::OtherRange]);
    bench.get_whole();
    assert!(bench.hub.requests(LARGE).iter().filter(|r| r.contains(&format!("({},", 300_000 - OVERLAP))).count() >= 2, "asked again");
}

#[test]
fn a_hub_that_repeats_the_wrong_range_is_asked_for_the_whole_file() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Cut(300_000), HubFault::OtherRange, HubFault::OtherRange]);
    bench.get_whole();
}

#[test]
fn a_hub_that_ignores_ranges_loses_no_local_bytes() {
    let bench = Bench::new();
    let size = bench.hub.file(LARGE).len() as u64;
    bench.hub.inject(LARGE, [HubFault::Cut(300_000), HubFault::NoRange]);
    bench.get_whole();
    assert_eq!(bench.hub.served_of(LARGE), size + 300_000, "the whole file was sent, and the local part skipped");
}

#[test]
fn status_416_completes_a_file_that_is_whole() {
    let bench = Bench::new();
    let size = bench.hub.file(LARGE).len() as u64;
    // The hub claims more bytes than there are: the file arrives in full, and there are no more.
    bench.hub.change(LARGE, |file| file.claimed = Some(size + 1_000));
    bench.get().unwrap();
    assert_eq!(fs::read(bench.blob(LARGE)).unwrap(), bench.hub.file(LARGE));
    assert!(bench.hub.served_of(LARGE) <= size + OVERLAP);
}

#[test]
fn status_416_restarts_a_file_that_is_incomplete() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Cut(300_000), HubFault::Status(416, "X: y")]);
    bench.get_whole();
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Status(416, "X: y"), HubFault::Status(416, "X: y")]);
    assert!(bench.error().message().contains("416"));
}

#[test]
fn a_silent_connection_is_closed_and_resumed() {
    let bench = Bench::new();
    let size = bench.hub.file(LARGE).len() as u64;
    bench.hub.inject(LARGE, [HubFault::Stall(100_000)]);
    let begun = Instant::now();
    bench.get_whole();
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    assert!(bench.hub.served_of(LARGE) <= size + OVERLAP);
}

#[test]
fn a_hub_that_never_answers_is_given_up() {
    let bench = Bench::new();
    bench.hub.inject("api", [HubFault::Stall(0), HubFault::Stall(0), HubFault::Stall(0), HubFault::Stall(0)]);
    let begun = Instant::now();
    let error = bench.error();
    assert!(begun.elapsed() < Duration::from_secs(3) && error.message().contains("does not answer"), "{error}");
}

#[test]
fn a_user_without_access_is_told_at_once() {
    for (status, kind, says) in [(401, ErrorKind::Access, "HF_TOKEN"), (403, ErrorKind::Access, "403"), (404, ErrorKind::Model, "404")] {
        let bench = Bench::new();
        bench.hub.inject("api", [HubFault::Status(status, "X: y")]);
        let error = bench.error();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says) && error.message().contains("tester/tiny"), "{error}");
        assert_eq!(bench.hub.requests("/api/").len(), 1, "asked once");
        let bench = Bench::new();
        bench.hub.inject(LARGE, [HubFault::Status(status, "X: y")]);
        let error = bench.error();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(LARGE), "{error}");
    }
}

#[test]
fn a_rate_limited_client_waits_as_long_as_the_hub_asks() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Status(429, "Retry-After: 1")]);
    let begun = Instant::now();
    bench.get_whole();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(bench.hub.served(), bench.hub.bytes());
}

#[test]
fn server_errors_are_retried_a_limited_number_of_times() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Status(503, "X: y"), HubFault::Status(500, "X: y"), HubFault::Status(502, "X: y")]);
    bench.hub.inject("api", [HubFault::Status(504, "X: y")]);
    bench.get_whole();
    assert_eq!(bench.hub.served(), bench.hub.bytes());
    let bench = Bench::new();
    bench.hub.inject(LARGE, vec![HubFault::Status(503, "X: y"); 9]);
    let error = bench.error();
    assert!(error.kind() == ErrorKind::Network && error.message().contains("503"), "{error}");
    assert_eq!(bench.hub.requests("GET").iter().filter(|r| r.contains("/cdn/") && r.contains(LARGE)).count(), 4);
}

#[test]
fn a_wrong_checksum_is_retried_once_and_then_reported() {
    for name in [LARGE, SMALL] {
        let bench = Bench::new();
        bench.hub.inject(name, [HubFault::Flipped]);
        bench.get_whole();
        let size = bench.hub.file(name).len() as u64;
        assert_eq!(bench.hub.served_of(name), 2 * size);
        let bench = Bench::new();
        bench.hub.inject(name, [HubFault::Flipped, HubFault::Flipped, HubFault::Flipped]);
        let error = bench.error();
        assert!(error.message().contains(name) && error.message().contains("checksum"), "{error}");
        assert_eq!(bench.hub.served_of(name), 2 * size, "two attempts");
        assert!(!bench.blob(name).exists() && !bench.partial(name).exists(), "the file is discarded");
        assert!(!bench.repository().join("snapshots").exists());
    }
}

#[test]
fn a_file_of_another_size_is_rejected() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, vec![HubFault::Resized(10); 3]);
    assert!(bench.error().message().contains("more bytes"));
    assert!(!bench.blob(LARGE).exists());
    let bench = Bench::new();
    // A shorter file looks like one that was cut off.
    bench.hub.inject(LARGE, [HubFault::Resized(-1_000)]);
    bench.get_whole();
}

#[test]
fn a_sign_in_page_is_not_mistaken_for_a_model() {
    let page = "<html>Please sign in to this network</html>";
    let bench = Bench::new();
    bench.hub.inject("api", [HubFault::Page(page)]);
    let error = bench.error();
    assert!(error.kind() == ErrorKind::Network && error.message().contains("sign in"), "{error}");
    let bench = Bench::new();
    bench.hub.inject(SMALL, vec![HubFault::Page(page); 9]);
    bench.error();
    assert!(!bench.blob(SMALL).exists());
}

#[test]
fn a_file_list_that_leaves_the_cache_is_refused() {
    let mut files = files_of(&fixture());
    files.push(("../../../escaped.safetensors".into(), vec![1; 10]));
    let bench = Bench { hub: FakeHub::holding(files), ..Bench::new() };
    let text = "[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\nfiles = [\"../../../*.safetensors\"]\n";
    fs::write(bench.home.path().join("config/catalog.toml"), text).unwrap();
    assert!(bench.error().message().contains("no file of a model"));
    assert_eq!(bench.hub.served(), 0);
}

#[test]
fn a_download_can_be_paused_resumed_and_stopped_without_loss() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, vec![HubFault::Slow; 4]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| bench.get());
        let fetched = || bench.progress.status(&bench.control).done;
        let until = |what: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !what() {
                assert!(begun.elapsed() < Duration::from_secs(10), "timed out");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        until(&|| fetched() > 0);
        bench.control.pause();
        std::thread::sleep(Duration::from_millis(150));
        let held = fetched();
        assert_eq!(bench.progress.status(&bench.control).step, InstallStep::Paused);
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(fetched(), held, "nothing arrives while paused");
        bench.control.resume();
        until(&|| fetched() > held);
        bench.control.stop();
        assert!(matches!(running.join().unwrap(), Err(InstallError::Stopped) | Ok(_)));
    });
    let here: u64 = files_of(&bench.repository().join("blobs")).iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let again = Bench { control: Arc::default(), ..bench };
    let state = ModelManager::with(&again.paths(), again.settings()).cards().unwrap().into_iter().find(|card| card.name == "tiny").unwrap();
    assert!(matches!(state.state, ModelState::Begun { bytes } if bytes == here) || matches!(state.state, ModelState::Ready { .. }));
    again.get_whole();
}

#[test]
fn offline_mode_uses_local_files_only() {
    let bench = Bench::new();
    let mut request = bench.request();
    request.settings.network = NetworkAccess::Offline;
    let offline = |request: &InstallRequest| install(request, &Arc::default(), &InstallProgress::default());
    match offline(&request) {
        Err(InstallError::Failed(error)) => assert!(error.message().contains("HF_HUB_OFFLINE"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(bench.hub.requests("").is_empty());
    let folder = bench.get_whole();
    let asked = bench.hub.requests("").len();
    assert_eq!(offline(&request).unwrap(), folder);
    assert_eq!(bench.hub.requests("").len(), asked);
}
