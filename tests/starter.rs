//! The starter model against its recipe: PyTorch's logits from the same weights (`tests/golden/starter/check.safetensors`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot continue fails")]

use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use hearken::config::{TraceOptions, TracePath};
use hearken::protocol::ModelChoice;

/// The largest accepted difference of a logit between two libraries in f32 (values reach 20).
const LOGITS: f32 = 5e-3;

#[test]
fn starter_computes_the_logits_of_its_recipe() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/starter/check.safetensors");
    let check = safetensors::load(check, &Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let wav = dir.path().join("check.wav");
    let spec = hound::WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(&wav, spec).unwrap();
    // Samples are stored as bytes, because candle reads no i16 tensors.
    for sample in check["samples"].to_vec1::<u8>().unwrap().chunks_exact(2) {
        writer.write_sample(i16::from_le_bytes([sample[0], sample[1]])).unwrap();
    }
    writer.finalize().unwrap();

    let out = dir.path().join("trace.safetensors");
    let model = ModelChoice::Dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter"));
    hearken::trace::run(&TraceOptions { files: vec![wav], model, path: TracePath::Live, out: out.clone() }).unwrap();
    let got = safetensors::load(&out, &Device::Cpu).unwrap();

    assert_eq!(got["tokens"].to_vec1::<i64>().unwrap(), check["tokens"].to_vec1::<i64>().unwrap(), "tokens");
    let wanted = &check["logits"];
    let own = got["logits"].narrow(0, 0, wanted.dim(0).unwrap()).unwrap();
    let difference = largest(&(own - wanted).unwrap());
    println!("logits differ by {difference:e}");
    assert!(difference <= LOGITS, "logits differ by {difference}");
    assert!(largest(wanted) > 1.0, "the reference logits are not all zero");
}

fn largest(tensor: &Tensor) -> f32 {
    tensor.abs().unwrap().max_all().unwrap().to_dtype(DType::F32).unwrap().to_scalar().unwrap()
}
