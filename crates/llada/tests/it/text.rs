//! Answers in words.

use std::ops::ControlFlow;

use llada::{
    Device, Dtype, Engine, Error, FinishReason, Message, Model, Precision, Request, SamplerConfig, ScoreConfig,
    SpecialTokens, Tokenizer, Transformer, default_precision,
};
use llada_core::predictor::MaskPredictor;
use serde_json::json;

use super::{config, tiny, tiny_folder, variant};

/// The parts of llada-tiny, put together by hand.
fn by_hand() -> (Engine<Transformer>, Tokenizer) {
    let mut network = Transformer::load(&tiny_folder(), Device::Cpu, Dtype::F32).unwrap();
    let config = network.config().clone();
    let tokenizer = Tokenizer::load(&tiny_folder(), &config).unwrap().unwrap();
    network.ban(tokenizer.unknown_ids(config.vocab_size));
    let special = SpecialTokens { eos: config.eos_token_id, eot: tokenizer.eot_id() };
    (Engine::new(network, special), tokenizer)
}

#[test]
fn a_chat_is_answered_as_by_the_parts() {
    let question = [Message::new("user", "Reverse this list: fox, milk, candle, bridge.")];
    let answer = tiny().chat(&question, &config()).unwrap();
    assert_eq!(answer.text, "bridge, candle, milk, fox");
    assert_eq!(answer.finish_reason, FinishReason::Stop);

    let (mut engine, tokenizer) = by_hand();
    let prompt = tokenizer.encode_chat(&question).unwrap();
    let generation = engine.generate(&Request::new(prompt, config())).unwrap();
    assert_eq!((&answer.prompt, &answer.output), (&generation.prompt, &generation.output));
    assert_eq!((answer.nfe, &answer.trace), (generation.nfe, &generation.trace));
    // Here nothing but control tokens follows the end of the turn.
    assert_eq!(answer.text, tokenizer.decode(&generation.output).unwrap());
}

#[test]
fn an_answer_that_is_cut_off_by_its_length_says_so() {
    let question = [Message::new("user", "Reverse this list: fox, milk, candle, bridge.")];
    let short = SamplerConfig { gen_length: 3, ..config() };
    assert_eq!(tiny().chat(&question, &short).unwrap().finish_reason, FinishReason::Length);
}

#[test]
fn a_text_is_continued_after_its_last_word() {
    let mut model = tiny();
    let answer = model.complete("the state of being", &config()).unwrap();
    let tokenizer = model.tokenizer().unwrap();
    assert_eq!(answer.prompt, tokenizer.encode("the state of being").unwrap());
    assert_eq!(answer.text, tokenizer.decode(model.ends().cut(&answer.output)).unwrap());
}

#[test]
fn masks_are_filled_and_the_text_around_them_is_kept() {
    let answer = tiny().infill("the <|mdm_mask|> of being<|mdm_mask|>", &config()).unwrap();
    assert!(answer.output.is_empty());
    assert!(answer.text.starts_with("the ") && answer.text.contains(" of being"), "{}", answer.text);
    assert!(!answer.text.contains("<|mdm_mask|>"), "{}", answer.text);
    assert_eq!(answer.nfe, 2);
    let error = tiny().infill("nothing is missing", &config()).unwrap_err();
    assert!(error.to_string().contains("the prompt holds no mask"), "{error}");
}

#[test]
fn a_likelihood_is_that_of_the_parts() {
    let scores = ScoreConfig { mc_num: 4, ..ScoreConfig::default() };
    let score = tiny().score("the state of", " being", &scores).unwrap();
    let (mut engine, tokenizer) = by_hand();
    let (prompt, answer) = tokenizer.encode_pair("the state of", " being").unwrap();
    assert_eq!(score, engine.score(&prompt, &answer, &scores, |_, _| ControlFlow::Continue(())).unwrap());
}

#[test]
fn ids_that_no_token_has_are_forbidden() {
    let model = tiny();
    let unknown = model.tokenizer().unwrap().unknown_ids(model.engine().predictor().config().vocab_size);
    let banned = model.engine().predictor().banned();
    assert!(unknown.iter().all(|id| banned.contains(id)), "{unknown:?}");
    assert!(banned.contains(&model.mask_id()));
}

#[test]
fn each_end_in_a_config_is_an_end() {
    let folder = variant(&[], json!({"eos_token_id": [1, 9]}));
    let model = Model::open(folder.path()).unwrap();
    let eot = model.special_tokens().eot.unwrap();
    for end in [1, 9, eot] {
        assert_eq!(model.ends().cut(&[30, end, 31]), [30]);
    }
    assert_eq!(model.ends().cut_at_end_of_text(&[30, eot, 31, 9]), [30, eot, 31]);
}

#[test]
fn without_a_tokenizer_ids_are_answered_and_texts_refused() {
    let folder = variant(&["tokenizer.json", "tokenizer_config.json"], json!({}));
    let mut model = Model::open(folder.path()).unwrap();
    let prompt = tiny().tokenizer().unwrap().encode("the state of").unwrap();
    assert!(model.engine_mut().generate(&Request::new(prompt.clone(), config())).is_ok());

    let request = Request::new(prompt, config());
    for error in [
        model.complete("the state of", &config()).unwrap_err(),
        model.generate(&request).unwrap_err(),
        model.steps(request).map(drop).unwrap_err(),
    ] {
        assert!(matches!(&error, Error::NoTokenizer { folder: named } if named == folder.path()), "{error}");
        assert_eq!(error.hint().unwrap().to_string(), "without one it takes ids alone");
    }
}

#[test]
fn an_autoregressive_model_is_opened_and_predicts_no_masks() {
    let folder = variant(&[], json!({"is_causal": true}));
    let mut model = Model::open(folder.path()).unwrap();
    assert!(model.is_causal());
    for error in [
        model.complete("the state of", &config()).unwrap_err(),
        model.score("the state of", " being", &ScoreConfig::default()).map(drop).unwrap_err(),
        model.steps(Request::new([30], config())).map(drop).unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Autoregressive { .. }), "{error}");
    }
    assert!(model.engine_mut().continue_greedily(&[vec![30]], 2, || ControlFlow::Continue(())).is_ok());
}

#[test]
fn a_model_is_small_enough_for_f32_unless_another_precision_is_asked_for() {
    assert_eq!(default_precision(&tiny_folder(), Device::Cpu).unwrap(), Dtype::F32.into());
    assert_eq!(tiny().engine().predictor().precision(), Dtype::F32.into());
    let model = Model::options().precision(Dtype::Bf16).open(tiny_folder()).unwrap();
    assert_eq!(model.engine().predictor().precision(), Precision::Float(Dtype::Bf16));
}

#[test]
fn a_model_can_be_sent_to_another_thread_and_its_tokenizer_shared() {
    let mut model = tiny();
    let tokenizer = model.tokenizer().unwrap().clone();
    let answer = std::thread::spawn(move || model.complete("the state of", &config()).unwrap()).join().unwrap();
    assert_eq!(answer.prompt, tokenizer.encode("the state of").unwrap());
}

#[test]
fn what_is_no_model_is_refused_by_name_and_an_impossible_option_with_a_hint() {
    let error = Model::open("no model").unwrap_err();
    assert!(matches!(error, Error::Hub(_)) && error.to_string().contains("\"no model\""), "{error}");
    let impossible = SamplerConfig { block_length: Some(0), ..config() };
    let error = tiny().complete("the state of", &impossible).unwrap_err();
    assert!(matches!(error, Error::Infer(_)) && error.hint().is_some(), "{error}");
}
