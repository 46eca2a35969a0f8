//! The fuzz targets. Each takes arbitrary bytes, and must not panic, hang or allocate without bound. Run by `tests/fuzzing.rs`
//! (seeded) and by `cargo fuzz` (`fuzz_targets`).
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test; each user uses a part")]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Parser;
use hearken::audio::file::FileSource;
use hearken::audio::{Source, SourceEvent};
use hearken::config::{CatchUp, Cli, ContextPolicy, Paths, RawEncoding, RawFormat, Stdout, WindowPrefs, all_modes, settings_problems};
use hearken::export::CueBuilder;
use hearken::history::Store;
use hearken::lane::context::Context;
use hearken::lane::{Ask, ChunkMeta, Decision, Follows, Goal, Lane, LaneConfig, LaneEvent, OnLoop, Priority};
use hearken::model::checkpoint::Checkpoint;
use hearken::model::config::{AudioConfig, LmConfig};
use hearken::model::gguf::Gguf;
use hearken::model::kernels::Bits;
use hearken::model::pickle::TorchFile;
use hearken::model::quantised::Quantised;
use hearken::model::text::Vocabulary;
use hearken::model::token_ids::TokenIds;
use hearken::model::weights::{MatrixShape, Weights};
use hearken::protocol::{Event, Language, StopReason};
use hearken::time::{ChunkIdx, StreamTime};
use hearken::transcript::Transcript;

/// Limit of samples read from one input: half an hour.
const MAX_SAMPLES: usize = 16_000 * 1_800;
/// Size of the lane's context window, in tokens.
const WINDOW: usize = 512;
/// Fuzzed files of a checkpoint; the first byte of an input selects one.
pub const CHECKPOINT_FILES: [&str; 7] = [
    "model_config.yaml",
    "token_ids.json",
    "model.safetensors.index.json",
    "qwen25OmniConfig/config.json",
    "tokenizer.json",
    "model-00002-of-00002.safetensors",
    "audiointeraction_ChunkwisedEncoder.pth",
];
/// Extensions of sound files; the first byte of an input selects one.
pub const SOUNDS: [&str; 13] = ["wav", "flac", "mp3", "ogg", "m4a", "opus", "webm", "aiff", "caf", "mkv", "au", "w64", "aac"];
/// Files of a settings folder; the first byte of an input selects one.
pub const SETTINGS_FILES: [&str; 3] = ["settings.toml", "modes.toml", "catalog.toml"];

/// Returns the temporary folder of this process.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// Reads `source` to its end.
fn drain(mut source: impl Source) {
    let (mut samples, mut heard, mut idle) = (Vec::new(), 0, 0);
    // A source that reports problems forever would hang a session.
    while heard < MAX_SAMPLES && idle < 100_000 {
        match source.next(&mut samples) {
            Ok(SourceEvent::End) | Err(_) => return,
            Ok(SourceEvent::Samples(n)) => {
                assert_eq!(n, samples.len(), "the event counts the samples");
                assert!(samples.iter().all(|x| x.is_finite()), "all samples are finite");
                (heard, idle) = (heard + n, if n == 0 { idle + 1 } else { 0 });
                samples.clear();
            }
            Ok(_) => idle += 1,
        }
    }
    assert!(heard >= MAX_SAMPLES, "the source does not end");
}

/// Reads sound files of every kind.
pub fn audio(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let path = folder().join(format!("sound.{}", SOUNDS[usize::from(*kind) % SOUNDS.len()]));
    fs::write(&path, bytes).unwrap();
    if let Ok(source) = FileSource::open(&[path]) {
        drain(source);
    }
}

/// Reads sound of every kind from a pipe.
pub fn audio_pipe(data: &[u8]) {
    let Some((_, bytes)) = data.split_first() else { return };
    if let Ok(source) = FileSource::stream(Cursor::new(bytes.to_vec()), "stdin", None) {
        drain(source);
    }
}

