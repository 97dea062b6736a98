//! What README.md and the book show is done: each block of commands is executed, or marked with why it is not.
//!
//! The blocks of a page run in order in one folder, which links to what the repository has, so that they can be typed in
//! its root as they stand. `llada` is the built command, `MODEL` is models/llada-tiny. A block of TOML that begins with
//! `# NAME` is written to that file first. After `bash`, a fence may give one of [`MARKS`].

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::tempdir;

/// Why a block is not executed.
const MARKS: [&str; 5] = ["needs-weights", "needs-network", "needs-gpu", "needs-cluster", "slow"];

/// What a page's commands may read, in the repository.
const READABLE: [&str; 5] = ["README.md", "ARCHITECTURE.md", "crates", "docs", "models"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every Markdown file of docs, in the order of their paths.
fn book() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

struct Block {
    /// Of its fence, counted from 1.
    line: usize,
    /// The words after the backticks: the language, and a mark.
    info: Vec<String>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    for (line, text) in (1..).zip(page.lines()) {
        match text.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                open = true;
                let info = info.split_whitespace().map(str::to_owned).collect();
                found.push(Block { line, info, text: String::new() });
            }
            None if open => found.last_mut().unwrap().text.extend([text, "\n"]),
            None => {}
        }
    }
    found
}

impl Block {
    fn language(&self) -> &str {
        self.info.first().map_or("", String::as_str)
    }

    fn commands(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    }

    /// Does in `folder` what the block says, or says why that is not possible.
    fn perform(&self, folder: &Path) -> Result<(), String> {
        match (self.language(), &self.info[self.info.len().min(1)..]) {
            ("toml", _) => {
                let name = self.text.lines().next().and_then(|line| line.strip_prefix("# "));
                name.map_or(Ok(()), |name| fs::write(folder.join(name), &self.text).map_err(|error| error.to_string()))
            }
            ("bash", [mark]) if MARKS.contains(&mark.as_str()) => Ok(()),
            ("bash", []) if self.commands().all(|command| command.starts_with("cargo ")) => {
                self.commands().try_for_each(|command| match cargo_knows(command) {
                    true => Ok(()),
                    false => Err(format!("no such chore, benchmark or example: {command}")),
                })
            }
            ("bash", []) => self.run(folder),
            ("bash", marks) => Err(format!("{marks:?} is no mark\nhint: one of {}", MARKS.join(", "))),
            _ => Ok(()),
        }
    }

    fn run(&self, folder: &Path) -> Result<(), String> {
        let programs = Path::new(env!("CARGO_BIN_EXE_llada")).parent().unwrap().display();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-eu", "-o", "pipefail", "-c", &self.text])
            .current_dir(folder)
            .env("PATH", path)
            .env("MODEL", root().join("models/llada-tiny"))
            .env("HF_HUB_CACHE", folder.join("cache"))
            .env("OMP_WAIT_POLICY", "passive")
            .output()
            .map_err(|error| format!("bash: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "{}\n{}{}hint: mend it, or mark the fence: ```bash {}",
            output.status,
            self.text,
            String::from_utf8_lossy(&output.stderr),
            MARKS.join(" | ")
        ))
    }
}

/// Whether what a cargo command names is there; running it would take minutes.
fn cargo_knows(command: &str) -> bool {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    match words[1..] {
        ["xtask", chore, ..] => {
            let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
            let variant: String = chore.split('-').map(capital).collect();
            read("xtask/src/cli.rs").lines().any(|line| {
                line.trim_start().strip_prefix(&variant).is_some_and(|rest| rest.starts_with(['(', ' ', ',']))
            })
        }
        ["bench", "--bench", name, ..] => read("benches/Cargo.toml").contains(&format!("name = \"{name}\"")),
        ["run", "-p", package, "--example", name, ..] => {
            root().join("crates").join(package).join("examples").join(name).with_extension("rs").exists()
        }
        ["bench" | "test", ..] => true,
        _ => false,
    }
}

/// Performs the blocks of pages, each page in a folder of its own.
fn check(pages: &[PathBuf]) {
    let mut failures = Vec::new();
    for page in pages {
        let folder = tempdir().unwrap();
        for name in READABLE {
            symlink(root().join(name), folder.path().join(name)).unwrap();
        }
        for block in blocks(&fs::read_to_string(page).unwrap()) {
            if let Err(why) = block.perform(folder.path()) {
                failures.push(format!("{}:{}: {why}", page.display(), block.line));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

#[test]
fn commands_of_the_readme_do_what_they_say() {
    check(&[root().join("README.md")]);
}

#[test]
fn commands_of_the_book_do_what_they_say() {
    check(&book());
}

/// The targets of a page's links, without those to other sites: a file, which is empty for the page itself, and a heading.
fn links(page: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://"));
    local.map(|target| target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading))))
}

/// Whether a page has a heading that is linked to as `anchor`.
fn has_heading(page: &str, anchor: &str) -> bool {
    let is_kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let headings =
        page.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .into_iter()
        .any(|heading| heading.to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-") == anchor)
}

#[test]
fn every_page_is_in_the_summary_and_no_link_is_dead() {
    let docs = root().join("docs");
    for page in book().into_iter().chain([root().join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        for (file, heading) in links(&text) {
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {file} is not there", page.display());
            if let Some(heading) = heading {
                let target = fs::read_to_string(&target).unwrap();
                assert!(has_heading(&target, heading), "{}: {file} has no heading #{heading}", page.display());
            }
        }
    }
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: Vec<PathBuf> = links(&summary).map(|(file, _)| docs.join(file)).collect();
    for page in book().iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        assert!(listed.contains(page), "{} is not in docs/SUMMARY.md", page.display());
    }
}

#[test]
fn what_is_neither_executed_nor_marked_is_found() {
    let folder = tempdir().unwrap();
    let outcome = |page: &str| blocks(page)[0].perform(folder.path());
    assert_eq!(outcome("```bash\ntrue\n```"), Ok(()));
    assert_eq!(outcome("```bash slow\nfalse\n```"), Ok(()));
    assert_eq!(outcome("```bash\ncargo xtask train-tiny   # hours\n```"), Ok(()));
    assert_eq!(outcome("```text\nfalse\n```"), Ok(()));
    for (page, part) in [
        ("```bash\nfalse\ntrue\n```", "exit status: 1"),
        ("```bash\nllada dance\n```", "unrecognized subcommand 'dance'"),
        ("```bash later\nfalse\n```", "hint: one of needs-weights"),
        ("```bash\ncargo xtask dance\n```", "no such chore"),
        ("```bash\ncargo bench --bench dance\n```", "no such chore"),
    ] {
        assert!(outcome(page).unwrap_err().contains(part), "{page}");
    }
    assert_eq!(outcome("```toml\n# run.toml\nout = 1\n```"), Ok(()));
    assert!(folder.path().join("run.toml").exists());
}
