//! The settings of a LoRA adapter (Hu et al. 2021, arXiv 2106.09685) under the names of peft's `LoraConfig`, version
//! 0.21.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};

use crate::ModelError;

/// Ranks beyond this are typing errors or attacks: no layer is so wide.
const LARGEST_RANK: usize = 1 << 16;

/// The settings of an adapter. A linear layer y = W x with an adapter is y = W x + s B A x, with A (r, in), B (out, r) and
/// s = `lora_alpha` / r.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// The rank r of adapters \[8\].
    pub r: usize,
    /// The numerator of the scale s \[8\].
    pub lora_alpha: f64,
    /// The probability with which an element of an adapter's input is zeroed in training \[0\].
    pub lora_dropout: f64,
    /// Whether s is `lora_alpha` / √r (arXiv 2312.03732) \[false\].
    pub use_rslora: bool,
    /// The layers with adapters \[all linear layers of the blocks\].
    pub target_modules: Option<Modules>,
    /// Layers without adapters, although `target_modules` has them \[none\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_modules: Option<Modules>,
    /// The ends of the names of modules that are trained and saved as a whole \[none\].
    pub modules_to_save: Vec<String>,
    /// The indices of the blocks with adapters, if `target_modules` is a list \[all\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers_to_transform: Option<OneOrMore<u64>>,
    /// The names of the lists of blocks that `layers_to_transform` counts in, as regular expressions \[any\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers_pattern: Option<OneOrMore<String>>,
    /// Ranks of the layers whose names end with a match of a regular expression; the first match counts \[none\].
    pub rank_pattern: PatternMap<usize>,
    /// The same for `lora_alpha` \[none\].
    pub alpha_pattern: PatternMap<f64>,
}

/// A choice of modules by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Modules {
    /// Those whose whole name matches this regular expression; `all-linear` are all linear layers of the blocks.
    Regex(String),
    /// Those whose name is an entry, or ends with a full stop and an entry.
    List(Vec<String>),
}

/// One value, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    /// One value.
    One(T),
    /// A list.
    More(Vec<T>),
}

impl Modules {
    /// Returns true if these are all linear layers of the blocks.
    pub(crate) fn is_all_linear(&self) -> bool {
        matches!(self, Self::Regex(regex) if regex.eq_ignore_ascii_case("all-linear"))
    }
}

impl<T> OneOrMore<T> {
    /// Returns the values.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

/// Values by regular expressions, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternMap<T>(pub Vec<(String, T)>);

impl<T> Default for PatternMap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for PatternMap<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (pattern, value) in &self.0 {
            map.serialize_entry(pattern, value)?;
        }
        map.end()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PatternMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = PatternMap<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of numbers by regular expressions")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(PatternMap(entries))
            }
        }

        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self {
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            use_rslora: false,
            target_modules: None,
            exclude_modules: None,
            modules_to_save: Vec::new(),
            layers_to_transform: None,
            layers_pattern: None,
            rank_pattern: PatternMap::default(),
            alpha_pattern: PatternMap::default(),
        }
    }
}

impl LoraConfig {
    /// Returns the scale s of an adapter of this rank and alpha.
    pub(crate) fn scale(&self, r: usize, lora_alpha: f64) -> f64 {
        lora_alpha / if self.use_rslora { (r as f64).sqrt() } else { r as f64 }
    }

    /// Checks the values that need no model to be judged.
    ///
    /// # Errors
    /// A value is out of its range; the error names the key.
    pub fn check(&self) -> Result<(), ModelError> {
        let ranks = self.rank_pattern.0.iter().map(|(_, r)| ("rank_pattern", *r));
        for (key, r) in ranks.chain([("r", self.r)]) {
            if r == 0 || r > LARGEST_RANK {
                return Err(ModelError::lora(key, format!("{r} is not an integer between 1 and {LARGEST_RANK}")));
            }
        }
        let alphas = self.alpha_pattern.0.iter().map(|(_, alpha)| ("alpha_pattern", *alpha));
        for (key, alpha) in alphas.chain([("lora_alpha", self.lora_alpha)]) {
            if !alpha.is_finite() {
                return Err(ModelError::lora(key, format!("{alpha} is not a number")));
            }
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return Err(ModelError::lora("lora_dropout", format!("{} is not in [0, 1)", self.lora_dropout)));
        }
        let chosen_by_regex = matches!(self.target_modules, Some(Modules::Regex(_)) | None);
        if chosen_by_regex && self.layers_to_transform.is_some() {
            return Err(ModelError::lora("layers_to_transform", "target_modules is not a list"));
        }
        if self.layers_pattern.is_some() && self.layers_to_transform.is_none() {
            return Err(ModelError::lora("layers_pattern", "there is no layers_to_transform"));
        }
        Ok(())
    }
}
