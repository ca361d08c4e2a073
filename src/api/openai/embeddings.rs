//! `POST /v1/embeddings`, as OpenAI's.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::super::answer::{self, Usage, header_of_cuts};
use super::super::body::Body;
use super::super::failure::Failure;
use super::super::input::Unread;
use super::super::service::{Asked, Plan, SharedService, blocking};

/// Fields that we do not know are ignored, as OpenAI's own clients expect.
#[derive(Deserialize)]
struct Request<'a> {
    /// A text or a list of them.
    #[serde(borrow)]
    input: Unread<'a>,
    model: Option<String>,
    encoding_format: Option<EncodingFormat>,
    dimensions: Option<i64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum EncodingFormat {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Embedding<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
struct Embedding<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Float(&'a [f32]),
    /// Little-endian f32.
    Base64(String),
}

pub(super) async fn create(
    State(service): State<SharedService>,
    body: Body,
) -> Result<Response, Failure> {
    let plan = service.answer(move |service| {
        let request: Request<'_> = body.read()?;
        let served = service.models.find(request.model.as_deref())?.clone();
        let texts = request.input.texts("input", service.settings.max_texts)?;
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let options = served.options(Asked::of_dimensions(request.dimensions))?;
        let planned = served.model().embed(&texts, &options)?;
        let rest = (served.clone(), request.encoding_format.unwrap_or_default());
        Ok(Plan { served, planned, rest })
    });
    let (embeddings, (served, format)) = plan.await?;
    blocking(move || {
        let data = embeddings.rows().enumerate().map(|(index, row)| Embedding {
            object: "embedding",
            index,
            embedding: encode(row, format),
        });
        let answer = answer::json(&Answer {
            object: "list",
            data: data.collect(),
            model: served.model().name(),
            usage: Usage::new(embeddings.tokens.iter().sum()),
        });
        let cut = embeddings.truncated.iter().enumerate().filter(|(_, length)| length.is_some());
        Ok((header_of_cuts(cut.map(|(index, _)| index.to_string())), answer?).into_response())
    })
    .await
}

fn encode(row: &[f32], format: EncodingFormat) -> Vector<'_> {
    match format {
        EncodingFormat::Float => Vector::Float(row),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            Vector::Base64(STANDARD.encode(bytes))
        }
    }
}
