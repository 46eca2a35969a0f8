//! Installations on disks and caches in every state: full, read-only, damaged by a crash, shared with another program.

use super::*;

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_and_downloaded_bytes_are_kept() {
    let bench = Bench::new();
    bench.begun(SMALL, b"");
    // Every write to this file fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", bench.partial(LARGE)).unwrap();
    let error = bench.error();
    assert_eq!(error.kind(), ErrorKind::Output);
    assert!(error.message().contains("full"), "{error}");
    fs::remove_file(bench.partial(LARGE)).unwrap();
    let again = Bench { control: Arc::default(), ..bench };
    again.get_whole();
}

#[cfg(target_os = "linux")]
#[test]
fn a_model_without_disk_space_is_refused_before_any_download() {
    let bench = Bench::new();
    let text = "[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\nprepared_bytes = 1000000000000000000\n";
    fs::write(bench.home.path().join("config/catalog.toml"), text).unwrap();
    let error = bench.error();
    assert!(error.kind() == ErrorKind::Output && error.message().contains("free"), "{error}");
    assert_eq!(bench.hub.served(), 0);
}

#[test]
fn a_crash_before_the_last_step_costs_no_download() {
    let bench = Bench::new();
    bench.get_whole();
    // A crash before the last rename: all bytes are here, and nothing is linked yet.
    fs::rename(bench.blob(LARGE), bench.partial(LARGE)).unwrap();
    ["snapshots", "refs"].iter().for_each(|folder| fs::remove_dir_all(bench.repository().join(folder)).unwrap());
    assert!(hub::find_with(&choice(), &bench.paths(), &bench.settings()).is_err(), "an incomplete model was found");
    bench.hub.close();
    bench.get_whole();
    assert_eq!(bench.hub.served(), bench.hub.bytes());
}

