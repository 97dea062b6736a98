//! The text side of a checkpoint: `tokenizer.json`, the special tokens, the chat template.

mod files;
mod special;
mod template;
mod turn;

use std::path::Path;

use tokenizers::{Encoding, OffsetType, PreTokenizedString, PreTokenizer};

pub use turn::Turn;

use self::files::{Files, TokenizerFile};
use crate::{
    ModelConfig, ModelError,
    chat::{ChatTemplate, Message},
    guard::guarded,
};

/// What LLaDA calls its mask in text.
const MASK: &str = "<|mdm_mask|>";
/// The tokens that end a turn of a conversation in the families' templates, where there is no template to ask.
const ENDS_OF_TURN: [&str; 3] = ["<|eot_id|>", "<|role_end|>", "<|im_end|>"];

/// Text to ids and back.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// The template, or why there are no chats.
    chat: Result<ChatTemplate, String>,
    mask: String,
    mask_id: Option<u32>,
    eos_id: Option<u32>,
    eot_id: Option<u32>,
    masks_are_text: bool,
}

impl Tokenizer {
    /// The files that [`open`](Self::open) reads, relative to the folder: what to copy to have the same tokenizer.
    pub const FILES: [&str; 7] = files::ALL;

    /// [`open`](Self::open), and checks it against the config of the same checkpoint.
    ///
    /// # Errors
    /// As there; or it disagrees with `config` about the mask, the end of the text, or the number of ids.
    pub fn load(folder: &Path, config: &ModelConfig) -> Result<Option<Self>, ModelError> {
        let Some(mut tokenizer) = Self::open(folder)? else { return Ok(None) };
        tokenizer.take_mask_of(config);
        let disagree = |message: String| {
            let message = format!("{message}, which config.json contradicts");
            Err(ModelError::file(&folder.join("tokenizer.json"), message))
        };
        if tokenizer.vocab_size() > config.vocab_size {
            let highest = tokenizer.vocab_size() - 1;
            return disagree(format!("its highest id is {highest}, vocab_size is {}", config.vocab_size));
        }
        let Self { mask_id, eos_id, .. } = tokenizer;
        for (key, found, id, others) in [
            ("mask_token_id", mask_id, config.mask_token_id, &[][..]),
            ("eos_token_id", eos_id, config.eos_token_id, &config.other_eos_token_ids),
        ] {
            if let Some(found) = found.filter(|&found| found != id && !others.contains(&found)) {
                return disagree(format!("{} has id {found}, {key} is {id}", tokenizer.piece(found)));
            }
        }
        Ok(Some(tokenizer))
    }

    /// Takes the mask of `config` where no file declares one: many tokenizers have the token and do not say what it is.
    fn take_mask_of(&mut self, config: &ModelConfig) {
        if self.mask_id.is_none()
            && let Some(mask) = self.inner.id_to_token(config.mask_token_id)
        {
            (self.mask, self.mask_id) = (mask, Some(config.mask_token_id));
        }
    }

    /// Reads `tokenizer.json` in `folder`, and what transformers reads beside it: `tokenizer_config.json`,
    /// `special_tokens_map.json`, `added_tokens.json`, `chat_template.jinja` and its like.
    ///
    /// A folder without `tokenizer.json` gives `None`: such a model runs on ids. What `tokenizer.json` says about
    /// truncation and padding is for batches of other programs, and left aside. A chat template that cannot be used stops
    /// chats alone; [`chat_problem`](Self::chat_problem) tells.
    ///
    /// # Errors
    /// A file cannot be read or parsed, or two of them give a token two ids.
    pub fn open(folder: &Path) -> Result<Option<Self>, ModelError> {
        let path = TokenizerFile::path(folder);
        let Some(file) = TokenizerFile::read(&path)? else { return Ok(None) };
        let files = Files::read(folder)?;
        let mut inner = file.tokenizer;
        let mut named = guarded(&path.display().to_string(), || {
            special::check_ids(&inner, &file.added_tokens, &path)?;
            special::add(&mut inner, &files)
        })??;
        if let Some(token) = file.pad_token {
            named.entry("pad_token".to_owned()).or_insert(token);
        }
        let mask = named.get("mask_token").map_or(MASK, String::as_str).to_owned();
        let mask_id = inner.token_to_id(&mask);
        let eos_id = named.get("eos_token").and_then(|token| inner.token_to_id(token));
        let eot_id = ENDS_OF_TURN.iter().find_map(|token| inner.token_to_id(token));
        let chat = template::choose(&inner, &files, &named);
        let mut tokenizer = Self { inner, chat, mask, mask_id, eos_id, eot_id, masks_are_text: false };
        tokenizer.eot_id = tokenizer.end_of_turn().or(eot_id);
        Ok(Some(tokenizer))
    }

    /// The same tokenizer for texts to learn from: where they spell the mask, it is text like any other.
    ///
    /// A mask that a text spells would be a clean token to predict, and a model is never to predict it.
    #[must_use]
    pub fn with_masks_as_text(self) -> Self {
        Self { masks_are_text: true, ..self }
    }

