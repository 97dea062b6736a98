//! Rule: versions of dependencies are in `[workspace.dependencies]` only, and crates refer to them.

use super::{Source, Violation};

const RULE: &str = "manifests";

pub(super) fn check(manifest: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut section = "";
    for (line, text) in (1..).zip(manifest.text.lines()) {
        let text = text.trim();
        if text.starts_with('[') {
            section = text.trim_matches(['[', ']']);
            if dependency_table(section) == Some(Table::One) {
                let message = "write the dependency on one line: `name = { workspace = true, ... }`";
                found.push(manifest.violation(line, RULE, message));
            }
            continue;
        }
        let is_entry = !text.is_empty() && !text.starts_with('#');
        if is_entry && dependency_table(section) == Some(Table::All) && !refers_to_workspace(text) {
            let name = text.split(['=', '.']).next().unwrap_or(text).trim();
            let message = format!("`{name}` has its version here; move it to [workspace.dependencies]");
            found.push(manifest.violation(line, RULE, message));
        }
    }
    found
}

#[derive(PartialEq)]
enum Table {
    /// `[dependencies]`
    All,
    /// `[dependencies.name]`
    One,
}

fn dependency_table(section: &str) -> Option<Table> {
    // `[target.'cfg(unix)'.dependencies]` ends the same way.
    if section.ends_with("dependencies") {
        Some(Table::All)
    } else if section.contains("dependencies.") {
        Some(Table::One)
    } else {
        None
    }
}

fn refers_to_workspace(entry: &str) -> bool {
    let packed: String = entry.chars().filter(|c| !c.is_whitespace()).collect();
    packed.contains(".workspace=true") || packed.contains("{workspace=true") || packed.contains(",workspace=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_belong_to_the_workspace() {
        for (entry, violations) in [
            ("[dependencies]\nserde.workspace = true", 0),
            ("[dependencies]\nserde = { workspace = true, features = [\"rc\"] }", 0),
            ("[dependencies]\nserde = \"1\"", 1),
            ("[dev-dependencies]\nserde = { version = \"1\" }", 1),
            ("[build-dependencies]\nllada-core = { path = \"../llada-core\" }", 1),
            ("[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"", 1),
            ("[dependencies.serde]\nversion = \"1\"", 1),
            ("[package]\nname = \"x\"\n\n[dependencies]\n# none yet\n", 0),
        ] {
            assert_eq!(check(&Source::new("Cargo.toml", entry)).len(), violations, "{entry}");
        }
    }
}
