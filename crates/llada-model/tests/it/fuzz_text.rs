//! Tokenizers, their settings and chat templates that are damaged: an error or a result, in bounded time, never a panic.

use std::fs;

use llada_model::{Message, Tokenizer};

use crate::{fixture, mutation::survives};

/// Opens the fixture's folder with `file` damaged, and does with it what commands do.
fn check(file: &str, whole: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixture("tiny-llada").join(name), folder.path().join(name)).unwrap();
    }
    let messages = [Message::new("user", "2 + 3 <|mdm_mask|>"), Message::new("assistant", "5")];
    survives(48, whole, |bytes| {
        fs::write(folder.path().join(file), bytes).unwrap();
        if let Ok(Some(tokenizer)) = Tokenizer::open(folder.path()) {
            let _ = tokenizer.encode("a\u{20ac} <|eot_id|>").map(|ids| tokenizer.decode(&ids));
            let _ = tokenizer.encode_turn(&messages);
            let _ = tokenizer.with_masks_as_text().encode_chat(&messages);
        }
    });
}

fn whole(name: &str) -> Vec<u8> {
    fs::read(fixture("tiny-llada").join(name)).unwrap()
}

#[test]
fn a_damaged_tokenizer_is_an_error_or_a_tokenizer() {
    check("tokenizer.json", &whole("tokenizer.json"));
}

#[test]
fn damaged_settings_of_a_tokenizer_are_an_error_or_settings() {
    check("tokenizer_config.json", &whole("tokenizer_config.json"));
}

#[test]
fn a_damaged_template_is_an_error_or_a_template() {
    let template = "{%- set ns = namespace(n=0, s='%s: ') %}{% for m in messages[-9:] %}{% generation %}{{ ns.s % m.role }}\
        {{ m | tojson(indent=2) }}{{ m.content.split('+') | map('trim') | join(', ') ~ 7 % 4 }}{% endgeneration %}\
        {% if loop.index0 % 2 == 1 and m.role is string %}{{ m.content[1:] | upper }}{% endif %}{% endfor %}\
        {% macro f(x, y=2) %}{{ x * y }}{% endmacro %}{{ f('-', 3) }}{# c #}{% raw %}{{ }}{% endraw %}{{ bos_token }}";
    check("chat_template.jinja", template.as_bytes());
}