/// Reads sound without a header; the first byte selects its form.
pub fn audio_raw(data: &[u8]) {
    use RawEncoding::{ALaw, F32Be, F32Le, F64Le, MuLaw, S8, S16Be, S16Le, S24Be, S24Le, S32Le, U8};
    const ENCODINGS: [RawEncoding; 12] = [ALaw, F32Be, F32Le, F64Le, MuLaw, S8, S16Be, S16Le, S24Be, S24Le, S32Le, U8];
    let Some((kind, bytes)) = data.split_first() else { return };
    let kind = usize::from(*kind);
    let (rate_hz, channels) = ([1_000, 8_000, 16_000, 44_100, 768_000][kind % 5], [1, 2, 6, 64][kind % 4]);
    let raw = RawFormat { encoding: ENCODINGS[kind % ENCODINGS.len()], rate_hz, channels };
    if let Ok(source) = FileSource::stream(Cursor::new(bytes.to_vec()), "stdin", Some(raw)) {
        drain(source);
    }
}

/// Copies the fixture model into a folder where it can be damaged.
fn fixture_copy() -> &'static Path {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    COPY.get_or_init(|| {
        let (from, to) = (Path::new(env!("CARGO_MANIFEST_DIR")), folder().join("model"));
        let fixture = ["models/fixture", "../../models/fixture"].map(|at| from.join(at)).into_iter().find(|at| at.exists()).unwrap();
        fs::create_dir_all(to.join("qwen25OmniConfig")).unwrap();
        for file in CHECKPOINT_FILES.iter().chain(&["model-00001-of-00002.safetensors"]) {
            fs::copy(fixture.join(file), to.join(file)).unwrap();
        }
        to
    })
}

/// Reads a checkpoint with one damaged file, or a quantised file.
pub fn checkpoint(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let which = usize::from(*which) % (CHECKPOINT_FILES.len() + 1);
    let Some(name) = CHECKPOINT_FILES.get(which) else { return quantised(bytes) };
    let (dir, file) = (fixture_copy(), fixture_copy().join(name));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, bytes).unwrap();
    read_checkpoint(dir);
    if name.ends_with("pth")
        && let Ok(torch) = TorchFile::open(&file)
    {
        for name in torch.names().map(str::to_owned).collect::<Vec<_>>() {
            let _ = (torch.shape(&name).is_ok(), torch.tensor(&name).is_ok());
        }
    }
    fs::write(&file, whole).unwrap();
}

fn read_checkpoint(dir: &Path) {
    let (lm, _) = (LmConfig::read(dir), AudioConfig::read(dir));
    if let Ok(lm) = &lm {
        let _ = (lm.weights(), lm.groups(), lm.head(), lm.intermediate());
        if let Ok(ids) = TokenIds::read(dir, lm.padded_vocab_size)
            && let Ok(vocabulary) = Vocabulary::read(dir, &ids, lm.padded_vocab_size)
        {
            let _ = (vocabulary.encode("Could you tell me the time?"), vocabulary.decode(&[0, 1, 5, u32::MAX]));
        }
    }
    let Ok(checkpoint) = Checkpoint::open(dir) else { return };
    let _ = (checkpoint.identity(), checkpoint.fingerprint("q4"));
    for (name, shape) in checkpoint.shapes().unwrap_or_default() {
        // Skips tensors larger than any file of the fixture.
        if shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n)).is_some_and(|all| all < 1 << 24) && !shape.is_empty() {
            let rows = shape[0].min(16);
            let _ = (checkpoint.vector(&name, &shape).is_ok(), checkpoint.block(&name, &shape, 0..rows).is_ok());
        }
    }
}

fn quantised(bytes: &[u8]) {
    let path = folder().join("hearken-q8.gguf");
    fs::write(&path, bytes).unwrap();
    if let Ok(file) = Gguf::open(&path) {
        for name in file.names() {
            let _ = file.tensor(name).map(|(entry, range)| (entry.bytes(), file.path().exists(), range.len()));
        }
    }
    for bits in [Bits::Eight, Bits::Four] {
        if let Ok(file) = Quantised::open(&path, bits) {
            let _ = (
                file.packed("lm_head.weight", MatrixShape::new(768, 96), bits).is_ok(),
                file.vector("transformer.ln_f.weight", &[96]).is_ok(),
            );
        }
    }
}

