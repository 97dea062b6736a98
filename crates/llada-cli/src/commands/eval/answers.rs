//! Generation benchmarks. The model answers in words, and the rule of the task judges the answer.

use std::collections::HashSet;

use anyhow::Context;
use llada_eval::{Benchmark, FreeFormQuestion, Judgement, Question, Style};
use llada_infer::Request;
use llada_model::Message;
use serde::Serialize;
use serde_json::Value;

use super::{args::AnswerArgs, job, job::Progress, published, report::Report};
use crate::{exit::usage, interrupt, session::Session};

/// An answer in the results file. For code, a sandbox reads `task_id` and `completion`.
#[derive(Serialize)]
struct SampleRecord<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<String>,
    prompt: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

pub(super) fn run(task: &'static Benchmark, args: &AnswerArgs) -> anyhow::Result<()> {
    let config = args.config(task)?;
    let questions = job::questions(task, &args.job, config.seed)?;
    let asked: Vec<&FreeFormQuestion> = questions.iter().filter_map(|(_, question)| generation(question)).collect();
    if args.job.out.is_none() && asked.iter().any(|asked| asked.task_id.is_some()) {
        return Err(usage("nothing is executed: the completions are for a sandbox\nhint: --out samples.jsonl"));
    }
    warn_of_repeated_ids(&questions);
    let mut session = Session::open_for_answers(&args.model, &args.graphs)?;
    let style = job::style(args.job.settings_of);
    let mut prompts = Vec::with_capacity(asked.len());
    for (asked, (place, _)) in asked.iter().zip(&questions) {
        prompts.push(prompt_ids(&session, style, &asked.prompt).with_context(|| place.clone())?);
    }
    let requests = Request::for_each(&prompts, &config);
    job::check(&questions, args.job.num_fewshot(task), |index| session.model.engine().validate(&requests[index]))?;
    session.warn_about(&config);
    let mut progress = Progress::open(&session, &args.job, &config, &questions)?;
    while progress.finished() < asked.len() {
        let first = progress.finished();
        let group = first..asked.len().min(first + usize::from(args.batch_size));
        let answers = session.model.engine_mut().generate_batch(&requests[group.clone()], |_| interrupt::check())?;
        for (asked, answer) in asked[group].iter().zip(answers) {
            let text = session.turn_text(&answer.output)?;
            let Judgement { answer: read, marks } = asked.judge(&text);
            let (completion, answer_read) = if asked.task_id.is_some() { (read, None) } else { (None, read) };
            let (task_id, prompt) = (asked.task_id.as_ref(), asked.prompt.as_str());
            progress.add(
                SampleRecord { task_id, completion, prompt, text: &text, answer: answer_read },
                marks,
                answer.nfe,
            )?;
        }
    }
    session.note_graphs();
    Report::new(task, &args.job, progress, &config, |sampling| published::is_of(sampling, &config)).print(args.job.json)
}

/// Warns of ids that occur more than once, because a sandbox takes them for the same problem.
fn warn_of_repeated_ids(questions: &[(String, Question)]) {
    let mut seen = HashSet::new();
    for (place, question) in questions {
        let id = generation(question).and_then(|asked| asked.task_id.as_ref());
        if let Some(id) = id.filter(|id| !seen.insert(id.to_string())) {
            eprintln!(
                "warning: {place}: task_id {id} was there before: two answers to what a sandbox takes for one problem"
            );
        }
    }
}

fn generation(question: &Question) -> Option<&FreeFormQuestion> {
    match question {
        Question::FreeForm(generation) => Some(generation),
        Question::Choice(_) => None,
    }
}

fn prompt_ids(session: &Session, style: Style, prompt: &str) -> anyhow::Result<Vec<u32>> {
    let tokenizer = session.model.tokenizer()?;
    Ok(match style {
        Style::Plain => tokenizer.encode(prompt)?,
        Style::Chat => tokenizer.encode_chat(&[Message::new("user", prompt)])?,
    })
}
