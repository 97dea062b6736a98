//! Asks a model the questions that prescribe a form, with and without it.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path, sync::Arc, time::Instant};

use llada::{Message, Model, Pattern, Request, SamplerConfig, TokenDfa};
use llada_core::rng::Noise;
use llada_tasks::{ALL, Example, Split, mixture};

use super::{FormCell, FormReport, STEPS, TEMPERATURES};
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
        for temperature in TEMPERATURES {
            for steps in STEPS {
                for is_constrained in [false, true] {
                    let cell = FormCell::new(task, temperature, steps, is_constrained);
                    let cell = ask(model, &questions, canvas, cell)?;
                    println!("{cell}");
                    cells.push(cell);
                }
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

/// Asks the questions under the setting of a cell, and returns it with the sums of the answers.
fn ask(model: &mut Model, questions: &[Question], canvas: Canvas, mut cell: FormCell) -> anyhow::Result<FormCell> {
    let config =
        SamplerConfig { steps: Some(cell.steps), temperature: cell.temperature, ..canvas.smallest().config(SEED)? };
    let prompts: Vec<Vec<u32>> = questions.iter().map(|question| question.prompt.clone()).collect();
    let mut requests = Request::for_each(&prompts, &config);
    if cell.is_constrained {
        let constrained = requests.into_iter().zip(questions);
        requests = constrained.map(|(request, question)| request.with_constraint(question.form.clone())).collect();
    }
    for (questions, requests) in questions.chunks(BATCH).zip(requests.chunks(BATCH)) {
        let start = Instant::now();
        let generations = model.engine_mut().generate_batch(requests, |_| ControlFlow::Continue(()))?;
        cell.seconds += start.elapsed().as_secs_f64();
        for (question, generation) in questions.iter().zip(generations) {
            cell.valid += usize::from(question.form.accepts(model.ends().cut(&generation.output)));
            let answer = model.answer(generation)?;
            cell.right += usize::from(question.example.check(&answer.text));
            cell.answers += 1;
            cell.nfe += answer.nfe;
            cell.forced += answer.forced;
        }
    }
    Ok(cell)
}
