//! Getting a model from a hub that misbehaves in every way that hubs do: nothing wrong is ever loaded, and nothing that is here is
//! fetched again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod hub_server;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearken::config::{ComputeDevice, Originals, Paths, Precision};
use hearken::error::{Error, ErrorKind};
use hearken::hub::control::{Board, Control};
use hearken::hub::fetch::{Ended, SEAM};
use hearken::hub::obtain::{Order, Prepare, obtain};
use hearken::hub::settings::{HubSettings, Line, Patience};
use hearken::hub::{self, ModelManager, catalog};
use hearken::model::Model;
use hearken::protocol::ModelChoice;
use hearken::protocol::models::{InstallEnd, InstallStep, ModelState};
use hub_server::{COMMIT, Hub, Wrong, name_of_blob};

/// A file that lies on the second host, and one that lies in git.
const LARGE: &str = "model-00001-of-00002.safetensors";
const SMALL: &str = "model_config.yaml";

/// A hub that holds the model of the fixture, and a machine that has nothing of it.
struct Bench {
    hub: Hub,
    home: tempfile::TempDir,
    control: Arc<Control>,
    board: Board,
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
        let hub = Hub::holding(files_of(&fixture()).into_iter().filter(|(name, _)| wanted(name)));
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("config")).unwrap();
        fs::write(home.path().join("config/catalog.toml"), "[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\n").unwrap();
        Self { hub, home, control: Arc::default(), board: Board::default() }
    }

    fn paths(&self) -> Paths {
        Paths::inside(self.home.path())
    }

    fn settings(&self) -> HubSettings {
        let patience = Patience {
            stall: Duration::from_millis(400),
            back_off: Duration::from_millis(5),
            longest: Duration::from_secs(3),
            attempts: 4,
        };
        HubSettings { endpoint: Some(self.hub.address.clone()), cache: self.home.path().join("hf/hub"), line: Line::Open, patience }
    }

    fn order(&self) -> Order {
        let entry = catalog::resolve(&choice(), &self.paths()).unwrap().unwrap();
        let (settings, paths) = (self.settings(), self.paths());
        Order { entry, settings, paths, prepare: Prepare::Suitable, originals: Originals::Keep }
    }

    fn get(&self) -> Result<PathBuf, Ended> {
        obtain(&self.order(), &self.control, &self.board)
    }

    /// Gets the model, and looks at every byte of it.
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

    /// The error with which getting it ends. What is not here in full must not be found.
    fn error(&self) -> Error {
        let error = match self.get() {
            Err(Ended::Failed(error)) => error,
            other => panic!("it should have failed: {other:?}"),
        };
        assert!(hub::find_with(&choice(), &self.paths(), &self.settings()).is_err(), "what is not whole was found");
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

    /// As if `bytes` of the file `name` had been fetched before a crash.
    fn begun(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.repository().join("blobs")).unwrap();
        fs::write(self.partial(name), bytes).unwrap();
    }
}

#[test]
fn a_model_is_fetched_checked_and_found_in_the_layout_that_all_programs_share() {
    let bench = Bench::new();
    let folder = bench.get_whole();
    assert_eq!(folder, bench.repository().join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(bench.repository().join("refs/main")).unwrap(), COMMIT);
    let link = fs::read_link(folder.join("qwen25OmniConfig/config.json")).unwrap();
    assert!(link.starts_with("../../../blobs"), "{}", link.display());
    assert!(bench.blob(LARGE).is_file() && bench.blob(SMALL).is_file());
    let names: BTreeSet<String> = files_of(&bench.repository().join("blobs")).into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| [40, 64].contains(&name.len())), "nothing but blobs is left: {names:?}");
    assert_eq!(bench.hub.served(), bench.hub.bytes(), "every byte once");
    assert_eq!(bench.get_whole(), folder);
    assert_eq!(bench.hub.served(), bench.hub.bytes(), "and never again");
}

#[test]
fn a_download_that_is_cut_at_any_byte_goes_on_where_it_was() {
    let size = Bench::new().hub.file(LARGE).len();
    for at in [0, 1, SEAM as usize - 1, SEAM as usize, SEAM as usize + 1, 8_191, size / 2, size - 1] {
        let bench = Bench::new();
        bench.hub.will(LARGE, [Wrong::Cut(at)]);
        bench.get_whole();
        let again = bench.hub.served_of(LARGE) - size as u64;
        assert!(again <= SEAM, "cut at {at}: {again} bytes came twice");
    }
}