#[test]
fn a_partial_file_damaged_by_a_crash_is_repaired() {
    let bench = Bench::new();
    let whole = bench.hub.file(LARGE);
    // Zeros at the end, as after a power failure; too many bytes; the right size with wrong bytes.
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
fn a_copy_of_another_program_is_used() {
    let first = Bench::new();
    first.get_whole();
    let bench = Bench { home: first.home, hub: first.hub, control: Arc::default(), progress: InstallProgress::default() };
    // Hearken's own record is gone.
    fs::remove_dir_all(bench.home.path().join("cache")).unwrap();
    let served = bench.hub.served();
    bench.get_whole();
    assert_eq!(bench.hub.served(), served);
}

#[test]
fn only_a_damaged_file_is_downloaded_again() {
    let bench = Bench::new();
    bench.get_whole();
    let served = bench.hub.served();
    let mut bytes = bench.hub.file(LARGE);
    bytes[1_000] ^= 4;
    fs::write(bench.blob(LARGE), &bytes).unwrap();
    assert!(hub::find_with(&choice(), &bench.paths(), &bench.settings()).is_err(), "a changed file is not loaded unverified");
    bench.get_whole();
    assert_eq!(bench.hub.served(), served + bytes.len() as u64);
}

#[cfg(unix)]
#[test]
fn broken_links_are_replaced() {
    let bench = Bench::new();
    let snapshot = bench.repository().join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(bench.repository().join("blobs")).unwrap();
    std::os::unix::fs::symlink("../../blobs/gone", snapshot.join(LARGE)).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", bench.blob(SMALL)).unwrap();
    bench.get_whole();
    assert!(fs::symlink_metadata(bench.blob(SMALL)).unwrap().is_file());
    // A link that breaks later.
    fs::remove_file(bench.blob(LARGE)).unwrap();
    let served = bench.hub.served();
    bench.get_whole();
    assert_eq!(bench.hub.served(), served + bench.hub.file(LARGE).len() as u64);
}

#[cfg(target_os = "linux")]
#[test]
fn an_unwritable_cache_is_named() {
    let bench = Bench::new();
    let mut request = bench.request();
    // Not even root can create a folder there.
    request.settings.cache = "/proc/hearken".into();
    match install(&request, &bench.control, &bench.progress) {
        Err(InstallError::Failed(error)) => {
            assert!(error.kind() == ErrorKind::Output && error.remedy() == Some(hearken::error::Remedy::SetCacheFolder), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.hub.served(), 0);
}

#[cfg(unix)]
#[test]
fn a_complete_copy_in_a_read_only_cache_is_used() {
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
    assert_eq!(times(), before, "root may write anywhere, so the times are compared");
}

#[test]
fn prepared_weights_need_no_originals_and_no_network() {
    let bench = Bench::new();
    let mut request = bench.request();
    (request.prepare, request.originals) = (PreparePrecision::Exactly(Precision::Q4), Originals::Remove);
    let folder = install(&request, &bench.control, &bench.progress).unwrap();
    assert!(folder.join("hearken-q4.gguf").is_file());
    assert!(!bench.repository().exists(), "the originals are gone");
    bench.hub.close();
    let found = hub::find_with(&choice(), &bench.paths(), &bench.settings()).unwrap();
    assert_eq!(found.folder, folder);
    Model::load(&folder, "tiny", None, ComputeDevice::Cpu).unwrap();
    assert_eq!(install(&request, &Arc::default(), &bench.progress).unwrap(), folder);
}

#[test]
fn prepared_weights_beside_the_originals_load_in_every_precision() {
    let bench = Bench::new();
    let mut request = bench.request();
    request.prepare = PreparePrecision::Exactly(Precision::Q8);
    let folder = install(&request, &bench.control, &bench.progress).unwrap();
    let served = bench.hub.served();
    for precision in [Precision::Q8, Precision::F32, Precision::Bf16] {
        Model::load(&folder, "tiny", Some(precision), ComputeDevice::Cpu).unwrap();
    }
    // A crash in the middle: partial weights, and no note that they are complete.
    fs::remove_file(folder.join("commit")).unwrap();
    fs::write(folder.join("hearken-q8.gguf.partial"), "half").unwrap();
    fs::write(folder.join("hearken-q8.gguf"), "damaged").unwrap();
    assert_eq!(install(&request, &bench.control, &bench.progress).unwrap(), folder);
    Model::load(&folder, "tiny", Some(Precision::Q8), ComputeDevice::Cpu).unwrap();
    assert_eq!(bench.hub.served(), served);
}

#[test]
fn the_manager_installs_a_model_in_the_background_and_removes_it() {
    let bench = Bench::new();
    let manager = ModelManager::with(&bench.paths(), bench.settings());
    let card = || manager.cards().unwrap().into_iter().find(|card| card.name == "tiny").unwrap();
    assert_eq!((card().state, card().accepted, manager.work("tiny")), (ModelState::Absent, false, None));
    let finish = || {
        let begun = Instant::now();
        loop {
            if let Some(end) = manager.work("tiny").unwrap().end {
                return end;
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    bench.hub.inject(LARGE, vec![HubFault::Cut(0); 9]);
    manager.download("tiny", Originals::Keep).unwrap();
    assert!(matches!(finish(), InstallEnd::Failed(error) if error.message().contains("kept")));
    bench.hub.clear_faults();
    manager.download("tiny", Originals::Keep).unwrap();
    assert_eq!(finish(), InstallEnd::Done);
    assert!(matches!(card().state, ModelState::Ready { bytes } if bytes >= bench.hub.bytes()) && card().accepted);
    assert!(manager.remove("starter").unwrap_err().message().contains("built in"));
    assert!(manager.remove("tiny").unwrap() >= bench.hub.bytes());
    assert_eq!(card().state, ModelState::Absent);
    assert!(!bench.repository().exists());
}

#[test]
fn a_changed_release_is_reported() {
    let bench = Bench::new();
    let text = format!("[[model]]\nname = \"tiny\"\nhub = \"tester/tiny\"\n[model.sums]\n\"{LARGE}\" = \"{}\"\n", "0".repeat(64));
    fs::write(bench.home.path().join("config/catalog.toml"), text).unwrap();
    bench.get_whole();
    let status = bench.progress.status(&bench.control);
    assert_eq!(status.changed_file.as_deref(), Some(LARGE));
    assert!(hub::control::status_line(&status).contains(&format!("{LARGE} differs from the catalogue: the release has changed")));
}