/// Reads settings, modes and catalogue of a user.
pub fn settings(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let paths = Paths::inside(&folder().join("home"));
    fs::create_dir_all(&paths.config).unwrap();
    for file in SETTINGS_FILES {
        let _ = fs::remove_file(paths.config.join(file));
    }
    fs::write(paths.config.join(SETTINGS_FILES[usize::from(*which) % SETTINGS_FILES.len()]), bytes).unwrap();
    let _ = (all_modes(&paths, Language::Chinese).is_ok(), hearken::hub::catalog::all(&paths).is_ok());
    let (_, wrong) = WindowPrefs::read(&paths);
    assert!(wrong.len() < 1_000 && settings_problems(&paths).len() < 1_000, "problems are reported in a few lines");
    for typed in [&["hearken"][..], &["hearken", "listen", "sound.wav"]] {
        if let Ok(cli) = Cli::try_parse_from(typed) {
            let _ = cli.request(&paths, Stdout::Redirected).is_ok();
        }
    }
}

/// Reads a history database as the window and the commands do, or stored events, one per line.
pub fn history(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    if which.is_multiple_of(2) { events(bytes) } else { database(bytes) }
}

fn events(bytes: &[u8]) {
    let nothing = || Transcript::new(std::collections::BTreeMap::new());
    let (mut transcript, mut cues) = (nothing(), CueBuilder::new([]));
    for line in bytes.split(|b| *b == b'\n') {
        if let Ok(event) = serde_json::from_slice::<Event>(line) {
            transcript.apply(&event);
            let _ = cues.apply(&event);
            assert!(serde_json::to_string(&event).is_ok());
        }
    }
}