#[test]
fn a_download_that_failed_goes_on_where_it_was_when_it_is_asked_for_again() {
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Cut(300_000), Wrong::Cut(0), Wrong::Cut(0), Wrong::Cut(0), Wrong::Cut(0)]);
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert!(error.message().contains(LARGE) && error.message().contains("kept"), "{error}");
    assert_eq!(fs::metadata(bench.partial(LARGE)).unwrap().len(), 300_000);
    bench.hub.recovers();
    let again = Bench { control: Arc::default(), ..bench };
    again.get_whole();
    assert_eq!(again.hub.served(), again.hub.bytes() + SEAM);
    assert!(!again.hub.requests(&format!("Some(({}, ", 300_000 - SEAM)).is_empty());
}

#[test]
fn a_part_from_another_place_is_not_taken() {
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Cut(300_000), Wrong::OtherRange]);
    bench.get_whole();
    assert!(bench.hub.requests(LARGE).iter().filter(|r| r.contains(&format!("({},", 300_000 - SEAM))).count() >= 2, "asked again");
}

#[test]
fn a_hub_that_keeps_sending_another_part_is_asked_for_the_whole_file() {
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Cut(300_000), Wrong::OtherRange, Wrong::OtherRange]);
    bench.get_whole();
}

#[test]
fn a_hub_that_ignores_the_range_loses_nothing_of_what_is_here() {
    let bench = Bench::new();
    let size = bench.hub.file(LARGE).len() as u64;
    bench.hub.will(LARGE, [Wrong::Cut(300_000), Wrong::NoRange]);
    bench.get_whole();
    assert_eq!(bench.hub.served_of(LARGE), size + 300_000, "the hub sent it all again, and what was here passed by");
}

#[test]
fn nothing_beyond_the_end_and_a_whole_file_here_is_a_whole_file() {
    let bench = Bench::new();
    let size = bench.hub.file(LARGE).len() as u64;
    // The hub claims more than there is: the file comes in full, and there is no more.
    bench.hub.change(LARGE, |file| file.claimed = Some(size + 1_000));
    bench.get().unwrap();
    assert_eq!(fs::read(bench.blob(LARGE)).unwrap(), bench.hub.file(LARGE));
    assert!(bench.hub.served_of(LARGE) <= size + SEAM);
}

#[test]
fn nothing_beyond_the_end_and_half_a_file_here_begins_anew() {
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Cut(300_000), Wrong::Status(416, "X: y")]);
    bench.get_whole();
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Status(416, "X: y"), Wrong::Status(416, "X: y")]);
    assert!(bench.error().message().contains("416"));
}

#[test]
fn a_connection_that_falls_silent_is_given_up_and_taken_up_again() {
    let bench = Bench::new();
    let size = bench.hub.file(LARGE).len() as u64;
    bench.hub.will(LARGE, [Wrong::Stall(100_000)]);
    let begun = Instant::now();
    bench.get_whole();
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    assert!(bench.hub.served_of(LARGE) <= size + SEAM);
}

#[test]
fn a_hub_that_never_answers_is_not_waited_for_without_end() {
    let bench = Bench::new();
    bench.hub.will("api", [Wrong::Stall(0), Wrong::Stall(0), Wrong::Stall(0), Wrong::Stall(0)]);
    let begun = Instant::now();
    let error = bench.error();
    assert!(begun.elapsed() < Duration::from_secs(3) && error.message().contains("does not answer"), "{error}");
}

#[test]
fn who_may_not_read_it_is_told_so_at_once() {
    for (status, kind, says) in [(401, ErrorKind::Access, "HF_TOKEN"), (403, ErrorKind::Access, "403"), (404, ErrorKind::Model, "404")] {
        let bench = Bench::new();
        bench.hub.will("api", [Wrong::Status(status, "X: y")]);
        let error = bench.error();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(says) && error.message().contains("tester/tiny"), "{error}");
        assert_eq!(bench.hub.requests("/api/").len(), 1, "asked once");
        let bench = Bench::new();
        bench.hub.will(LARGE, [Wrong::Status(status, "X: y")]);
        let error = bench.error();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(LARGE), "{error}");
    }
}

#[test]
fn a_hub_that_is_asked_too_often_is_left_alone_for_as_long_as_it_wants() {
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Status(429, "Retry-After: 1")]);
    let begun = Instant::now();
    bench.get_whole();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(bench.hub.served(), bench.hub.bytes());
}

