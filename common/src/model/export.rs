//! The trained model for other tools: a safetensors file, and beside it what one needs to score a
//! person with it.
//!
//! Both are functions of their arguments bit for bit, so an auditor recomputes them.

use super::blob::ModelHeader;
use super::{Layer, from_fixed};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The one key of the file's metadata; its value is the model's header as JSON. One key, because
/// safetensors writes several in no fixed order.
pub const METADATA_KEY: &str = "consilium";

/// The model as a safetensors file: `f32` tensors `layers.0.weight` `[inputs, outputs]`,
/// `layers.0.bias` `[outputs]` and so on; the header (schema, study, round, architecture) in the
/// metadata under [`METADATA_KEY`]. A parameter is the `f32` nearest to its fixed-point value, the
/// same that training and scoring here use.
///
/// # Panics
/// When the header's architecture and the values disagree: a bug of the caller.
#[must_use]
pub fn safetensors_bytes(header: &ModelHeader, values: &[i32]) -> Vec<u8> {
    let layers = header.architecture.layers();
    assert_eq!(header.architecture.parameters(), values.len(), "the header counts the values");
    let bytes: Vec<u8> = values.iter().flat_map(|&value| nearest_f32(value).to_le_bytes()).collect();
    let view = |from: usize, to: usize, shape: Vec<usize>| {
        TensorView::new(Dtype::F32, shape, &bytes[4 * from..4 * to]).expect("the layers tile the values")
    };
    let tensors = layers.iter().enumerate().flat_map(|(index, layer)| {
        let &Layer { inputs, outputs, weight_at, bias_at } = layer;
        [
            (weight_name(index), view(weight_at, bias_at, vec![inputs, outputs])),
            (bias_name(index), view(bias_at, bias_at + outputs, vec![outputs])),
        ]
    });
    let header = serde_json::to_string(header).expect("a header is plain data");
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), header)]);
    safetensors::serialize(tensors, Some(metadata)).expect("names are distinct and shapes fit")
}

/// What a tool needs beside the safetensors file to score a person: layers and activations in
/// order, and each input's name and encoding (from the study's features and rule for missing
/// values), in order; and, where there are several, the name of each output.
///
/// # Panics
/// When there are more or fewer inputs or outputs than the architecture has: a bug of the caller.
#[must_use]
pub fn architecture_json(header: &ModelHeader, inputs: &[(String, Value)], outputs: &[String]) -> String {
    assert_eq!(header.architecture.inputs, inputs.len(), "every input is described");
    assert_eq!(header.architecture.outputs, outputs.len(), "every output is named");
    let layers = header.architecture.layers();
    let last = layers.len() - 1;
    let layers: Vec<Value> = layers
        .iter()
        .enumerate()
        .map(|(index, layer)| {
            json!({
                "weight": weight_name(index),
                "bias": bias_name(index),
                "inputs": layer.inputs,
                "outputs": layer.outputs,
                "activation": if index == last { "none" } else { "tanh" },
            })
        })
        .collect();
    let inputs: Vec<Value> =
        inputs.iter().map(|(name, encoding)| json!({ "name": name, "encoding": encoding })).collect();
    let mut description = json!({
        "schema": "architecture/1",
        "study": header.study,
        "round": header.round,
        "parameters": header.architecture.parameters(),
        "inputs": inputs,
        "layers": layers,
        "layer": "x = activation(x @ weight + bias); weight is [inputs, outputs], row-major",
        "output": "one logit; probability = sigmoid(logit) = 1 / (1 + exp(-logit))",
    });
    if outputs.len() > 1 {
        description["outputs"] = json!(outputs);
        description["output"] = json!(
            "one logit for each of outputs, in order; probability = sigmoid(logit) = 1 / (1 + exp(-logit))"
        );
    }
    let mut text = serde_json::to_string_pretty(&description).expect("plain data");
    text.push('\n');
    text
}

fn weight_name(layer: usize) -> String {
    format!("layers.{layer}.weight")
}

