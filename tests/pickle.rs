//! The reader of torch.save files, on the fixture's encoder and on hand-made hostile files: no file makes it panic, and an error
//! names the file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot continue fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::DType;
use hearken::error::{Error, ErrorKind};
use hearken::model::pickle::TorchFile;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/fixture/audiointeraction_ChunkwisedEncoder.pth")
}

/// A pickle of protocol 2 under construction.
#[derive(Clone)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        Self(vec![0x80, 2])
    }

    fn op(mut self, op: u8) -> Self {
        self.0.push(op);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn global(self, module: &str, name: &str) -> Self {
        self.bytes(format!("c{module}\n{name}\n").as_bytes())
    }

    fn text(self, text: &str) -> Self {
        self.op(b'X').bytes(&(text.len() as u32).to_le_bytes()).bytes(text.as_bytes())
    }

    /// Appends LONG1, which holds any 64-bit integer.
    fn int(self, value: i64) -> Self {
        self.bytes(&[0x8a, 8]).bytes(&value.to_le_bytes())
    }

    fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.op(b'('), |pickle, value| pickle.int(*value)).op(b't')
    }

    fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").op(b')').op(b'R')
    }

    fn tensor(self, storage: &Storage, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        let storage_id = self.global("torch._utils", "_rebuild_tensor_v2").bytes(b"((").text("storage").global("torch", storage.kind);
        let view = storage_id.text(storage.key).text("cpu").int(storage.len).bytes(b"tQ").int(offset).ints(shape).ints(strides);
        view.op(0x89).ordered_dict().bytes(b"tR")
    }

    fn end(self) -> Vec<u8> {
        self.op(b'.').0
    }
}

/// A storage of a hand-made checkpoint.
struct Storage {
    kind: &'static str,
    key: &'static str,
    len: i64,
}

const FLOATS: Storage = Storage { kind: "FloatStorage", key: "0", len: 12 };

/// Returns a pickle of a plain dict with one tensor `w`.
fn one_tensor(storage: &Storage, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    Pickle::new().op(b'}').text("w").tensor(storage, offset, shape, strides).op(b's').end()
}

/// Returns the floats 0 to 11, as bytes.
fn twelve() -> Vec<u8> {
    (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

/// A hand-made file in a temporary folder.
struct Made {
    _dir: TempDir,
    path: PathBuf,
}

/// Writes a zip file of these entries, stored, with valid checksums.
fn zipped(entries: &[(&str, &[u8])]) -> Made {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("hostile_encoder.pth");
    let mut zip = ZipWriter::new(fs::File::create(&path).expect("a file"));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).expect("an entry");
        zip.write_all(bytes).expect("bytes");
    }
    zip.finish().expect("a zip file");
    Made { _dir: dir, path }
}

/// Writes a checkpoint of this pickle, with twelve floats in storage 0.
fn checkpoint(pickle: &[u8]) -> Made {
    zipped(&[("archive/data.pkl", pickle), ("archive/byteorder", b"little"), ("archive/data/0", &twelve())])
}

/// Opens `path` and reads every tensor; returns the error, which must name the file.
fn refusal(path: &Path) -> Option<Error> {
    let read_all = || {
        let file = TorchFile::open(path)?;
        file.names().try_for_each(|name| file.tensor(name).map(drop))
    };
    let error = read_all().err()?;
    assert_eq!(error.kind(), ErrorKind::Model, "{error}");
    assert!(error.message().contains(&path.display().to_string()), "the file is not named: {error}");
    Some(error)
}

fn refused(pickle: &[u8]) -> String {
    refusal(&checkpoint(pickle).path).expect("it should have been refused").message().to_owned()
}