#[test]
fn a_hub_in_trouble_is_tried_again_but_not_for_ever() {
    let bench = Bench::new();
    bench.hub.will(LARGE, [Wrong::Status(503, "X: y"), Wrong::Status(500, "X: y"), Wrong::Status(502, "X: y")]);
    bench.hub.will("api", [Wrong::Status(504, "X: y")]);
    bench.get_whole();
    assert_eq!(bench.hub.served(), bench.hub.bytes());
    let bench = Bench::new();
    bench.hub.will(LARGE, vec![Wrong::Status(503, "X: y"); 9]);
    let error = bench.error();
    assert!(error.kind() == ErrorKind::Network && error.message().contains("503"), "{error}");
    assert_eq!(bench.hub.requests("GET").iter().filter(|r| r.contains("/cdn/") && r.contains(LARGE)).count(), 4);
}

#[test]
fn wrong_bytes_are_fetched_once_more_and_then_reported() {
    for name in [LARGE, SMALL] {
        let bench = Bench::new();
        bench.hub.will(name, [Wrong::Flipped]);
        bench.get_whole();
        let size = bench.hub.file(name).len() as u64;
        assert_eq!(bench.hub.served_of(name), 2 * size);
        let bench = Bench::new();
        bench.hub.will(name, [Wrong::Flipped, Wrong::Flipped, Wrong::Flipped]);
        let error = bench.error();
        assert!(error.message().contains(name) && error.message().contains("checksum"), "{error}");
        assert_eq!(bench.hub.served_of(name), 2 * size, "twice, and no more");
        assert!(!bench.blob(name).exists() && !bench.partial(name).exists(), "nothing of it is kept");
        assert!(!bench.repository().join("snapshots").exists());
    }
}

#[test]
fn a_file_of_another_size_is_not_taken() {
    let bench = Bench::new();
    bench.hub.will(LARGE, vec![Wrong::Resized(10); 3]);
    assert!(bench.error().message().contains("more bytes"));
    assert!(!bench.blob(LARGE).exists());
    let bench = Bench::new();
    // A shorter one is taken for one that was cut.
    bench.hub.will(LARGE, [Wrong::Resized(-1_000)]);
    bench.get_whole();
}

#[test]
fn a_page_instead_of_the_hub_is_not_taken_for_a_model() {
    let page = "<html>Please sign in to this network</html>";
    let bench = Bench::new();
    bench.hub.will("api", [Wrong::Page(page)]);
    let error = bench.error();
    assert!(error.kind() == ErrorKind::Network && error.message().contains("sign in"), "{error}");
    let bench = Bench::new();
    bench.hub.will(SMALL, vec![Wrong::Page(page); 9]);
    bench.error();
    assert!(!bench.blob(SMALL).exists());
}

