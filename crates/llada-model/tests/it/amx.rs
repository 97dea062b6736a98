//! The eight-bit kernel for AMX on emulated tiles: `tests/amx/tiles.cpp`, compiled and run.

use std::{env, path::Path, process::Command};

#[test]
fn the_product_on_emulated_tiles_is_that_of_a_loop_over_integers() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tiles");
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/amx/tiles.cpp");
    let compiled =
        Command::new(&compiler).args(["-std=c++20", "-O2", "-o"]).args([&program, &source]).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let run = Command::new(&program).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}
