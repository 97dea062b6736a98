//! An answer, step by step: each line is the text after a step, masks shown as `░`.
//!
//! ```text
//! cargo run -p llada --example watch -- [MODEL] [TEXT]
//! ```
//!
//! MODEL is a folder or a name; without it the repository's own is opened, seen from the root of the repository.
#![allow(clippy::print_stdout, reason = "an example's output")]

use std::env;

use llada::{Error, Message, Model, Request, SamplerConfig, Update};

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "models/llada-tiny".to_owned());
    let text = arguments.next().unwrap_or_else(|| "Reverse this list: fox, milk, candle, bridge.".to_owned());

    let mut model = Model::open(name)?;
    let tokenizer = model.tokenizer()?.clone();
    let prompt = tokenizer.encode_chat(&[Message::new("user", text)])?;
    let config = SamplerConfig { gen_length: 32, steps: Some(16), ..SamplerConfig::default() };
    for update in model.steps(Request::new(prompt, config))? {
        match update? {
            Update::Step(step) => println!("{:3}  {}", step.taken.step + 1, step.text.replace(tokenizer.mask(), "░")),
            Update::Finished(answer) => println!("{} forwards: {}", answer.nfe, answer.text),
        }
    }
    Ok(())
}
