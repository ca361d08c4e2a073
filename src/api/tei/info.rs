//! `GET /info`: what is served, and within which limits.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::super::answer;
use super::super::failure::Failure;
use super::super::service::SharedService;
use crate::compute::Dtype;
use crate::models::Task;

#[derive(Serialize)]
struct Info<'a> {
    model_id: &'a str,
    model_sha: Option<&'a str>,
    model_dtype: &'static str,
    served_model_name: &'a str,
    model_type: ModelType,
    max_concurrent_requests: usize,
    max_input_length: usize,
    max_batch_tokens: usize,
    max_batch_requests: Option<usize>,
    max_client_batch_size: usize,
    auto_truncate: bool,
    tokenization_workers: usize,
    version: &'static str,
    sha: Option<&'static str>,
    docker_label: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum ModelType {
    Embedding { pooling: String },
    Classifier(Labels),
    Reranker(Labels),
}

#[derive(Serialize)]
struct Labels {
    id2label: BTreeMap<String, String>,
    label2id: BTreeMap<String, usize>,
}

pub(super) async fn info(State(service): State<SharedService>) -> Result<Response, Failure> {
    let served = service.models.first();
    let model = served.model();
    let labels = || {
        let named = || model.labels().iter().enumerate();
        Labels {
            id2label: named().map(|(id, label)| (id.to_string(), label.clone())).collect(),
            label2id: named().map(|(id, label)| (label.clone(), id)).collect(),
        }
    };
    let model_type = match model.kind() {
        Task::Embedding => ModelType::Embedding { pooling: model.pooling_name() },
        Task::Sparse => ModelType::Embedding { pooling: "splade".to_owned() },
        Task::Reranker if model.labels().len() == 1 => ModelType::Reranker(labels()),
        Task::Reranker => ModelType::Classifier(labels()),
    };
    answer::json(&Info {
        model_id: model.name(),
        model_sha: None,
        model_dtype: match served.loaded().dtype().dtype {
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::Int8 => "int8",
        },
        served_model_name: model.name(),
        model_type,
        max_concurrent_requests: service.settings.max_requests,
        max_input_length: model.tokenizer().max_tokens(),
        max_batch_tokens: served.loaded().max_batch_tokens(),
        max_batch_requests: None,
        max_client_batch_size: service.settings.max_texts,
        auto_truncate: true,
        tokenization_workers: rayon::current_num_threads(),
        version: env!("CARGO_PKG_VERSION"),
        sha: None,
        docker_label: None,
    })
}
