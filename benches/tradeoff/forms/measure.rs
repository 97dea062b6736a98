//! Asks a model the questions that prescribe a form, with and without it.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::Arc, time::Instant};

use llada::{Message, Model, Pattern, Request, SamplerConfig, TokenDfa};
use llada_core::rng::Noise;
use llada_tasks::{ALL, Example, Split, Tally, mixture};

use super::{FormCell, FormReport, STEPS, Score};
use crate::{
    grid::Canvas,
    measure::{BATCH, SEED},
    report::model_name,
};

/// A question with the form of its answers.
struct Question {
    prompt: Vec<u32>,
    example: Example,
    form: Arc<TokenDfa>,
}

/// Asks the model of `folder` `limit` held-out questions of each task that has a form.
pub(crate) fn measure(model: &mut Model, folder: &Path, canvas: Canvas, limit: usize) -> anyhow::Result<FormReport> {
    let start = Instant::now();
    let tasks = questions(model, limit)?;
    let compile_seconds = start.elapsed().as_secs_f64() / tasks.values().map(Vec::len).sum::<usize>().max(1) as f64;
    let mut cells = Vec::new();
    for (task, questions) in tasks {
        for steps in STEPS {
            let config = SamplerConfig { steps: Some(steps), ..canvas.smallest().config(SEED) };
            for is_constrained in [false, true] {
                let cell = ask(model, task, &questions, &config, is_constrained)?;
                println!("{cell}");
                cells.push(cell);
            }
        }
    }
    let model = model_name(folder);
    Ok(FormReport { model, limit, gen_length: canvas.gen_length, seed: SEED, compile_seconds, cells })
}

/// The questions by task, their forms compiled.
fn questions(model: &Model, limit: usize) -> anyhow::Result<BTreeMap<&'static str, Vec<Question>>> {
    let mut questions: BTreeMap<_, Vec<Question>> = BTreeMap::new();
    for (task, example) in mixture(&ALL, Split::HeldOut, Noise::new(SEED)).take(limit * ALL.len()) {
        if let Some(form) = &example.form {
            let prompt = model.tokenizer()?.encode_chat(&[Message::new("user", &example.prompt)])?;
            let form = model.compile(&Pattern::regex(form))?;
            questions.entry(task.name()).or_default().push(Question { prompt, example, form });
        }
    }
    Ok(questions)
}

fn ask(
    model: &mut Model,
    task: &'static str,
    questions: &[Question],
    config: &SamplerConfig,
    is_constrained: bool,
) -> anyhow::Result<FormCell> {
    let prompts: Vec<Vec<u32>> = questions.iter().map(|question| question.prompt.clone()).collect();
    let mut requests = Request::for_each(&prompts, config);
    if is_constrained {
        let constrained = requests.into_iter().zip(questions);
        requests = constrained.map(|(request, question)| request.with_constraint(question.form.clone())).collect();
    }
    let (mut right, mut valid) = (Tally::default(), 0);
    let (mut nfe, mut forced, mut seconds) = (0, 0, 0.0);
    for (questions, requests) in questions.chunks(BATCH).zip(requests.chunks(BATCH)) {
        let start = Instant::now();
        let generations = model.engine_mut().generate_batch(requests, |_| ControlFlow::Continue(()))?;
        seconds += start.elapsed().as_secs_f64();
        for (question, generation) in questions.iter().zip(generations) {
            valid += usize::from(question.form.accepts(model.ends().cut(&generation.output)));
            let answer = model.answer(generation)?;
            right.right += usize::from(question.example.check(&answer.text));
            right.total += 1;
            nfe += answer.nfe;
            forced += answer.forced;
        }
    }
    let of_answer = |sum: usize| sum as f64 / right.total as f64;
    Ok(FormCell {
        task,
        steps: config.steps.unwrap_or(config.gen_length),
        is_constrained,
        score: Score::new(right, valid),
        nfe_per_answer: of_answer(nfe),
        seconds_per_answer: seconds / right.total as f64,
        forced_per_answer: of_answer(forced),
    })
}
