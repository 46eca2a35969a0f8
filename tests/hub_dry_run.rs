//! A whole installation with random weights: the program downloads from a hub on this machine, verifies and prepares, while the
//! test watches its memory.
//!
//! The model is small unless `HEARKEN_DRY_RUN_LAYERS` names a number of layers of the real sizes: 36 is the released model, 8 GB in
//! 16-bit floats here and as much for the copy. `cargo test --test hub_dry_run -- --nocapture` shows the figures; `TMPDIR` names
//! another disk for the temporary folder.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

mod hub_server;

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hub_server::{FakeHub, Stored};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The program's limit of anonymous memory, in bytes.
const MOST_OWN_MEMORY: u64 = 300_000_000;

/// Sizes of the generated model.
struct Sizes {
    layers: usize,
    embd: usize,
    head: usize,
    inner: usize,
    vocabulary: usize,
    encoder_layers: usize,
    d_model: usize,
    ffn: usize,
}

fn sizes() -> Sizes {
    match std::env::var("HEARKEN_DRY_RUN_LAYERS").ok().and_then(|text| text.parse().ok()) {
        // The released sizes: `src/model/README.md` section 7.
        Some(layers) => {
            Sizes { layers, embd: 2_048, head: 128, inner: 11_008, vocabulary: 151_936, encoder_layers: 32, d_model: 1_280, ffn: 5_120 }
        }
        None => Sizes { layers: 2, embd: 256, head: 16, inner: 512, vocabulary: 768, encoder_layers: 1, d_model: 64, ffn: 128 },
    }
}

const HEADS: usize = 16;
const GROUPS: usize = 2;

/// Random 16-bit floats, finite and small: random signs and mantissas, exponents near those of weights.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = out.len() / 8 * 8;
        for piece in out[..n].chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            // Random sign and mantissa of each 16-bit float; the exponent is 2^-6, and the value is finite as f16 too.
            let bits = (self.0 & 0x807f_807f_807f_807f) | 0x3c80_3c80_3c80_3c80;
            piece.copy_from_slice(&bits.to_le_bytes());
        }
        Ok(n)
    }
}

fn language_model(s: &Sizes) -> Vec<(String, Vec<usize>)> {
    let qkv = (HEADS + 2 * GROUPS) * s.head;
    let mut all = vec![("transformer.wte.weight".to_owned(), vec![s.vocabulary, s.embd])];
    for layer in 0..s.layers {
        let mut add = |part: &str, shape: Vec<usize>| all.push((format!("transformer.h.{layer}.{part}"), shape));
        add("norm_1.weight", vec![s.embd]);
        add("attn.qkv.weight", vec![qkv, s.embd]);
        add("attn.qkv.bias", vec![qkv]);
        add("attn.proj.weight", vec![s.embd, HEADS * s.head]);
        add("norm_2.weight", vec![s.embd]);
        add("mlp.fc_1.weight", vec![s.inner, s.embd]);
        add("mlp.fc_2.weight", vec![s.inner, s.embd]);
        add("mlp.proj.weight", vec![s.embd, s.inner]);
    }
    all.push(("transformer.ln_f.weight".into(), vec![s.embd]));
    all.push(("lm_head.weight".into(), vec![s.vocabulary, s.embd]));
    all
}

fn encoder(s: &Sizes) -> Vec<(String, Vec<usize>)> {
    let (d, f) = (s.d_model, s.ffn);
    let mut all: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: String, shape: Vec<usize>| all.push((name, shape));
    for (name, shape) in [("conv1", vec![d, 128, 3]), ("conv2", vec![d, d, 3]), ("ln_post", vec![d]), ("proj", vec![s.embd, d])] {
        add(format!("{name}.bias"), vec![shape[0]]);
        add(format!("{name}.weight"), shape);
    }
    for layer in 0..s.encoder_layers {
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(format!("layers.{layer}.self_attn.{name}.weight"), vec![d, d]);
            if name != "k_proj" {
                add(format!("layers.{layer}.self_attn.{name}.bias"), vec![d]);
            }
        }
        for (name, shape) in [("self_attn_layer_norm", vec![d]), ("final_layer_norm", vec![d]), ("fc1", vec![f, d]), ("fc2", vec![d, f])] {
            add(format!("layers.{layer}.{name}.bias"), vec![shape[0]]);
            add(format!("layers.{layer}.{name}.weight"), shape);
        }
    }
    all
}