#[test]
fn a_list_that_leads_out_of_the_cache_is_refused() {
    let mut files = files_of(&fixture());
    files.push(("../../../escaped.safetensors".into(), vec![1; 10]));
    let bench = Bench { hub: Hub::holding(files), ..Bench::new() };
    let text = "[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\nfiles = [\"../../../*.safetensors\"]\n";
    fs::write(bench.home.path().join("config/catalog.toml"), text).unwrap();
    assert!(bench.error().message().contains("no file of a model"));
    assert_eq!(bench.hub.served(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_and_what_was_fetched_before_is_kept() {
    let bench = Bench::new();
    bench.begun(SMALL, b"");
    // Every write to this one fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", bench.partial(LARGE)).unwrap();
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.message().contains("room"), "{error}");
    fs::remove_file(bench.partial(LARGE)).unwrap();
    let again = Bench { control: Arc::default(), ..bench };
    again.get_whole();
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_disk_has_no_room_for_is_refused_before_anything_is_fetched() {
    let bench = Bench::new();
    let text = "[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\nprepared_bytes = 1000000000000000000\n";
    fs::write(bench.home.path().join("config/catalog.toml"), text).unwrap();
    let error = bench.error();
    assert!(error.kind() == ErrorKind::Output && error.message().contains("free"), "{error}");
    assert_eq!(bench.hub.served(), 0);
}

#[test]
fn a_crash_before_the_last_step_costs_neither_bytes_nor_a_network() {
    let bench = Bench::new();
    bench.get_whole();
    // As a crash leaves it when all bytes are here and the last file has not got its name: nothing is linked yet.
    fs::rename(bench.blob(LARGE), bench.partial(LARGE)).unwrap();
    ["snapshots", "refs"].iter().for_each(|folder| fs::remove_dir_all(bench.repository().join(folder)).unwrap());
    assert!(hub::find_with(&choice(), &bench.paths(), &bench.settings()).is_err(), "what is not whole was found");
    bench.hub.close();
    bench.get_whole();
    assert_eq!(bench.hub.served(), bench.hub.bytes());
}

#[test]
fn a_crash_that_left_something_else_is_mended() {
    let bench = Bench::new();
    let whole = bench.hub.file(LARGE);
    // Zeros at its end, as after a power failure; more than there is of it; the right size and wrong bytes.
    let zeros = [&whole[..200_000], &[0; 4_096][..]].concat();
    let longer = [&whole[..], b"more"].concat();
    let other = vec![5; whole.len()];
    for left in [zeros, longer, other] {
        let bench = Bench::new();
        bench.begun(LARGE, &left);
        bench.get_whole();
        assert!(!bench.partial(LARGE).exists());
    }
}

#[test]
fn a_copy_that_another_program_fetched_is_used() {
    let first = Bench::new();
    first.get_whole();
    let bench = Bench { home: first.home, hub: first.hub, control: Arc::default(), board: Board::default() };
    // Hearken knows nothing of it.
    fs::remove_dir_all(bench.home.path().join("cache")).unwrap();
    let served = bench.hub.served();
    bench.get_whole();
    assert_eq!(bench.hub.served(), served);
}

#[test]
fn a_damaged_copy_is_replaced_and_nothing_else() {
    let bench = Bench::new();
    bench.get_whole();
    let served = bench.hub.served();
    let mut bytes = bench.hub.file(LARGE);
    bytes[1_000] ^= 4;
    fs::write(bench.blob(LARGE), &bytes).unwrap();
    assert!(hub::find_with(&choice(), &bench.paths(), &bench.settings()).is_err(), "what has changed is not loaded unchecked");
    bench.get_whole();
    assert_eq!(bench.hub.served(), served + bytes.len() as u64);
}

#[cfg(unix)]
#[test]
fn links_that_lead_nowhere_are_replaced() {
    let bench = Bench::new();
    let snapshot = bench.repository().join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(bench.repository().join("blobs")).unwrap();
    std::os::unix::fs::symlink("../../blobs/gone", snapshot.join(LARGE)).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", bench.blob(SMALL)).unwrap();
    bench.get_whole();
    assert!(fs::symlink_metadata(bench.blob(SMALL)).unwrap().is_file());
    // And one that comes to lead nowhere later.
    fs::remove_file(bench.blob(LARGE)).unwrap();
    let served = bench.hub.served();
    bench.get_whole();
    assert_eq!(bench.hub.served(), served + bench.hub.file(LARGE).len() as u64);
}

#[cfg(target_os = "linux")]
#[test]
fn a_cache_that_cannot_be_written_to_is_named() {
    let bench = Bench::new();
    let mut order = bench.order();
    // Not even root makes a folder there.
    order.settings.cache = "/proc/hearken".into();
    match obtain(&order, &bench.control, &bench.board) {
        Err(Ended::Failed(error)) => {
            assert!(error.kind() == ErrorKind::Output && error.remedy() == Some(hearken::error::Remedy::SetCacheFolder), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.hub.served(), 0);
}

#[cfg(unix)]
#[test]
fn a_complete_copy_in_a_cache_that_cannot_be_written_to_is_used() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.get_whole();
    fs::remove_dir_all(bench.home.path().join("cache")).unwrap();
    let folders = ["blobs", "snapshots", "refs"].map(|name| bench.repository().join(name));
    let times = || folders.each_ref().map(|folder| fs::metadata(folder).unwrap().modified().unwrap());
    let before = times();
    let all = || folders.iter().chain([bench.repository()].iter()).cloned().collect::<Vec<_>>();
    let permit = |mode| all().iter().for_each(|folder| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap());
    permit(0o555);
    bench.get_whole();
    permit(0o755);
    assert_eq!(times(), before, "root may write anywhere, so the times have to tell");
}

#[test]
fn a_download_is_held_goes_on_and_is_stopped_with_all_that_was_fetched() {
    let bench = Bench::new();
    bench.hub.will(LARGE, vec![Wrong::Slow; 4]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| bench.get());
        let fetched = || bench.board.read(&bench.control).done;
        let until = |what: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !what() {
                assert!(begun.elapsed() < Duration::from_secs(10), "it never came to that");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        until(&|| fetched() > 0);
        bench.control.pause();
        std::thread::sleep(Duration::from_millis(150));
        let held = fetched();
        assert_eq!(bench.board.read(&bench.control).step, InstallStep::Paused);
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(fetched(), held, "nothing comes while it is held");
        bench.control.resume();
        until(&|| fetched() > held);
        bench.control.stop();
        assert!(matches!(running.join().unwrap(), Err(Ended::Stopped) | Ok(_)));
    });
    let here: u64 = files_of(&bench.repository().join("blobs")).iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let again = Bench { control: Arc::default(), ..bench };
    let state = ModelManager::with(&again.paths(), again.settings()).cards().unwrap().into_iter().find(|card| card.name == "tiny").unwrap();
    assert!(matches!(state.state, ModelState::Begun { bytes } if bytes == here) || matches!(state.state, ModelState::Ready { .. }));
    again.get_whole();
}

#[test]
fn without_a_network_what_is_here_is_used_and_nothing_else_is_tried() {
    let bench = Bench::new();
    let mut order = bench.order();
    order.settings.line = Line::Offline;
    let offline = |order: &Order| obtain(order, &Arc::default(), &Board::default());
    match offline(&order) {
        Err(Ended::Failed(error)) => assert!(error.message().contains("HF_HUB_OFFLINE"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(bench.hub.requests("").is_empty());
    let folder = bench.get_whole();
    let asked = bench.hub.requests("").len();
    assert_eq!(offline(&order).unwrap(), folder);
    assert_eq!(bench.hub.requests("").len(), asked);
}

#[test]
fn prepared_weights_need_neither_the_originals_nor_a_network() {
    let bench = Bench::new();
    let mut order = bench.order();
    (order.prepare, order.originals) = (Prepare::As(Precision::Q4), Originals::Remove);
    let folder = obtain(&order, &bench.control, &bench.board).unwrap();
    assert!(folder.join("hearken-q4.gguf").is_file());
    assert!(!bench.repository().exists(), "the originals are gone");
    bench.hub.close();
    let found = hub::find_with(&choice(), &bench.paths(), &bench.settings()).unwrap();
    assert_eq!(found.folder, folder);
    Model::load(&folder, "tiny", None, ComputeDevice::Cpu).unwrap();
    assert_eq!(obtain(&order, &Arc::default(), &bench.board).unwrap(), folder);
}

#[test]
fn prepared_weights_beside_the_originals_serve_every_precision() {
    let bench = Bench::new();
    let mut order = bench.order();
    order.prepare = Prepare::As(Precision::Q8);
    let folder = obtain(&order, &bench.control, &bench.board).unwrap();
    let served = bench.hub.served();
    for precision in [Precision::Q8, Precision::F32, Precision::Bf16] {
        Model::load(&folder, "tiny", Some(precision), ComputeDevice::Cpu).unwrap();
    }
    // A crash in the middle leaves the weights unfinished, and the note that they are ready unwritten.
    fs::remove_file(folder.join("commit")).unwrap();
    fs::write(folder.join("hearken-q8.gguf.partial"), "half").unwrap();
    fs::write(folder.join("hearken-q8.gguf"), "damaged").unwrap();
    assert_eq!(obtain(&order, &bench.control, &bench.board).unwrap(), folder);
    Model::load(&folder, "tiny", Some(Precision::Q8), ComputeDevice::Cpu).unwrap();
    assert_eq!(bench.hub.served(), served);
}

#[test]
fn the_shelf_gets_a_model_in_the_background_and_removes_it() {
    let bench = Bench::new();
    let shelf = ModelManager::with(&bench.paths(), bench.settings());
    let card = || shelf.cards().unwrap().into_iter().find(|card| card.name == "tiny").unwrap();
    assert_eq!((card().state, card().accepted, shelf.work("tiny")), (ModelState::Absent, false, None));
    let finish = || {
        let begun = Instant::now();
        loop {
            if let Some(end) = shelf.work("tiny").unwrap().end {
                return end;
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    bench.hub.will(LARGE, vec![Wrong::Cut(0); 9]);
    shelf.download("tiny", Originals::Keep).unwrap();
    assert!(matches!(finish(), InstallEnd::Failed(why) if why.contains("kept")));
    bench.hub.recovers();
    shelf.download("tiny", Originals::Keep).unwrap();
    assert_eq!(finish(), InstallEnd::Done);
    assert!(matches!(card().state, ModelState::Ready { bytes } if bytes >= bench.hub.bytes()) && card().accepted);
    assert!(shelf.remove("starter").unwrap_err().message().contains("built in"));
    assert!(shelf.remove("tiny").unwrap() >= bench.hub.bytes());
    assert_eq!(card().state, ModelState::Absent);
    assert!(!bench.repository().exists());
}

#[test]
fn a_release_that_has_changed_since_the_catalogue_was_written_is_said() {
    let bench = Bench::new();
    let text = format!("[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\n[model.sums]\n\"{LARGE}\" = \"{}\"\n", "0".repeat(64));
    fs::write(bench.home.path().join("config/catalog.toml"), text).unwrap();
    bench.get_whole();
    assert!(bench.board.read(&bench.control).note.is_some_and(|note| note.contains(LARGE) && note.contains("changed")));
}
