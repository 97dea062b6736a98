//! The GPUs, as the driver tells of them. A machine without is complete: everything runs on the CPU.

use std::process::Command;

use super::{Check, tools};
use crate::process;

/// The oldest Linux driver that runs CUDA 13.0, which the wheels are built with.
const OLDEST_DRIVER: [u32; 3] = [580, 65, 6];

const QUERY: [&str; 2] = ["--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"];

pub(super) fn cuda() -> Check {
    let Some(printed) = process::answer(Command::new("nvidia-smi").args(QUERY)) else {
        return Check::ok("cuda", "none, CPU only");
    };
    let has_cuda_build = tools::present_libtorch().is_ok_and(|libtorch| libtorch.cuda);
    judge(&printed, has_cuda_build)
}

fn judge(printed: &str, has_cuda_build: bool) -> Check {
    let devices: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once(", ")).collect();
    let Some((driver, _)) = devices.first() else {
        return Check::ok("cuda", "a driver without devices, CPU only");
    };
    let names: Vec<_> = devices.iter().map(|(_, name)| *name).collect();
    let found = format!("driver {driver}; {}", names.join("; "));
    let numbers: Vec<u32> = driver.split('.').filter_map(|part| part.parse().ok()).collect();
    if numbers.as_slice() < OLDEST_DRIVER.as_slice() {
        let found = format!("{found}: CUDA 13.0 needs driver 580.65.06 or newer");
        return Check::warn("cuda", found, "sudo apt-get install nvidia-driver-580   (or your system's newer one)");
    }
    if !has_cuda_build {
        let found = format!("{found}: not used, libtorch is not the CUDA build");
        return Check::warn("cuda", found, "cargo xtask setup --cuda");
    }
    Check::ok("cuda", found)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn the_driver_decides_first_and_the_build_second() {
        for (driver, cuda_build, status) in [
            ("580.65.06", true, Status::Ok),
            ("595.10", true, Status::Ok),
            ("580.65.05", true, Status::Warn),
            ("570.172.08", true, Status::Warn),
            ("595.10", false, Status::Warn),
        ] {
            let printed = format!("{driver}, NVIDIA H100 80GB HBM3, 81559 MiB\n");
            let check = judge(&printed, cuda_build);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains("NVIDIA H100 80GB HBM3, 81559 MiB"));
        }
    }

    #[test]
    fn no_device_is_no_failure() {
        assert_eq!(judge("", false).status, Status::Ok);
    }
}