    /// The ids of `text`; special tokens in it are recognised.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.encoding(text, true)?.get_ids().to_vec())
    }

    /// The ids of a part of a longer text: without what the tokenizer adds to a whole one.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode_part(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        Ok(self.encoding(text, false)?.get_ids().to_vec())
    }

    /// What the tokenizer puts before every text, such as a beginning-of-text token.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn beginning(&self) -> Result<Vec<u32>, ModelError> {
        let (whole, part) = (self.encode("a")?, self.encode_part("a")?);
        let start = whole.windows(part.len().max(1)).position(|ids| ids == part);
        Ok(whole[..start.unwrap_or(0)].to_vec())
    }

    /// The ids of `prompt` and of the `answer` that continues it, cut where the prompt alone ends; spaces at the end of
    /// the prompt go with the answer, whose first token they are part of (`_encode_pair` of the official evaluation).
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode_pair(&self, prompt: &str, answer: &str) -> Result<(Vec<u32>, Vec<u32>), ModelError> {
        let mut ids = self.encode(&[prompt, answer].concat())?;
        let prompt_length = self.encode(prompt.trim_end())?.len().min(ids.len());
        let answer = ids.split_off(prompt_length);
        Ok((ids, answer))
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        guarded("the tokenizer", || self.inner.decode(ids, true))?.map_err(ModelError::Tokenizer)
    }

    /// The text of `ids`, special tokens spelled out.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn decode_with_special(&self, ids: &[u32]) -> Result<String, ModelError> {
        guarded("the tokenizer", || self.inner.decode(ids, false))?.map_err(ModelError::Tokenizer)
    }

    /// The text of `ids`, special tokens left out, in which each mask appears as `shown`.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn decode_masked(&self, ids: &[u32], shown: &str) -> Result<String, ModelError> {
        let mut texts = Vec::new();
        for between_masks in ids.split(|&id| Some(id) == self.mask_id()) {
            texts.push(self.decode(between_masks)?);
        }
        Ok(texts.join(shown))
    }

    /// How `id` is shown alone: its text, special or not, with bytes that are no whole character replaced.
    pub fn piece(&self, id: u32) -> String {
        guarded("the tokenizer", || self.inner.decode(&[id], false)).ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The prompt, as text, that asks for the assistant's next message.
    ///
    /// # Errors
    /// There is no template for this tokenizer, or it refuses the messages.
    pub fn render_chat(&self, messages: &[Message]) -> Result<String, ModelError> {
        self.chat()?.render(messages, true)
    }

    /// The ids of [`render_chat`](Self::render_chat). The tokenizer adds nothing of its own to them.
    ///
    /// # Errors
    /// There is no template for this tokenizer, or it refuses the messages.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, ModelError> {
        self.encode_part(&self.render_chat(messages)?)
    }

    /// Why this tokenizer speaks no chats, if it does not.
    pub fn chat_problem(&self) -> Option<&str> {
        self.chat.as_ref().err().map(String::as_str)
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// How text spells the mask.
    pub fn mask(&self) -> &str {
        &self.mask
    }

    /// The id of the mask.
    pub fn mask_id(&self) -> Option<u32> {
        self.mask_id
    }

    /// The id of the end of the text.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }

    /// The id that ends a turn of a conversation: the one that the chat template ends it with, or LLaDA's.
    pub fn eot_id(&self) -> Option<u32> {
        self.eot_id
    }

    /// The ids below `vocab_size` that no token has.
    pub fn unknown_ids(&self, vocab_size: usize) -> Vec<u32> {
        (0..vocab_size as u32).filter(|&id| self.inner.id_to_token(id).is_none()).collect()
    }

    fn chat(&self) -> Result<&ChatTemplate, ModelError> {
        self.chat.as_ref().map_err(|message| ModelError::NoChat { message: message.clone() })
    }

    /// The tokens of `text`, with what the tokenizer adds of its own if `adds_special`.
    fn encoding(&self, text: &str, adds_special: bool) -> Result<Encoding, ModelError> {
        let encode = || match self.masks_are_text && text.contains(&self.mask) {
            true => self.encode_masks_as_text(text, adds_special),
            false => self.inner.encode(text, adds_special),
        };
        guarded("the tokenizer", encode)?.map_err(ModelError::Tokenizer)
    }

    /// As if the mask were no token: what is around it is encoded as ever, the mask itself by the model alone.
    fn encode_masks_as_text(&self, text: &str, adds_special: bool) -> tokenizers::Result<Encoding> {
        let mut pieces = Vec::new();
        for (index, piece) in text.split(&self.mask).enumerate() {
            if index > 0 {
                let mut mask = PreTokenizedString::from(self.mask.as_str());
                if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                    pre_tokenizer.pre_tokenize(&mut mask)?;
                }
                mask.tokenize(|piece| tokenizers::Model::tokenize(self.inner.get_model(), piece.get()))?;
                pieces.push(mask.into_encoding(None, 0, OffsetType::Byte)?);
            }
            pieces.push(self.inner.encode(piece, false)?);
        }
        let whole = self.inner.post_process(Encoding::merge(pieces, true), None, adds_special)?;
        match self.mask_id.filter(|id| whole.get_ids().contains(id)) {
            Some(_) => Err(format!("{} has no ids but the mask's own", self.mask).into()),
            None => Ok(whole),
        }
    }
}
