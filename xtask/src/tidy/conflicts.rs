//! No text of the repository has the marks that git leaves where it could not merge.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Violation;
use crate::process;

/// Looks through all files that git knows below `root`.
pub(super) fn check(root: &Path) -> Result<Vec<Violation>> {
    let marks = "^(<{7}|>{7}) ";
    let found = process::capture(Command::new("git").current_dir(root).args(["grep", "-InE", marks]))?;
    Ok(String::from_utf8_lossy(&found.stdout).lines().filter_map(violation).collect())
}

/// Reads `PATH:LINE:TEXT`.
fn violation(line: &str) -> Option<Violation> {
    let mut parts = line.splitn(3, ':');
    let (path, line) = (parts.next()?, parts.next()?.parse().ok()?);
    let message = format!("`{}`: a merge was not finished", parts.next()?);
    Some(Violation { path: path.into(), line, rule: "conflict", message })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn marks_of_a_merge_are_found_in_any_file() {
        let folder = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| process::answer(Command::new("git").current_dir(folder.path()).args(args)).unwrap();
        _ = git(&["init"]);
        let [start, end] = ["<", ">"].map(|mark| mark.repeat(7));
        fs::write(folder.path().join("a.md"), format!("text\n{start} HEAD\nA\n=======\nB\n{end} other\n")).unwrap();
        fs::write(folder.path().join("b.rs"), "// 1 <<<<<<< 2\n").unwrap();
        _ = git(&["add", "."]);
        let lines: Vec<_> = check(folder.path()).unwrap().iter().map(ToString::to_string).collect();
        let expected = [(2, format!("{start} HEAD")), (6, format!("{end} other"))]
            .map(|(line, text)| format!("a.md:{line}: conflict: `{text}`: a merge was not finished"));
        assert_eq!(lines, expected);
    }
}