#[test]
fn fixture_has_every_tensor_of_the_specification() {
    let file = TorchFile::open(&fixture()).expect("the fixture");
    let (d, o, f, layers) = (64, 96, 128, 2);
    let mut expected: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut add = |name: &str, shape: &[usize]| drop(expected.insert(name.to_owned(), shape.to_vec()));
    add("conv1.weight", &[d, 128, 3]);
    add("conv2.weight", &[d, d, 3]);
    add("proj.weight", &[o, d]);
    add("proj.bias", &[o]);
    add("audio_bos_eos_token.weight", &[2, o]);
    for name in ["conv1.bias", "conv2.bias", "ln_post.weight", "ln_post.bias"] {
        add(name, &[d]);
    }
    for i in 0..layers {
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(&format!("layers.{i}.self_attn.{name}.weight"), &[d, d]);
        }
        let biases = ["self_attn.q_proj.bias", "self_attn.v_proj.bias", "self_attn.out_proj.bias", "fc2.bias"];
        let norms = ["self_attn_layer_norm.weight", "self_attn_layer_norm.bias", "final_layer_norm.weight", "final_layer_norm.bias"];
        for name in biases.iter().chain(&norms) {
            add(&format!("layers.{i}.{name}"), &[d]);
        }
        add(&format!("layers.{i}.fc1.weight"), &[f, d]);
        add(&format!("layers.{i}.fc1.bias"), &[f]);
        add(&format!("layers.{i}.fc2.weight"), &[d, f]);
    }
    assert_eq!(file.names().collect::<Vec<_>>(), expected.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, shape) in &expected {
        assert_eq!(file.shape(name).expect("a shape"), shape, "{name}");
        assert_eq!(file.dtype(name).expect("a type"), DType::F32, "{name}");
        let tensor = file.tensor(name).expect("a tensor");
        assert_eq!(tensor.dims(), shape, "{name}");
        assert!(tensor.is_contiguous(), "{name}");
    }
    assert!(file.tensor("conv3.weight").expect_err("no such tensor").message().contains("`conv3.weight`"));
}

#[test]
fn tensor_values_equal_the_bytes_of_the_file() {
    // Entry data/0 holds conv1.weight.
    let file = TorchFile::open(&fixture()).expect("the fixture");
    let bytes = fs::read(fixture()).expect("the fixture");
    for (name, storage) in [("conv1.weight", "/data/0"), ("conv1.bias", "/data/1")] {
        let values: Vec<f32> = file.tensor(name).map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).expect("numbers");
        let header = bytes.windows(storage.len() + 1).position(|w| w.starts_with(storage.as_bytes()) && w[storage.len()] == b'F');
        let extra = header.expect("the entry") + storage.len();
        // Torch pads with an extra field `FB` so that storages begin at multiples of 64.
        let padding = usize::from(u16::from_le_bytes([bytes[extra + 2], bytes[extra + 3]]));
        let raw = &bytes[extra + 4 + padding..][..4 * values.len()];
        let direct: Vec<f32> = raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(values, direct, "{name}");
    }
}

#[test]
fn plain_dicts_ordered_dicts_and_parameters_are_read() {
    let plain = checkpoint(&one_tensor(&FLOATS, 0, &[3, 4], &[4, 1]));
    let with_state = Pickle::new().ordered_dict().text("w").global("torch._utils", "_rebuild_parameter").op(b'(');
    let with_state = with_state.tensor(&FLOATS, 0, &[3, 4], &[4, 1]).op(0x88).ordered_dict().bytes(b"tRs");
    let ordered = checkpoint(&with_state.op(b'}').text("_metadata").ordered_dict().bytes(b"sb").end());
    for made in [&plain, &ordered] {
        let file = TorchFile::open(&made.path).expect("a checkpoint");
        let rows: Vec<Vec<f32>> = file.tensor("w").expect("w").to_vec2().unwrap();
        assert_eq!(rows, [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0]]);
    }
}

