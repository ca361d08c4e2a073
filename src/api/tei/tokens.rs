//! `POST /tokenize` and `/decode`: texts and the model's token ids.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::answer;
use super::super::body::Body;
use super::super::failure::Failure;
use super::super::input::Unread;
use super::super::service::{Asked, SharedService};

#[derive(Deserialize)]
struct TokenizeRequest<'a> {
    #[serde(borrow)]
    inputs: Unread<'a>,
    #[serde(default = "yes")]
    add_special_tokens: bool,
    prompt_name: Option<String>,
}

#[derive(Serialize)]
struct SimpleToken {
    id: u32,
    text: String,
    special: bool,
    /// Bytes of prompt and text.
    start: Option<usize>,
    stop: Option<usize>,
}

#[derive(Deserialize)]
struct DecodeRequest {
    ids: Ids,
    #[serde(default = "yes")]
    skip_special_tokens: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(Vec<u32>),
    Many(Vec<Vec<u32>>),
}

fn yes() -> bool {
    true
}

pub(super) async fn tokenize(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let work = move |service: &super::super::service::Service, _| {
        let request: TokenizeRequest<'_> = body.read()?;
        let served = service.models.first();
        let asked = Asked { prompt: request.prompt_name.as_deref(), ..Asked::default() };
        let prompt = served.options(asked)?.prompt.text;
        let texts = request.inputs.texts("inputs", service.settings.max_texts)?;
        let tokenizer = served.model().tokenizer();
        let tokens = texts.iter().map(|text| {
            let whole = format!("{prompt}{text}");
            let tokens = tokenizer.tokens(&whole, request.add_special_tokens)?;
            let simple = tokens.into_iter().map(|token| SimpleToken {
                text: match &token.place {
                    Some(place) => {
                        String::from_utf8_lossy(&whole.as_bytes()[place.clone()]).into_owned()
                    }
                    None => token.text,
                },
                id: token.id,
                special: token.place.is_none(),
                start: token.place.as_ref().map(|place| place.start),
                stop: token.place.map(|place| place.end),
            });
            Ok(simple.collect())
        });
        answer::json(&tokens.collect::<Result<Vec<Vec<SimpleToken>>, Failure>>()?)
    };
    service.run(work).await
}

pub(super) async fn decode(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let work = move |service: &super::super::service::Service, _| {
        let request: DecodeRequest = body.read()?;
        let tokenizer = service.models.first().model().tokenizer();
        let lists = match request.ids {
            Ids::One(ids) => vec![ids],
            Ids::Many(lists) => lists,
        };
        let decode = |ids: &Vec<u32>| tokenizer.decode(ids, request.skip_special_tokens);
        let texts = lists.iter().map(decode).collect::<Result<Vec<String>, _>>()?;
        answer::json(&texts)
    };
    service.run(work).await
}
