//! Models: the endpoints that OpenAI's and Anthropic's clients call, of model serving and of the AI gateway.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Router};
use serde_json::{Map, Value, json};

use crate::bearer::Caller;
use crate::refusal::Refusal;
use crate::rest::{Answer, check_id, ok, params};
use crate::stream;
use crate::world::World;

/// What every model says, word by word.
const WORDS: [&str; 3] = ["forty", "-", "two"];

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/serving-endpoints/chat/completions", post(chat_completions))
        .route("/ai-gateway/mlflow/v1/chat/completions", post(chat_completions))
        .route("/ai-gateway/openai/v1/chat/completions", post(chat_completions))
        .route("/serving-endpoints/responses", post(responses))
        .route("/ai-gateway/openai/v1/responses", post(responses))
        .route("/ai-gateway/codex/v1/responses", post(responses))
        .route("/serving-endpoints/anthropic/v1/messages", post(messages))
        .route("/ai-gateway/anthropic/v1/messages", post(messages))
}

/// The body of a request to a model that its caller may use.
fn asked(world: &World, caller: &Caller, body: &Bytes) -> Result<(Map<String, Value>, String), Refusal> {
    let request = params::object(body)?;
    let model = params::id(&request, "model")?;
    check_id(&world.workspace(), caller, "serving_endpoints", &model)?;
    Ok((request, model))
}

fn wants_stream(request: &Map<String, Value>) -> bool {
    request.get("stream").and_then(Value::as_bool).unwrap_or_default()
}

async fn chat_completions(
    State(world): State<Arc<World>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Answer {
    let (request, model) = asked(&world, &caller, &body)?;
    let answer = |kind: &str, choice: Value| json!({ "id": "chatcmpl-1", "object": kind, "created": 1, "model": model, "choices": [choice] });
    if !wants_stream(&request) {
        let message = json!({ "role": "assistant", "content": WORDS.concat() });
        return ok(&answer("chat.completion", json!({ "index": 0, "message": message, "finish_reason": "stop" })));
    }
    let chunk = |delta: Value, end: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": end });
        format!("data: {}\n\n", answer("chat.completion.chunk", choice))
    };
    let mut events: Vec<String> =
        WORDS.iter().map(|word| chunk(json!({ "role": "assistant", "content": word }), Value::Null)).collect();
    events.push(chunk(json!({}), json!("stop")));
    events.push("data: [DONE]\n\n".into());
    Ok(stream::events(events))
}

async fn responses(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let (request, model) = asked(&world, &caller, &body)?;
    let said = json!([{ "type": "output_text", "text": WORDS.concat(), "annotations": [] }]);
    let message =
        json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": said });
    let usage = json!({
        "input_tokens": 1, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": 3, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 4,
    });
    let response = |status: &str, output: Value| {
        json!({
            "id": "resp_1", "object": "response", "created_at": 1, "model": model, "status": status, "output": output,
            "usage": usage, "parallel_tool_calls": false, "tool_choice": "auto", "tools": [],
        })
    };
    let whole = response("completed", json!([message]));
    if !wants_stream(&request) {
        return ok(&whole);
    }
    let mut events = vec![("response.created", json!({ "response": response("in_progress", json!([])) }))];
    let at = |member: &str, value: Value| json!({ "item_id": "msg_1", "output_index": 0, "content_index": 0, member: value });
    events.extend(WORDS.map(|word| ("response.output_text.delta", at("delta", json!(word)))));
    events.push(("response.output_item.done", json!({ "output_index": 0, "item": message })));
    events.push(("response.completed", json!({ "response": whole })));
    let events = events.into_iter().enumerate().map(|(number, (kind, mut value))| {
        if let Some(object) = value.as_object_mut() {
            object.insert("type".into(), json!(kind));
            object.insert("sequence_number".into(), json!(number));
        }
        format!("event: {kind}\ndata: {value}\n\n")
    });
    Ok(stream::events(events.collect()))
}

async fn messages(State(world): State<Arc<World>>, Extension(caller): Extension<Caller>, body: Bytes) -> Answer {
    let (request, model) = asked(&world, &caller, &body)?;
    let usage = json!({ "input_tokens": 1, "output_tokens": 3 });
    let message = |content: Value, end: Value| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": model,
            "content": content, "stop_reason": end, "stop_sequence": null, "usage": usage,
        })
    };
    if !wants_stream(&request) {
        let content = json!([{ "type": "text", "text": WORDS.concat() }]);
        return ok(&message(content, json!("end_turn")));
    }
    let event = |kind: &str, mut value: Value| {
        if let Some(object) = value.as_object_mut() {
            object.insert("type".into(), json!(kind));
        }
        format!("event: {kind}\ndata: {value}\n\n")
    };
    let begun = event("message_start", json!({ "message": message(json!([]), Value::Null) }))
        + &event("content_block_start", json!({ "index": 0, "content_block": { "type": "text", "text": "" } }));
    let mut events = vec![begun];
    for word in WORDS {
        let delta = json!({ "index": 0, "delta": { "type": "text_delta", "text": word } });
        events.push(event("content_block_delta", delta));
    }
    // the first piece is a word, as it is of the other kind of answer
    let first = events.remove(0);
    if let Some(word) = events.first_mut() {
        word.insert_str(0, &first);
    }
    let end = json!({ "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": usage });
    events.push(event("content_block_stop", json!({ "index": 0 })) + &event("message_delta", end));
    events.push(event("message_stop", json!({})));
    Ok(stream::events(events))
}
