//! Answers step by step.

use llada::{Answer, Error, Message, Model, Request, SamplerConfig, Step, Update};

use super::{config, tiny};

fn question(model: &Model, config: SamplerConfig) -> Request {
    let messages = [Message::new("user", "Reverse this list: fox, milk, candle, bridge.")];
    Request::new(model.tokenizer().unwrap().encode_chat(&messages).unwrap(), config)
}

/// All steps of a request, and its answer.
fn collect(model: &mut Model, request: Request) -> (Vec<Step>, Answer) {
    let mut steps = Vec::new();
    let mut updates = model.steps(request).unwrap();
    loop {
        match updates.next().unwrap().unwrap() {
            Update::Step(step) => steps.push(step),
            Update::Finished(answer) => {
                assert!(updates.next().is_none() && updates.next().is_none());
                return (steps, answer);
            }
        }
    }
}

#[test]
fn the_steps_lead_to_the_answer_that_a_single_call_gives() {
    let mut model = tiny();
    let request = question(&model, config());
    let (steps, answer) = collect(&mut model, request.clone());
    assert_eq!(answer, model.generate(&request).unwrap());

    assert_eq!(steps.len(), answer.nfe);
    let taken: Vec<_> = steps.iter().map(|step| step.taken.clone()).collect();
    assert_eq!(taken, answer.trace.steps);
    let last = steps.last().unwrap();
    assert_eq!(last.text, answer.text);
    assert_eq!(last.canvas, [answer.prompt.as_slice(), &answer.output].concat());
    assert_eq!(last.settled, last.canvas.len());
}

#[test]
fn masks_in_a_text_so_far_are_spelled_as_the_tokenizer_spells_them() {
    let mut model = tiny();
    let mask_id = model.mask_id();
    let prompt = model.tokenizer().unwrap().encode("the <|mdm_mask|> of <|mdm_mask|>").unwrap();
    let fill = SamplerConfig { gen_length: 0, ..config() };
    let (steps, answer) = collect(&mut model, Request::new(prompt, fill));
    let [first, last] = steps.as_slice() else { panic!("{} steps", steps.len()) };
    assert_eq!(first.text.matches("<|mdm_mask|>").count(), 1, "{}", first.text);
    assert_eq!(first.canvas.iter().filter(|&&id| id == mask_id).count(), 1);
    assert_eq!(last.text, answer.text);
}

#[test]
fn leaving_the_loop_cancels_the_generation() {
    let mut model = tiny();
    let request = question(&model, config());
    let whole = model.generate(&request).unwrap();
    for (index, update) in model.steps(request.clone()).unwrap().enumerate() {
        update.unwrap();
        if index == 2 {
            break;
        }
    }
    assert_eq!(model.engine().running().count(), 0);
    // The next one has the slots to itself, and is as if there had been none before.
    assert_eq!(model.generate(&request).unwrap(), whole);
}

#[test]
fn other_jobs_of_the_engine_rest_meanwhile() {
    let mut model = tiny();
    let request = question(&model, config());
    let other = model.engine_mut().submit(request.clone()).unwrap();
    let before = model.engine().cost(other);
    collect(&mut model, request);
    assert_eq!(model.engine().running().collect::<Vec<_>>(), [other]);
    assert_eq!(model.engine().cost(other), before);
}

#[test]
fn what_is_impossible_is_refused_before_the_first_step() {
    let mut model = tiny();
    let request = question(&model, SamplerConfig { block_length: Some(0), ..config() });
    assert!(matches!(model.steps(request).map(drop), Err(Error::Infer(_))));
    assert_eq!(model.engine().running().count(), 0);
}
