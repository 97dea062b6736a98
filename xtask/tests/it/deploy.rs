//! `deploy-check` where what it needs is not there: an exit code for scripts, and a hint.

use std::fs;

use crate::sandbox::{Sandbox, outcome};

/// A machine whose user may not install packages.
fn without_rights() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.program("id", "#!/bin/sh\necho 1000\n");
    sandbox
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let sandbox = without_rights();
    sandbox.program("python3", "#!/bin/sh\nexit 1\n");
    let report = sandbox.run(&["deploy-check"]);
    assert_eq!(report.code, Some(3));
    assert!(report.stderr.contains("sudo apt-get install python3-venv"), "{}", report.stderr);
}

#[test]
fn no_container_is_built_where_the_kernel_forbids_it() {
    let sandbox = without_rights();
    for program in ["python3", "buildah", "debootstrap"] {
        sandbox.program(program, "#!/bin/sh\nexit 0\n");
    }
    sandbox.program("unshare", "#!/bin/sh\nexit 1\n");
    for (file, text) in [
        ("checkout/xtask/deploy/requirements.txt", "pytest\n"),
        ("checkout/xtask/deploy/constraints.txt", "pluggy\n"),
        ("target/deploy-check/venv/installed", "pytest\npluggy\n"),
    ] {
        fs::create_dir_all(sandbox.path(file).parent().unwrap()).unwrap();
        fs::write(sandbox.path(file), text).unwrap();
    }
    let mut command = sandbox.xtask(&["deploy-check", "--image"]);
    let report = outcome(command.env("CARGO_TARGET_DIR", sandbox.path("target")));
    assert_eq!(report.code, Some(3), "{}", report.stdout);
    assert!(report.stderr.contains("mounts and chroot are not permitted"), "{}", report.stderr);
}