fn bytes(shape: &[usize]) -> usize {
    2 * shape.iter().product::<usize>()
}

/// Writes shards of at most 4 GB, as the release has them, and their index.
fn write_shards(folder: &Path, tensors: &[(String, Vec<usize>)]) -> Vec<String> {
    const SHARD: usize = 4_000_000_000;
    let mut shards: Vec<Vec<&(String, Vec<usize>)>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in tensors {
        if filled + bytes(&tensor.1) > SHARD {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes(&tensor.1);
        shards.last_mut().unwrap().push(tensor);
    }
    let mut index = serde_json::Map::new();
    let mut names = Vec::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        let (mut header, mut at) = (serde_json::Map::new(), 0);
        for (tensor, shape) in shard {
            let end = at + bytes(shape);
            header.insert(tensor.clone(), serde_json::json!({"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}));
            index.insert(tensor.clone(), name.clone().into());
            at = end;
        }
        let mut header = serde_json::to_vec(&header).unwrap();
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::with_capacity(1 << 20, File::create(folder.join(&name)).unwrap());
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&header).unwrap();
        std::io::copy(&mut Noise(number as u64 + 1).take(at as u64), &mut file).unwrap();
        file.flush().unwrap();
        names.push(name);
    }
    fs::write(folder.join("model.safetensors.index.json"), serde_json::json!({"metadata": {}, "weight_map": index}).to_string()).unwrap();
    names
}

/// Writes the encoder as `torch.save` does: a zip file with a pickle and a storage for each tensor.
fn write_encoder(path: &Path, tensors: &[(String, Vec<usize>)]) {
    let mut pickle = b"\x80\x02}".to_vec();
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let int = |pickle: &mut Vec<u8>, n: usize| {
        pickle.extend([0x8a, 8]);
        pickle.extend((n as u64).to_le_bytes());
    };
    for (key, (name, shape)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nBFloat16Storage\n");
        text(&mut pickle, &key.to_string());
        text(&mut pickle, "cpu");
        int(&mut pickle, bytes(shape) / 2);
        pickle.extend(b"tQ");
        int(&mut pickle, 0);
        pickle.push(b'(');
        shape.iter().for_each(|n| int(&mut pickle, *n));
        pickle.extend(b"t(");
        (0..shape.len()).for_each(|at| int(&mut pickle, shape[at + 1..].iter().product()));
        pickle.extend(b"t\x89ccollections\nOrderedDict\n)RtRs");
    }
    pickle.push(b'.');
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path).unwrap()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options).unwrap();
    zip.write_all(&pickle).unwrap();
    zip.start_file("archive/byteorder", options).unwrap();
    zip.write_all(b"little").unwrap();
    for (key, (_, shape)) in tensors.iter().enumerate() {
        zip.start_file(format!("archive/data/{key}"), options.large_file(bytes(shape) > 1 << 31)).unwrap();
        std::io::copy(&mut Noise(1_000 + key as u64).take(bytes(shape) as u64), &mut zip).unwrap();
    }
    zip.finish().unwrap().flush().unwrap();
}

