//! `hearken model …` as a shell starts it: licences, exit codes, environment variables, two processes at once, a killed process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod hub_server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hub_server::{FakeHub, HubFault, name_of_blob};

const LARGE: &str = "model-00001-of-00002.safetensors";

struct Bench {
    hub: FakeHub,
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
        let names = [
            "model.safetensors.index.json",
            LARGE,
            "model-00002-of-00002.safetensors",
            "model_config.yaml",
            "audiointeraction_ChunkwisedEncoder.pth",
            "qwen25OmniConfig/config.json",
            "tokenizer.json",
            "token_ids.json",
        ];
        let hub = FakeHub::holding(names.map(|name| (name.to_owned(), fs::read(fixture.join(name)).unwrap())));
        Self { hub, home: tempfile::tempdir().unwrap() }
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
        command.arg("model").args(line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in
            ["HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"]
        {
            command.env_remove(name);
        }
        command.env("HEARKEN_HOME", self.home.path()).env("HF_HOME", self.home.path().join("hf")).env("HF_ENDPOINT", &self.hub.address);
        command
    }

    fn run(&self, line: &[&str]) -> Output {
        self.command(line).output().unwrap()
    }

    fn blobs(&self) -> PathBuf {
        self.home.path().join("hf/hub/models--tester--tiny/blobs")
    }

    fn partial(&self) -> PathBuf {
        self.blobs().join(format!("{}.hearken.partial", name_of_blob(&self.hub.file(LARGE))))
    }
}

const GET: &[&str] = &["download", "tester/tiny", "--accept-licence"];

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_hub_is_not_contacted_before_the_licences_are_accepted() {
    let bench = Bench::new();
    let output = bench.run(&["download", "3b"]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    assert!(err(&output).contains("Apache") && err(&output).contains("Qwen Research License") && err(&output).contains("--accept-licence"));
    assert!(bench.hub.requests("").is_empty());
    let listed = out(&bench.run(&["list"]));
    assert!(listed.contains("starter") && listed.contains("3b") && listed.contains("not here"), "{listed}");
}

#[test]
fn a_model_is_downloaded_verified_quantised_used_and_removed() {
    let bench = Bench::new();
    let output = bench.run(GET);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let folder = out(&output).trim().to_owned();
    assert_eq!(out(&bench.run(&["path", "tester/tiny"])).trim(), folder);
    assert!(err(&output).contains("licence") && err(&output).contains("preparing in 32-bit floats"), "{}", err(&output));
    let verified = bench.run(&["verify", "tester/tiny"]);
    assert_eq!((verified.status.code(), out(&verified).matches("whole").count()), (Some(0), 8), "{}", out(&verified));

    let blob = bench.blobs().join(name_of_blob(&bench.hub.file(LARGE)));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[77] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let verified = bench.run(&["verify", "tester/tiny"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(out(&verified).contains(&format!("damaged   {LARGE}")) && err(&verified).contains("repairs"), "{}", out(&verified));
    let served = bench.hub.served();
    assert_eq!(bench.run(GET).status.code(), Some(0));
    assert_eq!(bench.hub.served(), served + bytes.len() as u64);

    let quantised = bench.run(&["quantize", "tester/tiny", "--precision", "q8"]);
    assert_eq!(quantised.status.code(), Some(0), "{}", err(&quantised));
    assert!(out(&quantised).trim().ends_with("hearken-q8.gguf") && Path::new(out(&quantised).trim()).is_file());
    let verified = bench.run(&["verify", "tester/tiny"]);
    assert_eq!((verified.status.code(), out(&verified).matches("whole").count()), (Some(0), 9), "{}", out(&verified));
    let wav = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav/d1_speech_7p3s.wav");
    let mut listen = bench.command(&[]);
    listen = {
        let mut fresh = Command::new(env!("CARGO_BIN_EXE_hearken"));
        for (name, value) in listen.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            fresh.env(name, value);
        }
        fresh
    };
    let heard = listen.args(["listen", "--model", "tester/tiny", "--modes", "dialog"]).arg(wav).output().unwrap();
    assert_eq!(heard.status.code(), Some(0), "{}", err(&heard));

    assert_eq!(bench.run(&["remove", "tester/tiny"]).status.code(), Some(2), "it asks first");
    let removed = bench.run(&["remove", "tester/tiny", "--yes"]);
    assert_eq!(removed.status.code(), Some(0), "{}", err(&removed));
    assert!(!bench.blobs().exists());
    let gone = bench.run(&["path", "tester/tiny"]);
    assert!(
        gone.status.code() == Some(2) && err(&gone).contains("tester/tiny is not here. Download it with `hearken model download`"),
        "{}",
        err(&gone)
    );
}

#[test]
fn impossible_requests_exit_2_with_one_sentence() {
    let bench = Bench::new();
    bench.hub.inject("api", [HubFault::Status(401, "X: y")]);
    for (line, says) in [
        (GET, "HF_TOKEN"),
        (&["download", "nothing", "--accept-licence"][..], "not in the catalogue"),
        (&["verify", "3b"], "not here"),
        (&["quantize", "3b"], "not here"),
        (&["remove", "starter", "--yes"], "built in"),
        (&["download", "3b", "--precision", "q5"], "q4"),
    ] {
        let output = bench.run(line);
        assert_eq!(output.status.code(), Some(2), "{line:?}");
        assert!(err(&output).contains(says), "{line:?}: {}", err(&output));
    }
    let offline = bench.command(GET).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(offline.status.code() == Some(2) && err(&offline).contains("HF_HUB_OFFLINE"), "{}", err(&offline));
}

#[test]
fn two_processes_download_every_byte_once() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Slow, HubFault::Slow]);
    let both: Vec<_> = (0..2).map(|_| bench.command(GET).spawn().unwrap()).collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    }
    assert_eq!(bench.hub.served(), bench.hub.bytes());
}

#[test]
fn a_killed_process_loses_no_downloaded_bytes() {
    let bench = Bench::new();
    bench.hub.inject(LARGE, [HubFault::Stall(500_000)]);
    let mut child = bench.command(GET).spawn().unwrap();
    let begun = Instant::now();
    while fs::metadata(bench.partial()).map_or(0, |m| m.len()) < 500_000 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the download never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    bench.hub.clear_faults();
    let output = bench.run(GET);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(bench.hub.served_of(LARGE), bench.hub.file(LARGE).len() as u64 + hearken::hub::fetch::OVERLAP);
}

#[test]
fn the_token_is_sent_to_the_hub_only() {
    let bench = Bench::new();
    let output = bench.command(GET).env("HF_TOKEN", "hf_secret").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let to_hub: Vec<String> = bench.hub.requests("/tester/tiny").into_iter().filter(|request| !request.contains("/cdn/")).collect();
    assert!(!to_hub.is_empty() && to_hub.iter().all(|request| request.contains("Bearer hf_secret")), "{to_hub:?}");
    let to_others = bench.hub.requests("/cdn/");
    assert!(!to_others.is_empty() && to_others.iter().all(|request| !request.contains("Bearer")));
    assert!(!err(&output).contains("hf_secret"));
}

#[test]
fn a_proxy_is_used() {
    let bench = Bench::new();
    let output = bench.command(GET).env("HF_ENDPOINT", "http://hub.invalid").env("HTTP_PROXY", &bench.hub.address).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(!bench.hub.requests("http://hub.invalid/").is_empty());
}
