//! What the server serves: the model behind its engine, and what requests need of it besides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use llada::{Algorithm, Ends, Error, Grammars, Model, Tokenizer};
use sha2::{Digest, Sha256};

use crate::{
    api::Submissions,
    engine::{EngineHandle, EngineLimits, Load},
    keys::Keys,
    metrics::Metrics,
    rates::Rates,
};

/// How often it is looked whether a server that shuts down has become idle.
const PATIENCE: Duration = Duration::from_millis(50);

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The names of the model; requests may leave the name out.
    pub model_names: Vec<String>,
    /// The number of answer tokens where a request does not say, if as many fit.
    pub default_max_tokens: usize,
    /// The largest number of answers to one request.
    pub max_n: usize,
    /// The largest size of a request's body, in bytes.
    pub max_body: usize,
    /// Who may use the server; everybody, if there are no keys.
    pub keys: Keys,
    /// True if the server is reached under names of this machine only, so that requests under other names are refused.
    pub is_local: bool,
    /// What the engine takes on.
    pub limits: EngineLimits,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            model_names: vec!["llada".to_owned()],
            default_max_tokens: 1024,
            max_n: 8,
            max_body: 1 << 20,
            keys: Keys::default(),
            is_local: true,
            limits: EngineLimits::default(),
        }
    }
}

/// A model that is served.
#[derive(Debug, Clone)]
pub struct Service(pub(crate) Shared);

/// The part of a service that all of its requests share.
pub(crate) type Shared = Arc<Served>;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) options: ServeOptions,
    pub(crate) engine: EngineHandle,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) grammars: Arc<Grammars>,
    pub(crate) ends: Ends,
    pub(crate) algorithm: Algorithm,
    pub(crate) max_sequence_length: usize,
    pub(crate) mask_id: u32,
    /// The end of the text.
    pub(crate) eos: u32,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) submissions: Submissions,
    pub(crate) rates: Rates,
    /// When the server was started, in seconds since 1970.
    pub(crate) started: u64,
    pub(crate) fingerprint: String,
    next_request: AtomicU64,
    is_draining: AtomicBool,
}

impl Service {
    /// Takes a model into service.
    ///
    /// # Errors
    /// If the model has no tokenizer, or one whose tokens cannot be spelled.
    pub fn new(model: Model, options: ServeOptions) -> Result<Self, Error> {
        let tokenizer = Arc::clone(model.tokenizer()?);
        let grammars = model.grammars()?;
        let network = model.engine().predictor();
        let (precision, folder) = (network.precision(), model.folder().to_owned());
        let hash = Sha256::digest(format!("{precision} {} {}", folder.display(), env!("CARGO_PKG_VERSION")));
        let (ends, algorithm) = (model.ends().clone(), model.algorithm());
        let (max_sequence_length, mask_id) = (network.config().max_sequence_length, model.mask_id());
        let eos = model.special_tokens().eos;
        let metrics = Arc::new(Metrics::default());
        let engine = EngineHandle::start(model, options.limits, Arc::clone(&metrics));
        Ok(Self(Arc::new(Served {
            options,
            engine,
            tokenizer,
            grammars,
            ends,
            algorithm,
            max_sequence_length,
            mask_id,
            eos,
            metrics,
            submissions: Submissions::default(),
            rates: Rates::default(),
            started: now(),
            fingerprint: format!("fp_{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]),
            next_request: AtomicU64::new(0),
            is_draining: AtomicBool::new(false),
        })))
    }

    /// Takes no requests any more, and hurries the running ones to be complete within `time`.
    pub fn drain(&self, time: Duration) {
        self.0.is_draining.store(true, Ordering::Relaxed);
        self.0.engine.drain(time);
    }

    /// Waits until no job runs or waits.
    pub(crate) async fn wait_until_idle(&self) {
        while let Some(load) = self.0.engine.load().await
            && load != Load::default()
        {
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

/// Returns the time in seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

impl Served {
    /// Returns the number of a new request.
    pub(crate) fn next_request(&self) -> u64 {
        self.next_request.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }
}
