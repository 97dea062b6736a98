//! Which modules of a model have adapters, and of which rank and scale: the rules of peft 0.21
//! (`check_target_module_exists` and `get_pattern_key`).

use std::collections::BTreeMap;

use regex::Regex;
use tch::Tensor;

use super::config::{LoraConfig, Modules, PatternMap};
use crate::{
    Family, ModelConfig, ModelError,
    layers::lora::Lora,
    torch::tensor::rows_of,
    weights::role::{BlockRole, Module, Role, StoredTensor, stored_tensors},
};

/// The adapted modules of a model, and the tensors that an adapter replaces as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Targets {
    /// The adapters by the names of their modules.
    adapters: BTreeMap<String, Target>,
    /// The tensors of `modules_to_save` by their names.
    pub(crate) saved: BTreeMap<String, StoredTensor>,
}

/// The adapter of one module.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Target {
    r: usize,
    scale: f64,
    /// (out, in) of the module's weight.
    shape: [usize; 2],
    /// The role of the module, or of the first rows of it.
    role: Role,
}

/// The name of matrix A of a module's adapter.
pub(crate) fn a_of(module: &str) -> String {
    format!("{module}.lora_A.weight")
}

/// The name of matrix B of a module's adapter.
pub(crate) fn b_of(module: &str) -> String {
    format!("{module}.lora_B.weight")
}

impl Targets {
    /// Finds the modules of `model` that `config` chooses.
    ///
    /// # Errors
    /// A regular expression cannot be read; a module is chosen that is no linear layer; no module is chosen.
    pub(crate) fn new(config: &LoraConfig, model: &ModelConfig) -> Result<Self, ModelError> {
        config.check()?;
        let choice = Choice::new(config)?;
        choice.check_tied_head(config, model)?;
        let ranks = Patterns::new("rank_pattern", &config.rank_pattern)?;
        let alphas = Patterns::new("alpha_pattern", &config.alpha_pattern)?;
        let (mut adapters, mut saved) = (BTreeMap::new(), BTreeMap::new());
        for tensor in stored_tensors(model) {
            if is_saved(&config.modules_to_save, &tensor.name) {
                check_saved(&tensor, model)?;
                saved.insert(tensor.name.clone(), tensor);
                continue;
            }
            let Some(module) = tensor.name.strip_suffix(".weight") else { continue };
            if !choice.has(module, &tensor) {
                continue;
            }
            let &[out, width] = tensor.shape.as_slice() else { return Err(not_linear(module)) };
            if !tensor.is_linear_weight() {
                return Err(not_linear(module));
            }
            let r = ranks.of(module).unwrap_or(config.r);
            let scale = config.scale(r, alphas.of(module).unwrap_or(config.lora_alpha));
            adapters.insert(module.to_owned(), Target { r, scale, shape: [out, width], role: tensor.role });
        }
        if adapters.is_empty() {
            return Err(ModelError::lora("target_modules", format!("no module of {} is among them", model.family)));
        }
        for entry in &config.modules_to_save {
            if !saved.keys().any(|name| is_saved(std::slice::from_ref(entry), name)) {
                let message = format!("no module of {} has a name that ends with {entry:?}", model.family);
                return Err(ModelError::lora("modules_to_save", message));
            }
        }
        Ok(Self { adapters, saved })
    }

    /// Returns the names of the modules with adapters, in ascending order.
    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.adapters.keys().map(String::as_str)
    }

    /// Refuses dropout if a layer with an adapter does not see all tokens of a row in their order, by which what is
    /// dropped is known.
    pub(crate) fn check_dropout(&self) -> Result<(), ModelError> {
        let is_apart = |role| matches!(role, Role::Head | Role::Block(_, BlockRole::Expert(..)));
        match self.adapters.iter().find(|(_, target)| is_apart(target.role)) {
            None => Ok(()),
            Some((module, _)) => {
                let message = format!("{module} has an adapter, and inputs of the head and of experts are not dropped");
                Err(ModelError::lora("lora_dropout", message))
            }
        }
    }

    /// Returns an adapter's tensors.
    pub(crate) fn tensors(&self) -> Vec<StoredTensor> {
        let mut tensors = Vec::with_capacity(2 * self.adapters.len() + self.saved.len());
        for (module, &Target { r, shape: [out, width], role, .. }) in &self.adapters {
            tensors.push(StoredTensor { name: a_of(module), shape: vec![r, width], role });
            tensors.push(StoredTensor { name: b_of(module), shape: vec![out, r], role });
        }
        tensors.extend(self.saved.values().cloned());
        tensors
    }

    /// Returns the adapter of the part of a model that `module` stores, if it has one. `tensor` returns a tensor of the
    /// adapter by its name.
    pub(crate) fn lora(
        &self,
        module: &Module,
        tensor: impl Fn(&str) -> Result<Tensor, ModelError>,
    ) -> Result<Option<Lora>, ModelError> {
        let Some(&Target { scale, .. }) = self.adapters.get(&module.name) else { return Ok(None) };
        let (a, b) = (tensor(&a_of(&module.name))?, tensor(&b_of(&module.name))?);
        let b = if module.rows.is_empty() { b } else { rows_of(&b, &module.rows)? };
        Ok(Some(Lora::new(a, b, scale)))
    }
}

