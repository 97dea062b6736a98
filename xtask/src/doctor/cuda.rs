//! The check of GPUs, as the driver reports them. A machine without a GPU passes, because everything runs on the CPU. If
//! libtorch is the CUDA build, a missing GPU or driver is a warning.

use std::env;
use std::process::Command;

use super::{Check, tools};
use crate::process;

/// The oldest Linux driver that runs CUDA 13.0, which the wheels are built with.
const OLDEST_DRIVER: [u32; 3] = [580, 65, 6];

const QUERY: [&str; 2] = ["--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"];

/// The message with which `nvidia-smi` fails if there is a driver but no device.
const NO_DEVICES: &str = "No devices were found";

const INSTALL_DRIVER: &str = "sudo apt-get install nvidia-driver-580   (or your system's newer one)";

pub(super) fn cuda() -> Check {
    let asked = process::capture(Command::new("nvidia-smi").args(QUERY)).ok();
    let printed = asked.map(|output| (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()));
    let driver = match &printed {
        Some((true, devices)) => Driver::of(devices),
        Some((false, complaint)) if complaint.contains(NO_DEVICES) => Driver::Idle,
        Some((false, _)) | None => Driver::Absent,
    };
    let has_cuda_build = tools::present_libtorch().is_ok_and(|libtorch| libtorch.cuda);
    judge(&driver, has_cuda_build, env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
}

#[derive(Debug)]
enum Driver<'a> {
    /// `nvidia-smi` is missing or finds no driver.
    Absent,
    /// A driver without devices.
    Idle,
    Driving {
        version: &'a str,
        devices: Vec<&'a str>,
    },
}

impl<'a> Driver<'a> {
    /// Parses the list of `nvidia-smi`, in which each line has the version of the driver and a device.
    fn of(printed: &'a str) -> Self {
        let lines: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once(", ")).collect();
        match lines.first() {
            Some(&(version, _)) => {
                Self::Driving { version, devices: lines.into_iter().map(|(_, device)| device).collect() }
            }
            None => Self::Idle,
        }
    }
}

fn judge(driver: &Driver<'_>, has_cuda_build: bool, visible: Option<&str>) -> Check {
    let (version, devices) = match driver {
        Driver::Absent if has_cuda_build => {
            let found = "no driver, CPU only: libtorch is the CUDA build, and `nvidia-smi` does not run";
            return Check::warn("cuda", found, INSTALL_DRIVER);
        }
        Driver::Idle if has_cuda_build => {
            let found = "a driver without devices, CPU only: libtorch is the CUDA build";
            return Check::warn("cuda", found, "nvidia-smi -L   (in a container: is it given the GPUs?)");
        }
        Driver::Absent => return Check::ok("cuda", "none, CPU only"),
        Driver::Idle => return Check::ok("cuda", "a driver without devices, CPU only"),
        Driver::Driving { version, devices } => (version, devices),
    };
    let found = format!("driver {version}; {}", devices.join("; "));
    let numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    if numbers.as_slice() < OLDEST_DRIVER.as_slice() {
        let found = format!("{found}: CUDA 13.0 needs driver 580.65.06 or newer");
        return Check::warn("cuda", found, INSTALL_DRIVER);
    }
    if !has_cuda_build {
        let found = format!("{found}: not used, libtorch is not the CUDA build");
        return Check::warn("cuda", found, "cargo xtask setup --cuda");
    }
    match visible {
        Some(hidden @ ("" | "-1")) => {
            let found = format!("{found}: hidden by CUDA_VISIBLE_DEVICES={hidden:?}");
            Check::warn("cuda", found, "unset CUDA_VISIBLE_DEVICES")
        }
        _ => Check::ok("cuda", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    const H100: &str = "NVIDIA H100 80GB HBM3, 81559 MiB";

    #[test]
    fn the_driver_decides_first_and_the_build_second() {
        for (driver, cuda_build, status) in [
            ("580.65.06", true, Status::Ok),
            ("595.10", true, Status::Ok),
            ("580.65.05", true, Status::Warn),
            ("570.172.08", true, Status::Warn),
            ("595.10", false, Status::Warn),
        ] {
            let printed = format!("{driver}, {H100}\n");
            let check = judge(&Driver::of(&printed), cuda_build, None);
            assert_eq!(check.status, status, "{check:?}");
            assert!(check.found.contains(H100));
        }
    }

    /// With the CUDA build, a missing driver or device is a warning. Otherwise it is not.
    #[test]
    fn what_is_missing_is_told_to_whom_it_matters() {
        for (driver, missing) in [(Driver::Absent, "no driver"), (Driver::of(""), "a driver without devices")] {
            assert_eq!(judge(&driver, false, None).status, Status::Ok);
            let check = judge(&driver, true, None);
            assert_eq!(check.status, Status::Warn);
            assert!(check.found.starts_with(missing), "{check:?}");
            assert_ne!(check.hint.as_deref(), Some("cargo xtask setup --cuda"));
        }
    }

    #[test]
    fn hidden_devices_are_pointed_out() {
        let printed = format!("595.10, {H100}\n");
        for (visible, status) in [(None, Status::Ok), (Some("0"), Status::Ok), (Some(""), Status::Warn)] {
            assert_eq!(judge(&Driver::of(&printed), true, visible).status, status, "{visible:?}");
        }
    }
}
