//! Devices and threads: opening a compute device, falling back to the CPU, and the description of this processor.

use candle_core::Device;

use super::kernels;
use crate::config::ComputeDevice;
use crate::error::{Error, ErrorKind, Remedy, Result};

/// Sets the number of compute threads of the process, for the packed kernels and for rayon, to `threads`, but at most as many as
/// this process may run at the same time: more would wait for one another. The first call of the process decides; a call after
/// computing has begun has no effect.
pub fn use_threads(threads: usize) {
    let threads = threads.min(kernels::cores::allowed());
    kernels::thread_pool::set_thread_count(threads);
    // A pool that exists already keeps its size: the sessions of one process share it.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
}

/// Returns the number of compute threads: the one set by [`use_threads`], else one per physical core. Starts the threads if none
/// run, which fixes the number.
#[must_use]
pub fn threads() -> usize {
    kernels::thread_pool::thread_pool().threads()
}

/// Describes, for the user, the vector instructions of this processor, the back ends that were built in (CUDA, Metal, MKL), and the
/// instruction set of the packed kernels.
#[must_use]
pub fn acceleration() -> String {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    for (name, here) in [
        ("AVX2", std::is_x86_feature_detected!("avx2")),
        ("FMA", std::is_x86_feature_detected!("fma")),
        ("AVX-512F", std::is_x86_feature_detected!("avx512f")),
        ("AVX-512 VNNI", std::is_x86_feature_detected!("avx512vnni")),
    ] {
        if here {
            found.push(name);
        }
    }
    for (name, built) in [("CUDA", cfg!(feature = "cuda")), ("Metal", cfg!(feature = "metal")), ("MKL", cfg!(feature = "mkl"))] {
        if built {
            found.push(name);
        }
    }
    let found = if found.is_empty() { "no known vector extensions".into() } else { found.join(", ") };
    format!("{found}; 8 and 4 bits by {}", kernels::InstructionSet::best().name())
}

/// The state of products of 32-bit floats on a processor, in this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatProducts {
    /// It does.
    Work,
    /// It panics: gemm 0.19 takes every processor with FMA for one with AVX2 and F16C, which AMD's Piledriver and Steamroller lack.
    Fail,
}

/// Returns whether this build multiplies floats on this processor.
pub(super) fn float_products() -> FloatProducts {
    #[cfg(target_arch = "x86_64")]
    if !cfg!(feature = "mkl") {
        let here = [
            ("fma", std::is_x86_feature_detected!("fma")),
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("f16c", std::is_x86_feature_detected!("f16c")),
        ];
        return gemm_products(&here.map(|(name, here)| if here { name } else { "" }));
    }
    FloatProducts::Work
}

/// Returns whether gemm 0.19 works on a processor with these features.
#[cfg(target_arch = "x86_64")]
fn gemm_products(features: &[&str]) -> FloatProducts {
    let has = |name| features.contains(&name);
    if has("fma") && !(has("avx2") && has("f16c")) { FloatProducts::Fail } else { FloatProducts::Work }
}

/// Calls `load` for `device`; when that is a GPU and fails with `ErrorKind::Device`, calls it for the CPU and returns, beside the
/// result, the GPU's error with the note that the processor computes instead. Other errors are returned as they are.
pub(super) fn fall_back<T>(device: ComputeDevice, load: impl Fn(ComputeDevice) -> Result<T>) -> Result<(T, Option<Error>)> {
    let error = match load(device) {
        Ok(model) => return Ok((model, None)),
        Err(error) => error,
    };
    // A device that was not built in is a mistake of the caller; a missing model is missing for the CPU as well.
    if device == ComputeDevice::Cpu || error.kind() != ErrorKind::Device {
        return Err(error);
    }
    let model = load(ComputeDevice::Cpu)?;
    let why = format!("{}: Hearken computes on the processor", error.message());
    Ok((model, Some(Error::new(ErrorKind::Device, why).with_remedy(error.remedy()))))
}

/// Opens `device`, the first GPU of its kind. Fails with `Arguments` if the back end was not built in, with `Device` if the GPU
/// cannot be used.
pub(super) fn open_device(device: ComputeDevice) -> Result<Device> {
    let missing = |name: &str, feature: &str| {
        let why = format!("this Hearken was built without {name} (feature `{feature}`); it computes on the CPU");
        Error::new(ErrorKind::Arguments, why)
    };
    let unusable = |name: &str, e: candle_core::Error| {
        Error::new(ErrorKind::Device, format!("{name} cannot be used ({e})")).with_remedy(Remedy::UpdateGraphicsDriver)
    };
    match device {
        ComputeDevice::Cpu => Ok(Device::Cpu),
        ComputeDevice::Cuda if !cfg!(feature = "cuda") => Err(missing("CUDA", "cuda")),
        ComputeDevice::Metal if !cfg!(feature = "metal") => Err(missing("Metal", "metal")),
        ComputeDevice::Cuda => Device::new_cuda(0).map_err(|e| unusable("the NVIDIA card", e)),
        ComputeDevice::Metal => Device::new_metal(0).map_err(|e| unusable("the GPU", e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn floats_fail_only_on_processors_with_fma_but_without_avx2_or_f16c() {
        assert_eq!(gemm_products(&["fma", "avx2", "f16c"]), FloatProducts::Work);
        assert_eq!(gemm_products(&["", "", ""]), FloatProducts::Work, "gemm has a path for old processors");
        assert_eq!(gemm_products(&["fma", "", "f16c"]), FloatProducts::Fail, "AMD's Piledriver");
        assert_eq!(gemm_products(&["fma", "avx2", ""]), FloatProducts::Fail);
    }

    #[test]
    fn failing_gpu_is_reported_and_the_cpu_takes_over() {
        let failing =
            |kind| move |device| if device == ComputeDevice::Cpu { Ok(device) } else { Err(Error::new(kind, "the driver is old")) };
        let (device, notice) = fall_back(ComputeDevice::Cuda, failing(ErrorKind::Device)).unwrap();
        assert_eq!(device, ComputeDevice::Cpu);
        assert!(notice.unwrap().message().starts_with("the driver is old: Hearken computes on the processor"));
        assert!(fall_back(ComputeDevice::Cuda, failing(ErrorKind::Arguments)).is_err(), "a device that was not built in is refused");
        assert_eq!(fall_back(ComputeDevice::Cpu, failing(ErrorKind::Device)).unwrap(), (ComputeDevice::Cpu, None));
        let never = |_| -> Result<()> { Err(Error::new(ErrorKind::Device, "no")) };
        assert!(fall_back(ComputeDevice::Metal, never).is_err());
    }
}
