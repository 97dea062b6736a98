//! Rule: crates are layers, and a crate depends on lower layers only.

use cargo_metadata::Metadata;

use super::{Source, Violation, source};

const RULE: &str = "layering";

/// Each crate with the crates of the workspace that it may depend on, in builds and in tests.
const MAY_USE: [(&str, &[&str]); 16] = [
    ("llada", &["llada-core", "llada-grammar", "llada-hub", "llada-infer", "llada-model"]),
    ("llada-core", &[]),
    ("llada-gguf", &["llada-core"]),
    ("llada-grammar", &["llada-core"]),
    ("llada-hub", &[]),
    ("llada-model", &["llada-core", "llada-gguf"]),
    ("llada-infer", &["llada-core"]),
    ("llada-serve", &["llada"]),
    ("llada-tasks", &["llada-core"]),
    ("llada-eval", &["llada-core"]),
    ("llada-train", &["llada-core", "llada-infer", "llada-model"]),
    ("llada-distributed", &["llada-core", "llada-model", "llada-train"]),
    (
        "llada-cli",
        &[
            "llada",
            "llada-core",
            "llada-distributed",
            "llada-eval",
            "llada-hub",
            "llada-model",
            "llada-infer",
            "llada-serve",
            "llada-tasks",
            "llada-train",
        ],
    ),
    (
        "llada-benches",
        &[
            "llada",
            "llada-core",
            "llada-grammar",
            "llada-model",
            "llada-infer",
            "llada-serve",
            "llada-tasks",
            "llada-train",
        ],
    ),
    ("xtask", &[]),
    ("fetch-weights", &["llada-hub", "xtask"]),
];

pub(super) fn check(metadata: &Metadata) -> Vec<Violation> {
    let members: Vec<&str> = metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    let mut found = Vec::new();
    for (package, manifest) in metadata.workspace_packages().iter().zip(source::manifests(metadata)) {
        let uses = package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
            .filter(|name| members.contains(name));
        found.extend(check_crate(&package.name, uses, &manifest));
    }
    found
}

fn check_crate<'a>(name: &str, uses: impl Iterator<Item = &'a str>, manifest: &Source) -> Vec<Violation> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(layer, _)| *layer == name) else {
        let message = format!("`{name}` has no layer; give it one in MAY_USE of xtask/src/tidy/layering.rs");
        return vec![manifest.violation(1, RULE, message)];
    };
    uses.filter(|used| !allowed.contains(used))
        .map(|used| {
            let entry = format!("{used}.");
            let line = (1..).zip(manifest.text.lines()).find(|(_, line)| line.starts_with(&entry));
            let message = format!("`{name}` may not use `{used}`; it may use {allowed:?}");
            manifest.violation(line.map_or(1, |(line, _)| line), RULE, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(name: &str, uses: &[&str]) -> Vec<usize> {
        let entries: Vec<_> = uses.iter().map(|used| format!("{used}.workspace = true")).collect();
        let manifest = Source::new("Cargo.toml", format!("[dependencies]\n{}", entries.join("\n")));
        check_crate(name, uses.iter().copied(), &manifest).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn downwards_is_allowed() {
        assert!(violations("llada-model", &["llada-core", "llada-gguf"]).is_empty());
        assert!(violations("llada-train", &["llada-core", "llada-infer", "llada-model"]).is_empty());
        assert!(violations("llada-cli", &["llada-core", "llada-model", "llada-infer"]).is_empty());
    }

    #[test]
    fn upwards_and_sideways_are_found_on_their_lines() {
        assert_eq!(violations("llada-core", &["llada-model"]), [2]);
        assert_eq!(violations("llada-model", &["llada-core", "llada-infer"]), [3]);
        assert_eq!(violations("llada-model", &["llada-core", "llada"]), [3]);
        assert_eq!(violations("llada-infer", &["llada-train"]), [2]);
        assert_eq!(violations("llada-model", &["llada-train"]), [2]);
        assert_eq!(violations("llada-train", &["llada-distributed"]), [2]);
        assert_eq!(violations("llada-infer", &["llada"]), [2]);
        assert_eq!(violations("xtask", &["llada-core"]), [2]);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        assert_eq!(violations("llada-new", &[]), [1]);
    }
}