#[test]
fn views_of_a_shared_storage_keep_their_offset_and_strides() {
    let pickle = Pickle::new().op(b'}').op(b'(').text("transposed").tensor(&FLOATS, 1, &[2, 3], &[1, 4]);
    let pickle = pickle.text("expanded").tensor(&FLOATS, 5, &[2, 2], &[0, 1]).text("scalar").tensor(&FLOATS, 11, &[], &[]);
    let pickle = pickle.text("empty").tensor(&FLOATS, 0, &[0, 4], &[4, 1]).text("odd").tensor(&FLOATS, 2, &[2, 1], &[3, i64::MAX]);
    let made = checkpoint(&pickle.op(b'u').end());
    let file = TorchFile::open(&made.path).expect("a checkpoint");
    let rows = |name: &str| -> Vec<Vec<f32>> { file.tensor(name).expect(name).to_vec2().unwrap() };
    assert_eq!(rows("transposed"), [[1.0, 5.0, 9.0], [2.0, 6.0, 10.0]]);
    assert_eq!(rows("expanded"), [[5.0, 6.0], [5.0, 6.0]]);
    assert_eq!(rows("odd"), [[2.0], [5.0]]);
    assert_eq!(file.tensor("scalar").expect("scalar").to_scalar::<f32>().unwrap(), 11.0);
    assert_eq!(file.tensor("empty").expect("empty").dims(), [0, 4]);
}

#[test]
fn f16_and_bf16_are_read_and_other_types_are_refused_by_name() {
    let kinds = ["HalfStorage", "BFloat16Storage", "DoubleStorage", "LongStorage", "BoolStorage"];
    let read = |kind, bytes: &[u8]| {
        let pickle = one_tensor(&Storage { kind, key: "0", len: 2 }, 0, &[2], &[1]);
        let made = zipped(&[("x/data.pkl", &pickle), ("x/data/0", bytes)]);
        let file = TorchFile::open(&made.path).expect("a checkpoint");
        assert_eq!(file.shape("w").expect("a shape"), [2]);
        file.tensor("w").map(|t| (t.dtype(), t.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap()))
    };
    assert_eq!(read(kinds[0], &[0x00, 0x3c, 0x00, 0xc0]), Ok((DType::F16, vec![1.0, -2.0])));
    assert_eq!(read(kinds[1], &[0x80, 0x3f, 0x00, 0xc0]), Ok((DType::BF16, vec![1.0, -2.0])));
    for (kind, name) in kinds[2..].iter().zip(["float64", "int64", "bool"]) {
        let error = read(kind, &[0; 16]).expect_err("another type");
        assert!(error.message().contains(name) && error.message().contains("hostile_encoder.pth"), "{error}");
    }
}

#[test]
fn nothing_in_a_file_can_run() {
    let globals = [
        ("os", "system"),
        ("builtins", "eval"),
        ("posix", "system"),
        ("torch", "load"),
        ("torch.storage", "UntypedStorage"),
        ("collections", "OrderedDict.fromkeys"),
        ("\u{1b}[31m", "x"),
    ];
    for (module, name) in globals {
        let message = refused(&Pickle::new().global(module, name).text("touch /tmp/owned").op(0x85).op(b'R').end());
        assert!(!message.contains('\u{1b}'), "a control character reached the message");
        assert!(module == "\u{1b}[31m" || message.contains(&format!("`{module}.{name}`")), "{message}");
        let stack_global = Pickle::new().text(module).text(name).op(0x93).end();
        assert!(refused(&stack_global).contains("refused"));
    }
    // Nor as an argument of an allowed call.
    let nested = Pickle::new().global("torch._utils", "_rebuild_tensor_v2").op(b'(').global("os", "system").bytes(b"tR").end();
    assert!(refused(&nested).contains("`os.system`"));
    for op in [b'i', b'o', b'P', 0x81, 0x82, 0x92] {
        // INST, OBJ, PERSID, NEWOBJ, EXT1, NEWOBJ_EX
        assert!(refused(&Pickle::new().op(op).end()).contains("opcode"), "{op:x}");
    }
}

