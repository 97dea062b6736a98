//! `/v1/diffusion/generate`: events, and readers that come back.

use llada_serve::ServeOptions;
use serde_json::{Value, json};

use crate::server::{QUESTION, Sent, Server, events, read_events};

fn body(keys: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 32, "seed": 1,
        "diffusion": {"decoder": "schedule", "steps": 16, "block_length": 32},
    });
    body.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    body
}

fn names(events: &[Sent]) -> Vec<&str> {
    events.iter().map(|sent| sent.event.as_deref().unwrap()).collect()
}

#[test]
fn events_tell_a_generation_from_start_to_end() {
    let server = Server::start(ServeOptions::default());
    let all = events(server.send("/v1/diffusion/generate", &body(json!({}))));
    let names = names(&all);
    assert_eq!((names[0], names[names.len() - 1]), ("diffusion.started", "diffusion.completed"));
    assert_eq!(names.iter().filter(|name| **name == "diffusion.step").count(), 16);
    for (number, sent) in (0..).zip(&all) {
        assert_eq!((sent.id, &sent.data["sequence_number"]), (Some(number), &json!(number)));
        assert_eq!(sent.data["type"], sent.event.as_deref().unwrap());
    }
    let deltas: String = all.iter().filter_map(|sent| sent.data["delta"].as_str()).collect();
    assert_eq!(deltas, "423");
    assert_eq!(all.last().unwrap().data["choices"][0]["text"], "423");
    // Every id has had its piece before it appears.
    let mut pieces = serde_json::Map::new();
    for sent in &all {
        pieces.extend(sent.data["pieces"].as_object().cloned().unwrap_or_default());
        for commit in sent.data["commits"].as_array().into_iter().flatten() {
            assert!(pieces.contains_key(&commit[1].to_string()));
        }
    }
}

#[test]
fn alternatives_are_told_with_the_commits() {
    let server = Server::start(ServeOptions::default());
    let told = |keys: Value| events(server.send("/v1/diffusion/generate", &body(keys)));
    assert!(told(json!({})).iter().all(|sent| sent.data["alternatives"].is_null()));
    let mut pieces = serde_json::Map::new();
    let mut count = 0;
    for sent in told(json!({"logprobs": 2})) {
        pieces.extend(sent.data["pieces"].as_object().cloned().unwrap_or_default());
        let commits = sent.data["commits"].as_array().into_iter().flatten();
        for (commit, alternatives) in commits.zip(sent.data["alternatives"].as_array().into_iter().flatten()) {
            let [likely, other] = alternatives[1].as_array().unwrap().as_slice() else { panic!("{alternatives}") };
            // At temperature 0 the most probable token is committed, and its probability is the confidence.
            assert_eq!((&alternatives[0], &likely[0]), (&commit[0], &commit[1]));
            assert!(
                (likely[1].as_f64().unwrap() - commit[2].as_f64().unwrap()).abs() < 1e-3,
                "{commit} {alternatives}"
            );
            assert!(other[1].as_f64() <= likely[1].as_f64() && pieces.contains_key(&other[0].to_string()));
            count += 1;
        }
    }
    assert_eq!(count, 32);
}

#[test]
fn what_a_form_forces_is_told_as_a_step() {
    let server = Server::start(ServeOptions::default());
    let form = json!({"diffusion": {"decoder": "schedule", "block_length": 32, "constraint": {"regex": "[0-9]{3}"}}});
    let all = events(server.send("/v1/diffusion/generate", &body(form)));
    let started = &all[0].data;
    let mut canvas = started["canvas"].as_array().unwrap().clone();
    let answer = started["prompt_length"].as_u64().unwrap() as usize;
    assert!(canvas[answer..].iter().all(|id| *id == started["mask_id"]), "{started}");
    let step = &all[1].data;
    assert_eq!(step["nfe"], 0);
    for forced in step["forced"].as_array().unwrap() {
        canvas[forced[0].as_u64().unwrap() as usize] = forced[1].clone();
    }
    let masked = canvas.iter().filter(|id| **id == started["mask_id"]).count();
    assert_eq!(step["masked"], masked);
    assert!(masked < 32);
}

#[test]
fn a_reader_that_comes_back_gets_the_rest() {
    let server = Server::start(ServeOptions::default());
    let all = events(server.post_with("/v1/diffusion/generate", &body(json!({})), "x-request-id", "one"));
    let begun = server.post_with("/v1/diffusion/generate", &body(json!({})), "x-request-id", "two");
    let mut told = read_events(begun.into_body().into_reader(), 5);
    let rest = server.get_with("/v1/diffusion/generations/two/events", "last-event-id", "4");
    told.extend(events(rest));
    let timeless = |events: &[Sent]| -> Vec<Sent> {
        let mut events = events.to_vec();
        for sent in &mut events {
            for key in ["request_id", "id", "created", "usage"] {
                sent.data.as_object_mut().unwrap().remove(key);
            }
        }
        events
    };
    assert_eq!(timeless(&told), timeless(&all));
    assert_eq!(server.get("/v1/diffusion/generations/three/events").status(), 404);
    assert_eq!(server.get_with("/v1/diffusion/generations/two/events", "last-event-id", "x").status(), 400);
}

#[test]
fn a_generation_is_cancelled_by_its_id() {
    let server = Server::start(ServeOptions::default());
    let long = json!({"max_tokens": 200, "diffusion": {"decoder": "schedule", "steps": 200, "block_length": 200}});
    let begun = server.post_with("/v1/diffusion/generate", &body(long), "x-request-id", "long");
    assert_eq!(server.delete("/v1/diffusion/generations/long"), 202);
    let all = events(begun);
    let last = all.last().unwrap();
    assert_eq!((last.event.as_deref(), &last.data["error"]["code"]), (Some("diffusion.failed"), &json!("cancelled")));
    assert_eq!(server.delete("/v1/diffusion/generations/other"), 404);
}

#[test]
fn a_template_is_filled() {
    let server = Server::start(ServeOptions::default());
    let body = json!({"template": ["In the castle lived a ", {"mask": 2}, " with a bell."], "diffusion": {"steps": 2, "decoder": "schedule"}});
    let all = events(server.send("/v1/diffusion/generate", &body));
    let text = all.last().unwrap().data["choices"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("In the castle lived a ") && text.ends_with(" with a bell."), "{text}");
}