/// Starts a hub with a model of these sizes, whose files are in `folder`.
fn hub(folder: &Path, s: &Sizes) -> FakeHub {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixture");
    let read = |name: &str| fs::read_to_string(fixture.join(name)).unwrap();
    let change = |text: String, changes: &[(&str, usize)], end: &str| -> String {
        let line = |line: &str| {
            let field =
                |name: &str| line.trim_start().trim_start_matches('"').strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '"']));
            match changes.iter().find(|(name, _)| field(name)) {
                Some((_, value)) => format!("{}: {value}{end}\n", line.split(':').next().unwrap()),
                None => format!("{line}\n"),
            }
        };
        text.lines().map(line).collect()
    };
    let sizes = [
        ("head_size", s.head),
        ("intermediate_size", s.inner),
        ("n_embd", s.embd),
        ("n_head", HEADS),
        ("n_layer", s.layers),
        ("n_query_groups", GROUPS),
        ("padded_vocab_size", s.vocabulary),
    ];
    let audio = [
        ("d_model", s.d_model),
        ("encoder_attention_heads", s.d_model / 16),
        ("encoder_ffn_dim", s.ffn),
        ("encoder_layers", s.encoder_layers),
        ("num_hidden_layers", s.encoder_layers),
    ];
    let mut encoder_config = change(read("qwen25OmniConfig/config.json"), &audio, ",");
    encoder_config = change(encoder_config, &[("output_dim", s.embd)], ",");
    let small = [
        ("model_config.yaml", change(read("model_config.yaml"), &sizes, "")),
        ("qwen25OmniConfig/config.json", encoder_config),
        ("tokenizer.json", read("tokenizer.json")),
        ("token_ids.json", read("token_ids.json")),
    ];
    let hub = FakeHub::holding(small.map(|(name, text)| (name.to_owned(), text.into_bytes())));
    let mut large = write_shards(folder, &language_model(s));
    write_encoder(&folder.join("audiointeraction_ChunkwisedEncoder.pth"), &encoder(s));
    large.extend(["audiointeraction_ChunkwisedEncoder.pth".to_owned(), "model.safetensors.index.json".to_owned()]);
    for name in large {
        hub.hold(&name, Stored::disk(folder.join(&name)));
    }
    hub
}

fn own_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

/// Returns the processor time of the process, all threads together, in seconds.
fn cpu_secs(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The fields after the name, which may contain anything: user and system time in hundredths of a second (proc(5)).
    let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((words.get(11)?.parse::<f64>().ok()? + words.get(12)?.parse::<f64>().ok()?) / 100.0)
}

#[test]
fn a_whole_model_is_downloaded_and_prepared_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    fs::create_dir(&made).unwrap();
    let hub = hub(&made, &sizes());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hearken"));
    command.args(["model", "download", "tester/tiny", "--accept-licence"]);
    // A small model is not prepared by default; for a large one the program chooses by measurement.
    if sizes().layers < 8 {
        command.args(["--precision", "q4"]);
    }
    for name in ["HF_HUB_OFFLINE", "HF_HUB_CACHE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command.env("HEARKEN_HOME", folder.path().join("home")).env("HF_HOME", folder.path().join("hf")).env("HF_ENDPOINT", &hub.address);
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let (mut most, mut computed, mut fetched) = ([0; 2], [0.0; 2], None);
    let blobs = folder.path().join("hf/hub/models--tester--tiny/snapshots");
    let status = loop {
        if fetched.is_none() && blobs.exists() {
            fetched = Some(begun.elapsed());
        }
        let step = usize::from(fetched.is_some());
        most[step] = most[step].max(own_memory(child.id()));
        computed[step] = cpu_secs(child.id()).filter(|secs| *secs > 0.0).unwrap_or(computed[step]);
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert!(status.success());
    let (fetched, all) = (fetched.unwrap_or_default().as_secs_f64(), begun.elapsed().as_secs_f64());
    println!(
        "{:.2} GB fetched and checked in {fetched:.1} s ({:.0} MB/s, {:.1} s of computing), prepared in {:.1} s ({:.1} s of computing); own memory at most {} MB and {} MB",
        hub.bytes() as f64 / 1e9,
        hub.bytes() as f64 / 1e6 / fetched,
        computed[0],
        all - fetched,
        computed[1] - computed[0],
        most[0] / 1_000_000,
        most[1] / 1_000_000
    );
    assert!(most.iter().all(|bytes| *bytes < MOST_OWN_MEMORY), "{most:?}");
}