#[test]
fn impossible_tensors_are_refused() {
    let max = i64::MAX;
    let cases: [(i64, &[i64], &[i64]); 14] = [
        (0, &[13], &[1]),
        (1, &[12], &[1]),
        (12, &[1], &[1]),
        (max, &[1], &[1]),
        (-1, &[1], &[1]),
        (0, &[-1], &[1]),
        (0, &[2], &[-1]),
        (0, &[2, 2], &[1]),
        (0, &[3], &[6]),
        (0, &[max, max], &[0, 0]),
        (0, &[1 << 30], &[0]),
        (0, &[2, 2], &[max, max]),
        (0, &[0, max, max], &[1, 1, 1]),
        (0, &[1; 9], &[1; 9]),
    ];
    for (offset, shape, strides) in cases {
        refused(&one_tensor(&FLOATS, offset, shape, strides));
    }
    for len in [13, -1, 1 << 62, max] {
        refused(&one_tensor(&Storage { len, ..FLOATS }, 0, &[12], &[1]));
    }
    refused(&one_tensor(&Storage { kind: "DoubleStorage", ..FLOATS }, 0, &[12], &[1]));
    let missing = refused(&one_tensor(&Storage { key: "1", ..FLOATS }, 0, &[12], &[1]));
    assert!(missing.contains("archive/data/1") && missing.contains("`w`"), "{missing}");
    refused(&one_tensor(&Storage { key: "../data.pkl", ..FLOATS }, 0, &[12], &[1]));
}

#[test]
fn only_a_state_dict_is_accepted_at_the_top_level() {
    let nested = Pickle::new().op(b'}').text("state_dict").op(b'}').text("w").tensor(&FLOATS, 0, &[12], &[1]).bytes(b"ss").end();
    assert!(refused(&nested).contains("`state_dict`"));
    for pickle in [
        Pickle::new().op(b'N'),
        Pickle::new().op(b']'),
        Pickle::new().text("w"),
        Pickle::new().int(5),
        Pickle::new().tensor(&FLOATS, 0, &[12], &[1]),
        Pickle::new().op(b'}').int(1).int(2).op(b's'),
        Pickle::new().op(b'}').text("epoch").int(2).op(b's'),
        Pickle::new().op(b'}').text("w").op(b']').op(b's'),
    ] {
        refused(&pickle.end());
    }
}

#[test]
fn pickles_built_to_exhaust_are_refused_or_harmless() {
    // A tuple in a tuple, a million deep.
    let deep = Pickle::new().op(b')').bytes(&vec![0x85; 1_000_000]).end();
    refused(&deep);
    // A billion laughs: each tuple holds the one before it twice.
    let mut laughs = Pickle::new().op(b')');
    for i in 0..200 {
        laughs = laughs.bytes(&[b'q', i, b'0', b'h', i, b'h', i, 0x86]);
    }
    refused(&laughs.end());
    // A dict that holds itself, more values than allowed, more stack than allowed, a memo far out.
    refused(&Pickle::new().op(b'}').bytes(b"q\x00").text("me").bytes(b"h\x00s").end());
    refused(&Pickle::new().bytes(&vec![b')'; 2_000_000]).end());
    refused(&Pickle::new().bytes(b")q\x00").bytes(&b"h\x00".repeat(2_000_000)).end());
    refused(&Pickle::new().bytes(&vec![b'('; 2_000_000]).end());
    refused(&Pickle::new().bytes(b")r\xff\xff\xff\xffj\xfe\xff\xff\xff").end());
    for text in
        [b"X\xff\xff\xff\xff" as &[u8], b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", b"X\x02\0\0\0\xff\xfe", b"\x8a\xff", b"cos", b"\x95"]
    {
        refused(&Pickle::new().bytes(text).end());
    }
    refused(&[]);
    refused(b"\x80\x02");
    refused(b"\x80\x01.");
    refused(b"(lp0\n.");
    refused(&vec![0; 17 << 20]);
}

#[test]
fn every_opcode_on_a_short_stack_is_an_error_without_panic() {
    let stacks: [&[u8]; 7] = [b"", b")", b"(", b"}", b"N)", b"}(", b"](N"];
    for op in 0..=u8::MAX {
        for stack in stacks {
            refusal(&checkpoint(&Pickle::new().bytes(stack).op(op).bytes(&[0; 9]).end()).path);
            if op != b'.' {
                assert!(refusal(&checkpoint(&Pickle::new().bytes(stack).op(op).0).path).is_some(), "{op:#x} without an end");
            }
        }
    }
}

/// Reads the entries of the fixture, to be zipped again with valid checksums, so that a damaged pickle reaches the interpreter.
fn fixture_entries() -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(fs::File::open(fixture()).expect("the fixture")).expect("a zip file");
    let n_entries = zip.len();
    let read = |i| {
        let mut entry = zip.by_index(i).expect("an entry");
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("bytes");
        (String::from_utf8(entry.name_raw().to_vec()).expect("a name"), bytes)
    };
    (0..n_entries).map(read).collect()
}

