//! The checks of processor, memory and disk.

use std::fs;
use std::thread;

use super::Check;
use crate::disk;
use crate::memory;
use crate::workspace;

/// Instruction sets for which libtorch has faster kernels.
const FEATURES: [&str; 7] = ["avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8"];

/// The kernels of eight-bit products (`Int8Kernel` of llada-model) with the feature that each needs, the fastest first.
const INT8_KERNELS: [(&str, &str); 3] =
    [("amx_int8", "AMX"), ("avx512_vnni", "AVX-512 VNNI"), ("avx_vnni", "AVX-VNNI")];

/// The memory, in megabytes, that compiling libtorch's bindings and linking at the same time take.
const MEMORY: u64 = 4_000;

/// The size of the build output of both profiles without libtorch, in megabytes.
const DISK: u64 = 8_000;

pub(super) fn cpu() -> Check {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let present: Vec<_> = FEATURES.into_iter().filter(|feature| has(&info, feature)).collect();
    let features = if present.is_empty() { "no known vector extensions".to_owned() } else { present.join(" ") };
    Check::ok("cpu", format!("{cores} cores, {features}"))
}

pub(super) fn int8() -> Check {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Check::ok("int8", int8_kernel(&info))
}

fn int8_kernel(info: &str) -> String {
    match INT8_KERNELS.into_iter().find(|(feature, _)| has(info, feature)) {
        Some((_, kernel)) => format!("products by {kernel}"),
        None => "no kernel on this processor: int8 models are dequantised".to_owned(),
    }
}

/// Returns true if the first processor of /proc/cpuinfo has the feature.
fn has(info: &str, feature: &str) -> bool {
    field(info, "flags").split_whitespace().any(|flag| flag == feature)
}

pub(super) fn memory() -> Check {
    let (Some(total), Some(available)) = (memory::total(), memory::available()) else {
        return Check::ok("memory", "unknown");
    };
    let found = format!("{} free of {}", disk::shown(available), disk::shown(total));
    if available < MEMORY {
        let found = format!("{found}: building may need {}", disk::shown(MEMORY));
        return Check::warn("memory", found, "CARGO_BUILD_JOBS=1 cargo xtask demo");
    }
    Check::ok("memory", found)
}

pub(super) fn disk() -> Check {
    let Some(free) = disk::free(&workspace::root()) else {
        return Check::ok("disk", "unknown");
    };
    let found = format!("{} free here", disk::shown(free));
    if free < DISK {
        let found = format!("{found}: building may need {}", disk::shown(DISK));
        return Check::warn("disk", found, "export CARGO_TARGET_DIR=/a/larger/disk");
    }
    Check::ok("disk", found)
}

/// Returns the value of the first `name : value` line.
fn field<'a>(info: &'a str, name: &str) -> &'a str {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or("", |(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_tables() {
        let info = "processor\t: 0\nflags\t\t: fpu avx2\nflags\t\t: other\n";
        assert_eq!(field(info, "flags"), "fpu avx2");
        assert_eq!(field(info, "absent"), "");
    }

    #[test]
    fn names_the_fastest_kernel_of_eight_bit_products() {
        assert_eq!(int8_kernel("flags : avx2 avx_vnni avx512_vnni"), "products by AVX-512 VNNI");
        assert_eq!(int8_kernel("flags : amx_int8 avx512_vnni"), "products by AMX");
        assert!(int8_kernel("flags : avx2 fma").starts_with("no kernel"));
    }
}
