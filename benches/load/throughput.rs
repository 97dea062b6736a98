//! What serving costs: the same requests over HTTP and in one batch of the library, on one thread each.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use llada::{Message, Model, Request, SamplerConfig};
use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

use crate::server::Server;

/// Clients at the same time.
const CLIENTS: usize = 8;

/// Answers `count` requests both ways, and prints how long each took.
pub(crate) fn compare(model: &Path, count: usize) -> anyhow::Result<()> {
    let library = library(model, count)?;
    let (server, client) = served(model, count)?;
    println!("{count} requests, one thread: {library:.2} s in a batch, {server:.2} s served to {CLIENTS} clients");
    println!("served over batch: {:.3}; the clients' own time: {client:.2} s of CPU", server / library);
    Ok(())
}

fn question(number: usize) -> String {
    format!("What is {} + {}?", 100 + number % 400, 1 + number % 97)
}

fn library(model: &Path, count: usize) -> anyhow::Result<f64> {
    llada::set_threads(1);
    let mut model = Model::open(model)?;
    let mut requests = Vec::new();
    for number in 0..count {
        let prompt = model.tokenizer()?.encode_chat(&[Message::new("user", question(number))])?;
        let config = SamplerConfig { gen_length: 32, steps: Some(8), ..SamplerConfig::default() };
        requests.push(Request::new(prompt, config));
    }
    let start = Instant::now();
    for batch in requests.chunks(CLIENTS) {
        for generation in model.engine_mut().generate_batch(batch, |_| ControlFlow::Continue(()))? {
            model.answer(generation)?;
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Returns the time that it took, and the time of the processor that the clients took of it.
fn served(model: &Path, count: usize) -> anyhow::Result<(f64, f64)> {
    let server = Server::start(model, Some(1))?;
    let (address, next) = (server.address(), AtomicUsize::new(0));
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok(());
                        }
                        let body = json!({
                            "messages": [{"role": "user", "content": question(number)}], "max_tokens": 32, "seed": 0,
                            "diffusion": {"steps": 8},
                        });
                        let mut response =
                            ureq::post(format!("http://{address}/v1/chat/completions")).send_json(body)?;
                        response.body_mut().read_json::<Value>()?;
                    }
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| anyhow::bail!("a client failed")))
    })?;
    Ok((start.elapsed().as_secs_f64(), cpu_seconds()? - cpu))
}

/// The time of the processor that this process has taken.
fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