#[test]
fn damaged_pickle_never_panics() {
    let entries = fixture_entries();
    let with_pickle = |pickle: &[u8]| {
        let entries: Vec<(&str, &[u8])> =
            entries.iter().map(|(n, b)| (n.as_str(), if n.ends_with("data.pkl") { pickle } else { b.as_slice() })).collect();
        zipped(&entries)
    };
    let pickle = &entries.iter().find(|(name, _)| name.ends_with("data.pkl")).expect("a pickle").1;
    assert!(refusal(&with_pickle(pickle).path).is_none(), "the undamaged copy is read");
    for len in (0..pickle.len()).step_by(97) {
        assert!(refusal(&with_pickle(&pickle[..len]).path).is_some(), "cut to {len} bytes");
    }
    for at in (0..pickle.len()).step_by(31) {
        let mut flipped = pickle.clone();
        flipped[at] ^= 1 << (at % 8);
        refusal(&with_pickle(&flipped).path);
    }
}

#[test]
fn truncated_file_is_refused_at_any_length() {
    let bytes = fs::read(fixture()).expect("the fixture");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("cut.pth");
    // Every 97 bytes in the tail, which holds the zip directory, and sparsely before.
    let tail = bytes.len() - 8_000;
    for len in (0..tail).step_by(9_973).chain((tail..bytes.len()).step_by(97)) {
        fs::write(&path, &bytes[..len]).expect("a file");
        assert!(refusal(&path).is_some(), "cut to {len} of {} bytes", bytes.len());
    }
}

#[test]
fn flipped_bit_in_weights_or_pickle_is_detected() {
    let bytes = fs::read(fixture()).expect("the fixture");
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("flipped.pth");
    let flip = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).expect("a file");
        refusal(&path).is_some()
    };
    // Byte 200 is in the pickle, 20,000 in conv1.weight, 120,000 in conv2.weight.
    for at in [200, 20_000, 120_000] {
        assert!(flip(at), "byte {at}");
    }
    // Anywhere else (names, padding, directory): no panic.
    for at in (0..bytes.len()).step_by(7_919).chain((bytes.len() - 6_000..bytes.len()).step_by(61)) {
        flip(at);
    }
}

#[test]
fn files_that_are_not_checkpoints_are_refused() {
    let pickle = one_tensor(&FLOATS, 0, &[12], &[1]);
    let big = [("x/data.pkl", &pickle[..]), ("x/byteorder", b"big"), ("x/data/0", &twelve())];
    assert!(refusal(&zipped(&big).path).expect("big endian").message().contains("`big`"));
    assert!(refusal(&zipped(&[("readme.txt", b"hello")]).path).expect("no pickle").message().contains("data.pkl"));
    assert!(refusal(&zipped(&[("a/data.pkl", &pickle), ("b/data.pkl", &pickle)]).path).is_some());
    let dir = tempfile::tempdir().expect("a folder");
    assert!(refusal(dir.path()).is_some());
    assert!(refusal(&dir.path().join("absent.pth")).is_some());
    for bytes in [b"" as &[u8], b"PK", b"version https://git-lfs.github.com/spec/v1\n", &[0x80, 2, 0x8a, 10]] {
        let path = dir.path().join("other.pth");
        fs::write(&path, bytes).expect("a file");
        assert!(refusal(&path).is_some());
    }
}

#[test]
fn old_file_without_a_byte_order_is_read() {
    let pickle = one_tensor(&FLOATS, 0, &[12], &[1]);
    let made = zipped(&[("any name/data.pkl", &pickle), ("any name/data/0", &twelve())]);
    assert!(refusal(&made.path).is_none());
}
