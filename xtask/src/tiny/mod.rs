//! `cargo xtask train-tiny`: the recipe of `models/llada-tiny`, from its data to its evaluation.
//!
//! Each stage creates one file or folder in the recipe's folder, completely or not at all, and is skipped if it exists. So an
//! interrupted recipe continues where it stopped, even in the middle of training.

mod wordnet;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cli::TrainTinyArgs;
use crate::failure::Failure;
use crate::{llada, process, setup, style, workspace};

/// The folder of the run files.
const RECIPE: &str = "models/llada-tiny/recipe";

/// The number of examples of the tasks that are used as text in pre-training.
const TEXTS: &str = "400000";

/// The number of examples in the first stage of fine-tuning.
const CHATS: &str = "400000";

/// A dataset for fine-tuning.
struct Mixture {
    name: &'static str,
    seed: &'static str,
    /// The number of examples of each task.
    counts: [(&'static str, &'static str); 8],
}

/// The datasets of the later stages of fine-tuning, mostly of the tasks that need the most examples.
const MIXTURES: [Mixture; 2] = [
    Mixture {
        name: "recalls",
        seed: "3",
        counts: [
            ("addition", "140000"),
            ("facts", "120000"),
            ("fact_reversal", "80000"),
            ("sorting", "60000"),
            ("word_reversal", "25000"),
            ("template", "20000"),
            ("story", "15000"),
            ("sudoku", "40000"),
        ],
    },
    Mixture {
        name: "rehearsals",
        seed: "4",
        counts: [
            ("addition", "60000"),
            ("facts", "150000"),
            ("fact_reversal", "90000"),
            ("sorting", "32000"),
            ("word_reversal", "12000"),
            ("template", "12000"),
            ("story", "12000"),
            ("sudoku", "16000"),
        ],
    },
];

/// The length of answers in tokens, which is that of the canvas in `llada eval tiny`.
const ANSWER_LENGTH: &str = "32";

pub(crate) fn run(args: &TrainTinyArgs) -> Result<()> {
    setup::ensure()?;
    let recipe = Recipe::open(&args.out)?;
    recipe.data()?;
    let baseline = if args.objective == "ar" { "-ar" } else { "" };
    let mut model: Option<String> = None;
    for run in ["pretrain", "sft", "recall", "rehearse"] {
        let run_file = workspace::root().join(RECIPE).join(format!("{run}.toml")).display().to_string();
        let out = format!("{run}{baseline}");
        let mut arguments = vec!["--config", &run_file, "--out", &out, "--objective", &args.objective];
        if let Some(init) = &model {
            arguments.extend(["--init", init]);
        }
        let made = format!("{out}/model");
        recipe.stage(&made, if run == "pretrain" { "pretrain" } else { "sft" }, arguments)?;
        model = Some(made);
    }
    let model = model.unwrap_or_default();
    recipe.evaluate(&format!("eval{baseline}.json"), &model)?;
    println!("{} {}", style::strong("model:"), workspace::shown(&recipe.folder.join(model)));
    Ok(())
}

/// The recipe's folder and the program `llada`.
struct Recipe {
    folder: PathBuf,
    llada: PathBuf,
}

impl Recipe {
    fn open(out: &Path) -> Result<Self> {
        let folder = workspace::root().join(out);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self { folder, llada: llada::build()? })
    }

    fn data(&self) -> Result<()> {
        if !self.folder.join("wordnet").exists() {
            println!("{}", style::strong("wordnet"));
            let scratch = tempfile::tempdir_in(&self.folder)?;
            wordnet::download(scratch.path())?;
            let made = tempfile::tempdir_in(&self.folder)?;
            wordnet::extract(scratch.path(), made.path())?;
            fs::rename(made.keep(), self.folder.join("wordnet"))?;
        }
        let text = ["wordnet/text.jsonl", "tasks.jsonl"];
        let jsonl = ["--format", "jsonl", "--input"];
        let tokenizer = ["--tokenizer", "tokenizer"];
        let prepare = |name: &str, input: &[&str], more: &[&str]| {
            self.stage(name, "data", [&["prepare", "--out", name], &tokenizer[..], more, input].concat())
        };
        let generate = |name: &str, seed: &str, count: &str, more: &[&str]| {
            let arguments = ["generate", "--seed", seed, "--count", count, "--out", name];
            self.stage(name, "tasks", [&arguments, more].concat())
        };
        generate("tasks.jsonl", "1", TEXTS, &[])?;
        generate("chats.jsonl", "2", CHATS, &[])?;
        for Mixture { name, seed, counts } in MIXTURES {
            for (task, count) in counts {
                generate(&format!("{name}-{task}.jsonl"), seed, count, &["--task", task])?;
            }
        }
        let vocabulary = ["train", "--vocab-size", "2048", "--out", "tokenizer"];
        self.stage("tokenizer", "tokenizer", [&vocabulary[..], &jsonl, &text].concat())?;
        prepare("text", &text, &jsonl)?;
        prepare("validation", &["wordnet/validation.jsonl"], &jsonl)?;
        let chat = ["--answer-length", ANSWER_LENGTH, "--format", "chat", "--input"];
        prepare("chats", &["chats.jsonl"], &chat)?;
        for Mixture { name, counts, .. } in MIXTURES {
            let files = counts.map(|(task, _)| format!("{name}-{task}.jsonl"));
            prepare(name, &files.each_ref().map(String::as_str), &chat)?;
        }
        Ok(())
    }

    /// Runs `llada COMMAND ARGUMENTS` unless `made` exists.
    fn stage<S: AsRef<OsStr>>(&self, made: &str, command: &str, arguments: impl IntoIterator<Item = S>) -> Result<()> {
        if self.folder.join(made).exists() {
            return Ok(());
        }
        println!("{}", style::strong(made));
        if process::show(self.llada(command).args(arguments))? {
            return Ok(());
        }
        Err(self.stopped(made).into())
    }

    /// Evaluates `model` on held-out questions and writes the results to the file `figures`.
    fn evaluate(&self, figures: &str, model: &str) -> Result<()> {
        let path = self.folder.join(figures);
        if !path.exists() {
            println!("{}", style::strong(figures));
            let mut command = self.llada("eval");
            command.args(["tiny", "--json", "--model", model]).stderr(Stdio::inherit());
            let output = process::capture(&mut command)?;
            if !output.status.success() {
                return Err(self.stopped(figures).into());
            }
            fs::write(&path, &output.stdout).with_context(|| format!("cannot write {}", path.display()))?;
        }
        println!("{}", fs::read_to_string(&path)?.trim());
        Ok(())
    }

    fn llada(&self, command: &str) -> Command {
        let mut llada = Command::new(&self.llada);
        llada.arg(command).current_dir(&self.folder);
        llada
    }

    fn stopped(&self, made: &str) -> Failure {
        let message = format!("{} is not finished", workspace::shown(&self.folder.join(made)));
        Failure::failed(message, "cargo xtask train-tiny   (goes on where it was)")
    }
}
