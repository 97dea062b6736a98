//! Rule: the crates that work without libtorch do not depend on it, directly or indirectly.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata};

use super::{Source, Violation, source};

/// The crates that build and pass their tests on a machine without libtorch.
const TORCH_FREE: [&str; 9] = [
    "llada-core",
    "llada-eval",
    "llada-gguf",
    "llada-grammar",
    "llada-hub",
    "llada-infer",
    "llada-tasks",
    "fetch-weights",
    "xtask",
];

const TORCH: [&str; 2] = ["tch", "torch-sys"];

/// The dependencies between crates, by name. Those of tests are separate, because only a crate's own tests need them.
#[derive(Default)]
struct Graph {
    to_use: BTreeMap<String, Vec<String>>,
    to_test: BTreeMap<String, Vec<String>>,
}

pub(super) fn check(metadata: &Metadata) -> Vec<Violation> {
    let graph = Graph::new(metadata);
    source::manifests(metadata)
        .iter()
        .zip(metadata.workspace_packages())
        .filter(|(_, package)| TORCH_FREE.contains(&package.name.as_str()))
        .filter_map(|(manifest, package)| graph.check_crate(&package.name, manifest))
        .collect()
}

impl Graph {
    fn new(metadata: &Metadata) -> Self {
        let name_of = |id| metadata[id].name.to_string();
        let mut graph = Self::default();
        for node in metadata.resolve.iter().flat_map(|resolve| &resolve.nodes) {
            for edge in &node.deps {
                let only_tests = edge.dep_kinds.iter().all(|kind| kind.kind == DependencyKind::Development);
                let edges = if only_tests { &mut graph.to_test } else { &mut graph.to_use };
                edges.entry(name_of(&node.id)).or_default().push(name_of(&edge.pkg));
            }
        }
        graph
    }

    fn check_crate(&self, name: &str, manifest: &Source) -> Option<Violation> {
        let path = self.path_to_torch(name)?;
        let line = (1..)
            .zip(manifest.text.lines())
            .find(|(_, line)| line.starts_with(path[1].as_str()))
            .map_or(1, |(line, _)| line);
        let message = format!("libtorch is reachable: {}", path.join(" -> "));
        Some(manifest.violation(line, "torch-free", message))
    }

    /// Returns the chain of dependencies from a crate to libtorch, starting with the crate.
    fn path_to_torch(&self, start: &str) -> Option<Vec<String>> {
        let mut seen = vec![start.to_owned()];
        let mut open = vec![vec![start.to_owned()]];
        while let Some(path) = open.pop() {
            let last = &path[path.len() - 1];
            let own_tests = self.to_test.get(last).filter(|_| path.len() == 1);
            for next in self.to_use.get(last).into_iter().chain(own_tests).flatten() {
                let longer = [path.as_slice(), std::slice::from_ref(next)].concat();
                if TORCH.contains(&next.as_str()) {
                    return Some(longer);
                }
                if !seen.contains(next) {
                    seen.push(next.clone());
                    open.push(longer);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(to_use: &[(&str, &str)], to_test: &[(&str, &str)]) -> Graph {
        let edges = |pairs: &[(&str, &str)]| {
            let mut map = BTreeMap::<String, Vec<String>>::new();
            for (from, to) in pairs {
                map.entry((*from).to_owned()).or_default().push((*to).to_owned());
            }
            map
        };
        Graph { to_use: edges(to_use), to_test: edges(to_test) }
    }

    #[test]
    fn libtorch_is_found_however_far() {
        let far = graph(&[("llada-infer", "a"), ("a", "b"), ("b", "a"), ("b", "tch")], &[]);
        let manifest = Source::new("Cargo.toml", "[dependencies]\na.workspace = true\n");
        let violation = far.check_crate("llada-infer", &manifest).unwrap();
        assert_eq!(violation.line, 2);
        assert!(violation.message.ends_with("llada-infer -> a -> b -> tch"));
    }

    #[test]
    fn a_crates_own_tests_count_and_those_of_others_do_not() {
        let own = graph(&[], &[("llada-core", "torch-sys")]);
        assert!(own.path_to_torch("llada-core").is_some());
        let others = graph(&[("llada-core", "a")], &[("a", "torch-sys")]);
        assert!(others.path_to_torch("llada-core").is_none());
    }
}