fn not_linear(module: &str) -> ModelError {
    ModelError::lora("target_modules", format!("{module} is among them, and linear layers alone have adapters"))
}

/// Whether the tensor `name` belongs to a module whose name ends with an entry. As in peft, the entry may begin in the
/// middle of a name.
fn is_saved(entries: &[String], name: &str) -> bool {
    let mut modules = name.match_indices('.').map(|(end, _)| &name[..end]);
    modules.any(|module| entries.iter().any(|entry| module.ends_with(entry.as_str())))
}

/// Refuses tensors that peft would save in two copies.
fn check_saved(tensor: &StoredTensor, model: &ModelConfig) -> Result<(), ModelError> {
    if tensor.role == Role::Embedding && model.tie_word_embeddings {
        let message = format!("{} is the head too, and an adapter's copy would be the embedding alone", tensor.name);
        return Err(ModelError::lora("modules_to_save", message));
    }
    Ok(())
}

/// The choice of modules, with compiled regular expressions.
struct Choice<'a> {
    targets: Names<'a>,
    excluded: Names<'a>,
    saved: Vec<Regex>,
    /// The indices of the blocks with adapters; none for all of them.
    layers: Option<&'a [u64]>,
    /// The expressions whose first group is the index of a block.
    layer_of: Vec<Regex>,
}

/// Modules by their names.
enum Names<'a> {
    /// All linear layers of blocks.
    AllLinear,
    Regex(Regex),
    List(&'a [String]),
}

impl<'a> Choice<'a> {
    fn new(config: &'a LoraConfig) -> Result<Self, ModelError> {
        let none = Names::List(&[]);
        let mut layer_of = Vec::new();
        let layers = config.layers_to_transform.as_ref().map(|layers| layers.as_slice()).filter(|l| !l.is_empty());
        match config.layers_pattern.as_ref().map(|patterns| patterns.as_slice()).filter(|p| !p.is_empty()) {
            None => layer_of.push(compile("layers_pattern", r"\A.*?\.[^.]*\.(\d+)\.")?),
            Some(patterns) => {
                for pattern in patterns {
                    layer_of.push(compile("layers_pattern", &format!(r"\A(?:.*?\.)?(?:{pattern})\.(?<index>\d+)\."))?);
                }
            }
        }
        let mut saved = Vec::with_capacity(config.modules_to_save.len());
        for entry in &config.modules_to_save {
            saved.push(compile("modules_to_save", &format!(r"\A(?:.*\.)?(?:{entry})(?:\..*)?\z"))?);
        }
        Ok(Self {
            targets: match &config.target_modules {
                None => Names::AllLinear,
                Some(modules) => Names::new("target_modules", modules)?,
            },
            excluded: match &config.exclude_modules {
                None => none,
                Some(modules) => Names::new("exclude_modules", modules)?,
            },
            saved,
            layers,
            layer_of,
        })
    }

    /// Refuses the head where it is the embedding's transpose: peft would change one of the two.
    fn check_tied_head(&self, config: &LoraConfig, model: &ModelConfig) -> Result<(), ModelError> {
        let Some(module) = tied_head(model) else { return Ok(()) };
        let head = StoredTensor { name: format!("{module}.weight"), shape: Vec::new(), role: Role::Head };
        let is_saved = is_saved(&config.modules_to_save, &head.name);
        if !is_saved && !self.has(&module, &head) {
            return Ok(());
        }
        let key = if is_saved { "modules_to_save" } else { "target_modules" };
        Err(ModelError::lora(key, format!("{module} is among them, and it is the embedding's transpose")))
    }