fn database(bytes: &[u8]) {
    let path = folder().join("history.db");
    let aside = |name: &str| folder().join(name);
    for left in ["history.db-wal", "history.db-shm", "history.db-journal"] {
        let _ = fs::remove_file(aside(left));
    }
    fs::write(&path, bytes).unwrap();
    if let Ok(Some(store)) = Store::read(&path) {
        let sessions = store.sessions().unwrap_or_default();
        let _ = (store.search("fox").is_ok(), store.search("\"*(").is_ok());
        for session in sessions.iter().take(8) {
            let _ = (store.events(session.id).is_ok(), store.transcript(session.id).is_ok(), store.open_session(session.id).is_ok());
        }
    }
    if let Ok((mut store, _)) = Store::open(&path) {
        let _ = (store.rename(1, "name").is_ok(), store.expire(0).is_ok(), store.delete(1).is_ok(), store.delete_all().is_ok());
    }
    // Removes copies that the store put aside.
    for entry in fs::read_dir(folder()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("history") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Feeds arbitrary chunks, decisions and tokens to a lane and to the bookkeeping of its cache.
pub fn lane(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut next = || bytes.next();
    let Some(kind) = next() else { return };
    let policy = ContextPolicy::ALL[usize::from(kind) % ContextPolicy::ALL.len()];
    let ids = TokenIds::RELEASE;
    let (mut lane, mut context) = (Lane::new(lane_config(kind), ids.clone(), vec![1, 2, 3]), Context::new(3));
    let (mut first, mut end, mut held, mut speaking) = (0u64, 0u64, 3, false);
    while let Some(op) = next() {
        match op % 8 {
            0..=3 => end += u64::from(op >> 6) + 1,
            4 => check_events(&mut speaking, &lane.cut(StopReason::Cut)),
            5 => lane.set_eagerness(f32::from_bits(u32::from(op) << 24)),
            _ => {}
        }
        let waiting: Vec<ChunkMeta> = (first..end.min(first + 6)).map(|n| waiting(n, op)).collect();
        let most = usize::from(op >> 2) + 1;
        let Some(plan) = lane.plan(&waiting, most) else {
            // A chunk takes 12 rows, and pending tokens a few more.
            assert!(waiting.is_empty() || most < 20, "a lane with input and room makes a plan");
            continue;
        };
        assert!(plan.rows() <= most && plan.rows() > 0, "{} rows of {most}", plan.rows());
        assert!(plan.reads.is_sorted() && plan.reads.last().is_none_or(|row| *row < plan.rows()), "only fed rows are read");
        if context.positions() + plan.rows() > WINDOW {
            match context.make_room(policy, WINDOW, plan.rows()) {
                Some(room) => {
                    held = room.kept.iter().map(ExactSizeIterator::len).sum();
                    assert!(room.kept.windows(2).all(|pair| pair[0].end < pair[1].start), "kept ranges are disjoint and sorted");
                    assert!(held == context.positions() && held + plan.rows() <= WINDOW, "{held} positions");
                }
                None => {
                    check_events(&mut speaking, &lane.cut(StopReason::Limit));
                    lane.restart(vec![1, 2, 3]);
                    (context, held) = (Context::new(3), 3);
                    continue;
                }
            }
        }
        context.feed(&plan);
        held += plan.rows();
        assert_eq!(context.positions(), held, "every fed row is counted once");
        first = plan.last_chunk().map_or(first, |chunk| chunk.next().0);
        let events = match plan.goal {
            Goal::Decide => {
                let decisions: Vec<Decision> = plan.reads.iter().map(|_| decision(next())).collect();
                lane.heard(&plan, &decisions)
            }
            Goal::Speak => {
                let token = token(next(), &ids);
                lane.spoke(&plan, (!plan.reads.is_empty()).then_some(token))
            }
        };
        if plan.goal == Goal::Decide && lane.is_speaking() {
            context.answer();
        }
        check_events(&mut speaking, &events);
        assert_eq!(lane.answered_chunk().is_some(), lane.is_speaking());
    }
}

/// Returns the configuration of a lane.
fn lane_config(kind: u8) -> LaneConfig {
    LaneConfig {
        catch_up: if kind & 1 == 0 { CatchUp::Drain } else { CatchUp::EveryChunk },
        eagerness: f32::from(kind) - 128.0,
        reply_limit: usize::from(kind >> 4) + 1,
        on_loop: if kind & 2 == 0 { OnLoop::Stop } else { OnLoop::GoOn },
    }
}

/// Returns the next token of a reply: a special one, or any other.
fn token(byte: Option<u8>, ids: &TokenIds) -> u32 {
    match byte {
        Some(0) | None => ids.text_end,
        Some(1) => ids.keep_silence,
        Some(2) => ids.text_begin,
        Some(byte) => u32::from(byte).wrapping_mul(0x0101_0101),
    }
}

/// Returns chunk `n` for the lane.
fn waiting(n: u64, op: u8) -> ChunkMeta {
    ChunkMeta {
        chunk: ChunkIdx(n),
        at: StreamTime::from_samples((n + 1) * 6_400),
        ask: if (u64::from(op) + n).is_multiple_of(5) { Ask::Forced } else { Ask::Decide },
        priority: if (u64::from(op) ^ n) & 1 == 0 { Priority::Heard } else { Priority::Quiet },
        follows: Follows::Chunk,
    }
}

/// Returns the logits of a decision.
fn decision(byte: Option<u8>) -> Decision {
    let byte = byte.unwrap_or(0);
    let number = if byte == 255 { f32::NAN } else { f32::from(byte) - 128.0 };
    Decision { silent: 0.0, respond: number }
}

/// Checks that replies start once and end once.
fn check_events(speaking: &mut bool, events: &[LaneEvent]) {
    for event in events {
        match event {
            LaneEvent::Started { .. } => {
                assert!(!*speaking, "a reply starts within a reply");
                *speaking = true;
            }
            LaneEvent::Finished(_) => {
                assert!(*speaking, "a reply ends that did not start");
                *speaking = false;
            }
            LaneEvent::Token(_) => assert!(*speaking, "a token outside a reply"),
            LaneEvent::Decided { .. } => {}
        }
    }
}