fn bias_name(layer: usize) -> String {
    format!("layers.{layer}.bias")
}

#[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is wanted")]
fn nearest_f32(value: i32) -> f32 {
    from_fixed(value) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;
    use crate::model::Architecture;
    use crate::model::blob::Header;
    use safetensors::SafeTensors;

    fn header(inputs: usize, hidden: &[usize]) -> ModelHeader {
        ModelHeader {
            schema: ModelHeader::SCHEMA.into(),
            study: Digest::of(b"study"),
            round: 12,
            architecture: Architecture { inputs, hidden: hidden.to_vec(), outputs: 1 },
        }
    }

    #[test]
    fn reads_back() {
        fn check(inputs: usize, hidden: &[usize]) {
            let header = header(inputs, hidden);
            let count = header.architecture.parameters();
            // 1/16 apart, around zero: exact in f32.
            let values: Vec<i32> = (0..count).map(|i| (i as i32 - 7) << 20).collect();
            let bytes = safetensors_bytes(&header, &values);
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let layers = header.architecture.layers();
            assert_eq!(file.len(), 2 * layers.len());
            for (index, layer) in layers.iter().enumerate() {
                let floats = |name: &str, shape: &[usize]| {
                    let tensor = file.tensor(name).unwrap();
                    assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, shape));
                    let chunks = tensor.data().chunks_exact(4);
                    chunks.map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>()
                };
                let expected = |from, to| (from..to).map(|i| (i as f32 - 7.0) / 16.0).collect::<Vec<f32>>();
                let end = layer.bias_at + layer.outputs;
                let weight = floats(&format!("layers.{index}.weight"), &[layer.inputs, layer.outputs]);
                assert_eq!(weight, expected(layer.weight_at, layer.bias_at));
                let bias = floats(&format!("layers.{index}.bias"), &[layer.outputs]);
                assert_eq!(bias, expected(layer.bias_at, end));
            }
            let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
            let metadata = metadata.metadata().as_ref().unwrap();
            assert_eq!(serde_json::from_str::<ModelHeader>(&metadata[METADATA_KEY]).unwrap(), header);
        }
        check(3, &[]);
        check(5, &[4, 3]);
        check(1, &[1; 12]);
    }

    /// The file's exact bytes: an auditor compares them.
    #[test]
    fn bytes_are_fixed() {
        let header = header(2, &[]);
        let bytes = safetensors_bytes(&header, &[1 << 24, -(1 << 23), 0]);
        let inner = serde_json::to_string(&serde_json::to_string(&header).unwrap()).unwrap();
        let text = format!(
            r#"{{"__metadata__":{{"consilium":{inner}}},"layers.0.bias":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"layers.0.weight":{{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}}}}"#
        );
        let length = text.len().next_multiple_of(8);
        let mut expected = (length as u64).to_le_bytes().to_vec();
        expected.extend(format!("{text:length$}").into_bytes());
        for value in [0.0_f32, 1.0, -0.5] {
            expected.extend(value.to_le_bytes());
        }
        assert_eq!(bytes, expected);
    }

    #[test]
    fn says_how_to_score() {
        let inputs = [
            ("age".to_owned(), json!({ "column": "age", "number": { "low": 18, "high": 100 } })),
            ("age: not recorded".to_owned(), json!({ "column": "age", "missing": true })),
        ];
        let text = architecture_json(&header(2, &[3]), &inputs, &["self_harm".to_owned()]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["inputs"][1]["name"], "age: not recorded");
        assert_eq!(value["inputs"][0]["encoding"]["number"]["high"], 100);
        assert_eq!(value["layers"][0]["activation"], "tanh");
        assert_eq!(value["layers"][0]["inputs"], 2);
        assert_eq!(value["layers"][1]["activation"], "none");
        assert_eq!(value["layers"][1]["weight"], "layers.1.weight");
        assert_eq!(value["study"], json!(Digest::of(b"study")));
        assert_eq!(architecture_json(&header(2, &[3]), &inputs, &["self_harm".to_owned()]), text);
    }
}
