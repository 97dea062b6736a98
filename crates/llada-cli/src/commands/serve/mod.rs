//! `llada serve`: an OpenAI-compatible server.

mod log;

use std::{net::ToSocketAddrs, num::NonZeroUsize, path::PathBuf, time::Duration};

use anyhow::Context;
use llada_serve::{EngineLimits, Keys, ServeOptions, Service, serve};
use tokio::net::TcpListener;

use self::log::LogFormat;
use crate::{
    args::{GraphArgs, ModelArgs},
    exit::usage,
    file::read_text,
    interrupt,
    session::Session,
};

/// How often it is looked whether the server should end.
const PATIENCE: Duration = Duration::from_millis(50);

/// Serve a model over HTTP, as OpenAI's API
///
/// Clients of OpenAI's API work with the address http://HOST:PORT/v1: chat completions and completions, whole or as a stream,
/// with JSON schemas that are always kept. The sampler's options go under the key `diffusion`. Requests join and leave between
/// steps. The first Ctrl-C or SIGTERM ends it once the running answers are complete.
#[derive(clap::Args)]
#[command(after_help = r#"Example:
  llada serve --model DIR --port 8000
  curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \
      -d '{"messages": [{"role": "user", "content": "What is 2 + 3?"}]}'"#)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    graphs: GraphArgs,

    /// Address to listen on. Another one than this machine's own needs --api-keys
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", help_heading = "Server")]
    host: String,

    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8000, help_heading = "Server")]
    port: u16,

    /// Another name of the model for clients; may be given several times [default: the name of its folder]
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    served_model_name: Vec<String>,

    /// Who may use the server: a file with a name and the SHA-256 of a key a line
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    api_keys: Option<PathBuf>,

    /// Answer tokens where a request does not say, if as many fit
    #[arg(long, value_name = "N", default_value_t = ServeOptions::default().default_max_tokens, help_heading = "Server")]
    default_max_tokens: usize,

    /// Answers that advance at the same time
    #[arg(long, value_name = "N", default_value_t = EngineLimits::default().max_running, help_heading = "Server")]
    max_running: NonZeroUsize,

    /// Answers that may wait; more are refused with status 429
    #[arg(long, value_name = "N", default_value_t = EngineLimits::default().max_queue, help_heading = "Server")]
    max_queue: usize,

    /// Tokens of a forward over several answers [default: 256 on a CPU, 8192 on a GPU]
    #[arg(long, value_name = "N", help_heading = "Server")]
    max_step_tokens: Option<usize>,

    /// Memory for the caches of running answers, in gigabytes
    #[arg(long, value_name = "GB", default_value_t = 4.0, value_parser = gigabytes, help_heading = "Server")]
    cache_memory: f64,

    /// Seconds after which an answer is hurried to its end
    #[arg(long, value_name = "N", default_value_t = 600, help_heading = "Server")]
    max_request_seconds: u64,

    /// How requests are logged on stderr
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Server")]
    log_format: LogFormat,

    /// Seconds that the running answers have to end after a signal
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "Server")]
    drain_timeout: u64,
}

fn gigabytes(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err("it is not 0 or more".to_owned()) }
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let addresses: Vec<_> = (args.host.as_str(), args.port)
        .to_socket_addrs()
        .map_err(|error| usage(format!("--host {}: {error}\nhint: --host 127.0.0.1", args.host)))?
        .collect();
    let keys = match &args.api_keys {
        None => Keys::default(),
        Some(path) => {
            let keys: Keys = read_text(path)?
                .parse()
                .map_err(|error| usage(format!("{}: {error}\nhint: sha256sum writes such a digest", path.display())))?;
            if keys.is_empty() {
                return Err(usage(format!(
                    "{} has no keys\nhint: each line is a name and the SHA-256 of a key",
                    path.display()
                )));
            }
            keys
        }
    };
    let is_local = addresses.iter().all(|address| address.ip().is_loopback());
    if !is_local && keys.is_empty() {
        let message = format!(
            "--host {} can be reached from other machines, and there are no keys\nhint: --api-keys FILE, or --host 127.0.0.1",
            args.host
        );
        return Err(usage(message));
    }
    let session = Session::open_for_answers(&args.model, &args.graphs)?;
    let own = session
        .model
        .folder()
        .file_name()
        .map_or_else(|| "llada".to_owned(), |name| name.to_string_lossy().into_owned());
    let max_step_tokens = args.max_step_tokens.unwrap_or_else(|| match args.model.device {
        llada::Device::Cpu => EngineLimits::default().max_step_tokens,
        _ => 8192,
    });
    let options = ServeOptions {
        model_names: [vec![own], args.served_model_name].concat(),
        default_max_tokens: args.default_max_tokens.max(1),
        keys,
        is_local,
        limits: EngineLimits {
            max_running: args.max_running,
            max_queue: args.max_queue,
            max_step_tokens,
            max_cache_bytes: (args.cache_memory * 1e9) as usize,
            max_request_time: Duration::from_secs(args.max_request_seconds),
        },
        ..ServeOptions::default()
    };
    // Traces are exported until it is dropped.
    let _traces = args.log_format.start()?;
    let service = Service::new(session.model, options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(|error| {
            usage(format!("cannot listen on {}:{}: {error}\nhint: --port 0 takes a free one", args.host, args.port))
        })?;
        let address = listener.local_addr().context("cannot listen")?;
        eprintln!("listening on http://{address}/v1\nfor a browser: http://{address}/");
        let shutdown = async {
            while interrupt::check().is_continue() {
                tokio::time::sleep(PATIENCE).await;
            }
            eprintln!("shutting down: no requests are taken any more, the running ones are completed");
        };
        serve(listener, service, Duration::from_secs(args.drain_timeout), shutdown).await.context("cannot serve")
    })
}
