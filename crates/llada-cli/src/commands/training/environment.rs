//! What reinforcement learning asks, and how it judges: synthetic tasks, or a benchmark that needs no sandbox.

use std::fmt;

use anyhow::Context;
use llada_core::rng::Noise;
use llada_eval::{Benchmark, Question, Style, TaskKind, read};
use llada_model::{Message, Tokenizer};
use llada_tasks::{Split, SyntheticTask, by_name, mixture};
use llada_train::{config::RunConfig, environment::Environment};

use crate::exit::usage;

/// Questions with the rules that judge answers to them.
pub(super) struct Questions {
    tokenizer: Tokenizer,
    prompts: Vec<Vec<u32>>,
    rewards: Vec<Reward>,
}

/// What an answer, as text, is worth.
type Reward = Box<dyn Fn(&str) -> f64 + Send>;

impl fmt::Debug for Questions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").field("prompts", &self.prompts.len()).finish_non_exhaustive()
    }
}

impl Environment for Questions {
    fn len(&self) -> usize {
        self.prompts.len()
    }

    fn prompt(&self, index: usize) -> &[u32] {
        &self.prompts[index]
    }

    fn reward(&self, index: usize, answer: &[u32]) -> f64 {
        let end = answer.iter().position(|&id| Some(id) == self.tokenizer.eot_id()).unwrap_or(answer.len());
        // What is no text is no answer.
        self.tokenizer.decode(&answer[..end]).map_or(0.0, |text| self.rewards[index](&text))
    }
}

/// The questions that the settings of a run ask for.
pub(super) fn open(config: &RunConfig) -> anyhow::Result<Questions> {
    let names = &config.rl.tasks;
    let folder = config.tokenizer_folder().ok_or_else(|| usage("no model to start from\nhint: --init DIR"))?;
    let tokenizer = Tokenizer::open(folder)?.with_context(|| format!("{}: no tokenizer.json", folder.display()))?;
    let mut questions =
        Questions { tokenizer: tokenizer.with_masks_as_text(), prompts: Vec::new(), rewards: Vec::new() };
    match names.as_slice() {
        [] => return Err(usage("nothing to ask\nhint: --tasks addition,sorting, or a benchmark with --data FILE")),
        [name] if Benchmark::by_name(name).is_some() => questions.of_benchmark(name, config)?,
        names => questions.of_tasks(names, config)?,
    }
    Ok(questions)
}

impl Questions {
    /// Adds a question that is asked as a user's message.
    fn add(&mut self, prompt: &str, reward: Reward) -> anyhow::Result<()> {
        self.prompts.push(self.tokenizer.encode_chat(&[Message::new("user", prompt)])?);
        self.rewards.push(reward);
        Ok(())
    }

    fn of_tasks(&mut self, names: &[String], config: &RunConfig) -> anyhow::Result<()> {
        if config.data.is_some() {
            return Err(usage("synthetic tasks have no data\nhint: leave out --data"));
        }
        let tasks: Vec<&dyn SyntheticTask> = names.iter().map(|name| by_name(name)).collect::<Result<_, _>>()?;
        for (_, example) in mixture(&tasks, Split::Train, Noise::new(config.seed)).take(config.rl.num_prompts) {
            let prompt = example.prompt.clone();
            self.add(&prompt, Box::new(move |answer| f64::from(u8::from(example.check(answer)))))?;
        }
        Ok(())
    }

    fn of_benchmark(&mut self, name: &str, config: &RunConfig) -> anyhow::Result<()> {
        if config.data.is_none() {
            return Err(usage(format!("no records of {name}\nhint: --data FILE")));
        }
        let data = config.one_data()?;
        let benchmark = Benchmark::by_name(name).filter(|task| matches!(task.kind, TaskKind::FreeForm { .. }));
        let benchmark = benchmark.ok_or_else(|| usage(format!("{name} has options and no answers in words")))?;
        for record in read(data)? {
            let Question::FreeForm(question) = benchmark.question(&record, Style::Chat)? else { continue };
            if question.task_id.is_some() {
                return Err(usage(format!("{name} is judged by running code, and nothing is executed")));
            }
            let prompt = question.prompt.clone();
            let reward = move |answer: &str| question.judge(answer).marks.first().map_or(0.0, |&(_, value)| value);
            self.add(&prompt, Box::new(reward)).with_context(|| record.place())?;
        }
        Ok(())
    }
}
