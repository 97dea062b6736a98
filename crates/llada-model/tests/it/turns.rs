//! A turn of the assistant is the same tokens as an answer to learn and as history, whatever the template.

use std::fs;

use llada_model::{Message, Tokenizer};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture;

const CHATML: &str = "{% for m in messages %}{{ '<|start_header_id|>' + m.role + '\n' + m.content + '<|eot_id|>' + '\n' }}\
    {% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant\n' }}{% endif %}";
/// It asks for an answer whether told to or not.
const ALWAYS: &str = "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}<|start_header_id|>{{ m.role }}\
    <|end_header_id|>{{ m.content | trim }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>";
/// It asks with a word that history lacks.
const ASKING: &str = "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}\
    <|eot_id|>{% endgeneration %}{% else %}{{ m.role }}: {{ m.content }}<|eot_id|>{% endif %}{% endfor %}A:";
/// It begins an answer with a thought that history lacks.
const THINKING: &str = "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>{{ m.content }}<|endoftext|>\
    {% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|><think>\n{% endif %}";
/// It ends no turn.
const BARE: &str = "{% for m in messages %}{{ m.content }}\n{% endfor %}";

fn tokenizer(template: &str) -> (TempDir, Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture("tiny-llada").join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let settings = json!({"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "chat_template": template});
    fs::write(folder.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    let tokenizer = Tokenizer::open(folder.path()).unwrap().unwrap();
    (folder, tokenizer)
}

fn conversation(answer: &str) -> Vec<Message> {
    ["user", "assistant", "user"]
        .into_iter()
        .zip(["Hi", answer, "Bye"])
        .map(|(role, text)| Message::new(role, text))
        .collect()
}

#[test]
fn an_answer_is_what_the_template_writes_of_it() {
    for (template, answer, written) in [
        (CHATML, " Hello. ", " Hello. <|eot_id|>\n"),
        (CHATML, "\nHello.", "\nHello.<|eot_id|>\n"),
        (CHATML, "", "<|eot_id|>\n"),
        (ALWAYS, " Hello. ", "Hello.<|eot_id|>"),
        (ASKING, "Hello.", "Hello.<|eot_id|>"),
        (THINKING, "Hello.", "Hello.<|endoftext|>"),
        (BARE, "Hello.", "Hello.\n"),
    ] {
        let (_folder, tokenizer) = tokenizer(template);
        let messages = conversation(answer);
        let turn = tokenizer.encode_turn(&messages[..2]).unwrap();
        assert!(turn.is_rendered, "{template}");
        let text: String = turn.answer.iter().map(|&id| tokenizer.piece(id)).collect();
        assert_eq!(text, written, "{template}");
        assert_eq!(turn.prompt, tokenizer.encode_chat(&messages[..1]).unwrap(), "{template}");
        let later = tokenizer.encode_chat(&messages).unwrap();
        // A line end and one that follows it may be one token of what comes later.
        if !answer.starts_with('\n') {
            assert!(later.windows(turn.answer.len()).any(|ids| ids == turn.answer), "{template}");
        }
    }
}

#[test]
fn a_turn_ends_with_the_token_of_the_template() {
    let turns =
        |end: &str| format!("{{% for m in messages %}}{{{{ m.role }}}}: {{{{ m.content }}}}{end}\n{{% endfor %}}");
    for (end, token) in
        [("<|end_header_id|>", "<|end_header_id|>"), ("<|endoftext|>", "<|eot_id|>"), ("", "<|eot_id|>")]
    {
        let (_folder, tokenizer) = tokenizer(&turns(end));
        assert_eq!(tokenizer.piece(tokenizer.eot_id().unwrap()), token, "{end}");
    }
}

#[test]
fn an_answer_that_begins_a_conversation_begins_the_text() {
    let (_folder, tokenizer) = tokenizer(
        "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}<|start_header_id|>{{ m.role }}{{ m.content }}\
         {% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant{% endif %}",
    );
    let turn = tokenizer.encode_turn(&[Message::new("assistant", "Hello.")]).unwrap();
    assert_eq!(turn.prompt, tokenizer.encode("<|startoftext|><|start_header_id|>assistant").unwrap());
    assert_eq!(turn.answer, tokenizer.encode("Hello.").unwrap());
}

#[test]
fn where_a_template_does_not_write_on_the_content_is_taken() {
    let (_folder, tokenizer) = tokenizer("{{ messages[-1] | tojson }}A:");
    let turn = tokenizer.encode_turn(&conversation(" x ")[..2]).unwrap();
    assert!(!turn.is_rendered);
    assert_eq!(turn.answer, tokenizer.encode(" x <|eot_id|>").unwrap());
    assert!(tokenizer.encode_turn(&[]).is_err());
}

#[test]
fn what_a_tokenizer_adds_by_itself_is_in_no_chat() {
    let (folder, plain) = tokenizer(CHATML);
    let path = folder.path().join("tokenizer.json");
    let mut file: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let special = |token: &str, id: u32| json!({"id": token, "ids": [id], "tokens": [token]});
    let piece = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    file["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [piece("<|startoftext|>"), sequence, piece("<|endoftext|>")],
        "pair": [sequence, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "<|startoftext|>": special("<|startoftext|>", plain.encode("<|startoftext|>").unwrap()[0]),
            "<|endoftext|>": special("<|endoftext|>", plain.eos_id().unwrap()),
        },
    });
    fs::write(&path, file.to_string()).unwrap();
    let adding = Tokenizer::open(folder.path()).unwrap().unwrap();
    let messages = conversation("Hello.");
    assert_eq!(adding.encode_turn(&messages[..2]).unwrap(), plain.encode_turn(&messages[..2]).unwrap());
    assert_eq!(adding.encode_chat(&messages).unwrap(), plain.encode_chat(&messages).unwrap());
    assert_eq!(adding.encode("a").unwrap().len(), plain.encode("a").unwrap().len() + 2);
    assert_eq!(adding.beginning().unwrap(), plain.encode("<|startoftext|>").unwrap());
    assert_eq!(adding.encode_part("a").unwrap(), plain.encode("a").unwrap());
    assert!(plain.beginning().unwrap().is_empty());
}

#[test]
fn a_mask_in_a_text_to_learn_is_text() {
    let (_folder, tokenizer) = tokenizer(CHATML);
    let (text, mask) = ("a <|mdm_mask|><|mdm_mask|> b<|eot_id|>", tokenizer.mask_id().unwrap());
    let recognised = tokenizer.encode(text).unwrap();
    assert_eq!(recognised.iter().filter(|&&id| id == mask).count(), 2);
    let tokenizer = tokenizer.with_masks_as_text();
    let ids = tokenizer.encode(text).unwrap();
    assert!(!ids.contains(&mask));
    assert_eq!(ids.iter().map(|&id| tokenizer.piece(id)).collect::<String>(), text);
    assert_eq!(ids.last(), recognised.last());
    let turn = tokenizer.encode_turn(&[Message::new("user", text), Message::new("assistant", "<|mdm_mask|>")]).unwrap();
    assert!(!turn.prompt.contains(&mask) && !turn.answer.contains(&mask));
    assert_eq!(turn.answer.iter().map(|&id| tokenizer.piece(id)).collect::<String>(), "<|mdm_mask|><|eot_id|>\n");
}