    /// Whether `module`, whose weight is `tensor`, gets an adapter.
    fn has(&self, module: &str, tensor: &StoredTensor) -> bool {
        if self.excluded.have(module, tensor) || self.saved.iter().any(|regex| regex.is_match(module)) {
            return false;
        }
        let (Some(layers), Names::List(list)) = (self.layers, &self.targets) else {
            return self.targets.have(module, tensor);
        };
        // An entry that is the whole name counts whatever the block.
        if list.iter().any(|entry| entry == module) {
            return true;
        }
        let index = self.layer_of.iter().find_map(|regex| index_of_layer(regex, module));
        self.targets.have(module, tensor) && index.is_some_and(|index| layers.contains(&index))
    }
}

/// The module of a head that is the embedding's transpose, if the family's class has one: LLaDA's has not.
fn tied_head(model: &ModelConfig) -> Option<String> {
    let has_module = model.tie_word_embeddings && model.family != Family::Llada;
    has_module.then(|| model.family.architecture().module(model, Role::Head).name)
}

fn index_of_layer(regex: &Regex, module: &str) -> Option<u64> {
    let found = regex.captures(module)?;
    found.name("index").or(found.get(1))?.as_str().parse().ok()
}

impl<'a> Names<'a> {
    fn new(key: &str, modules: &'a Modules) -> Result<Self, ModelError> {
        match modules {
            modules if modules.is_all_linear() && key == "target_modules" => Ok(Self::AllLinear),
            Modules::Regex(regex) => Ok(Self::Regex(compile(key, &format!(r"\A(?:{regex})\z"))?)),
            Modules::List(list) => Ok(Self::List(list)),
        }
    }

    fn have(&self, module: &str, tensor: &StoredTensor) -> bool {
        match self {
            Self::AllLinear => is_linear_of_block(tensor),
            Self::Regex(regex) => regex.is_match(module),
            Self::List(list) => list.iter().any(|entry| is_or_ends_with(module, entry)),
        }
    }
}

/// Whether a tensor is the weight of a linear layer of a block: those that have adapters unless others are chosen.
pub(crate) fn is_linear_of_block(tensor: &StoredTensor) -> bool {
    tensor.is_linear_weight() && matches!(tensor.role, Role::Block(_, role) if role != BlockRole::Router)
}

fn is_or_ends_with(module: &str, entry: &str) -> bool {
    module.strip_suffix(entry).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Compiled patterns of ranks or alphas.
struct Patterns<T>(Vec<(Regex, T)>);

impl<T: Copy> Patterns<T> {
    fn new(key: &str, map: &PatternMap<T>) -> Result<Self, ModelError> {
        let mut compiled = Vec::with_capacity(map.0.len());
        for (pattern, value) in &map.0 {
            compiled.push((compile(key, &format!(r"\A(?:.*\.)?(?:{pattern})\z"))?, *value));
        }
        Ok(Self(compiled))
    }

    /// The value of the first pattern that the end of `module` matches.
    fn of(&self, module: &str) -> Option<T> {
        self.0.iter().find(|(regex, _)| regex.is_match(module)).map(|&(_, value)| value)
    }
}

/// Compiles an expression of the key `key`. What Python's expressions have beyond regular ones (assertions about what
/// stands around a match, references to groups) is refused.
fn compile(key: &str, pattern: &str) -> Result<Regex, ModelError> {
    Regex::new(pattern).map_err(|error| ModelError::lora(key, error.to_string()))
}

/// The expression that chooses all linear layers of the blocks of `model`, and not its head.
pub(crate) fn all_linear(model: &ModelConfig) -> String {
    let mut parents: Vec<String> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for tensor in stored_tensors(model).iter().filter(|tensor| is_linear_of_block(tensor)) {
        let Role::Block(layer, _) = tensor.role else { continue };
        let Some(module) = tensor.name.strip_suffix(".weight") else { continue };
        let Some((before, in_block)) = module.split_once(&format!(".{layer}.")) else { continue };
        let list = before.rsplit('.').next().unwrap_or(before).to_owned();
        let in_block = any_index(&regex::escape(in_block));
        for (found, name) in [(&mut parents, list), (&mut names, in_block)] {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    let parents = match parents.as_slice() {
        [parent] => parent.clone(),
        parents => format!("({})", parents.join("|")),
    };
    format!(r".*\.{parents}\.\d+\.({})", names.join("|"))
}

/// The expression with the indices of experts replaced by any index.
fn any_index(escaped: &str) -> String {
    let parts: Vec<&str> = escaped.split(r"\.").collect();
    let any = |part: &&str| if part.parse::<usize>().is_ok() { r"\d+".to_owned() } else { (*part).to_owned() };
    parts.iter().map(any).collect::<Vec<_>>().join(r"\.")
}
