//! Rule: every `unsafe` has a comment that says why it is sound, and raw libtorch is used in one folder only.
//!
//! An `unsafe extern` block needs no comment, because it only declares. The calls to its functions are unsafe and need one.

use super::source::has_word;
use super::{Source, Violation};

/// The folders that may use libtorch's C interface.
const RAW: [&str; 2] = ["crates/llada-model/src/torch", "crates/llada-distributed/src/c10d"];

/// The largest number of lines between the start of the comment and `unsafe`.
const NEAR: usize = 8;

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let text: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (line, code) in source.code_lines() {
        let above = &text[line.saturating_sub(1 + NEAR)..line];
        let reasoned = above.iter().any(|line| line.contains("// SAFETY:") || line.contains("/// # Safety"));
        let declares = code.trim_start().starts_with("unsafe extern");
        if has_word(code, "unsafe") && !declares && !reasoned {
            let message = "`unsafe` without a `// SAFETY:` comment right above it";
            found.push(source.violation(line, "unsafe", message));
        }
        if has_word(code, "torch_sys") && !RAW.iter().any(|raw| source.path.starts_with(raw)) {
            let message = format!("`torch_sys` outside {}, the folders for raw libtorch", RAW.join(" and "));
            found.push(source.violation(line, "unsafe", message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(path: &str, text: &str) -> usize {
        check(&Source::new(path, text)).len()
    }

    #[test]
    fn unsafe_needs_its_reason_everywhere() {
        let bare = "let map = unsafe { Mmap::map(&file) };";
        for path in ["crates/llada-model/src/weights.rs", "crates/llada-model/src/torch/shim.rs"] {
            assert_eq!(violations(path, bare), 1, "{path}");
            assert_eq!(violations(path, &format!("// SAFETY: read only.\n{bare}")), 0, "{path}");
        }
        let far = format!("// SAFETY: read only.\n{}{bare}", "\n".repeat(NEAR));
        assert_eq!(violations("crates/llada-model/src/weights.rs", &far), 1);
        assert_eq!(violations("a.rs", "/// # Safety\n/// x\npub unsafe fn f() {}"), 0);
        assert_eq!(violations("a.rs", "unsafe extern \"C\" {}"), 0);
        assert_eq!(violations("a.rs", "#![forbid(unsafe_code)]"), 0);
    }

    #[test]
    fn raw_libtorch_stays_in_its_folder() {
        let text = "use torch_sys::C_tensor;";
        for raw in RAW {
            assert_eq!(violations(&format!("{raw}/raw.rs"), text), 0);
        }
        assert_eq!(violations("crates/llada-model/src/layers/rope.rs", text), 1);
        assert_eq!(violations("crates/llada-cli/src/main.rs", text), 1);
    }
}
