//! For tests: a document with one value replaced by an odd one, for every value and many odd ones.

use serde_json::{Value, json};

/// Every such document.
pub(super) fn each(document: &Value) -> Vec<Value> {
    let odd = json!([null, true, -1, 3, 1e300, i64::MIN, i64::MAX, "", "x", "(,)", "a.b.c + 1d", [], [null], [{}], {}, {"a": 1}]);
    let mut pointers = Vec::new();
    collect(document, &mut String::new(), &mut pointers);
    let odd = odd.as_array().expect("a list");
    let replaced = |pointer: &String, odd: &Value| {
        let mut document = document.clone();
        *document.pointer_mut(pointer).expect("is in the document") = odd.clone();
        document
    };
    pointers.iter().flat_map(|pointer| odd.iter().map(move |odd| replaced(pointer, odd))).collect()
}

fn collect(value: &Value, path: &mut String, pointers: &mut Vec<String>) {
    pointers.push(path.clone());
    let length = path.len();
    let mut child = |key: &str, value: &Value| {
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        collect(value, path, pointers);
        path.truncate(length);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| child(key, value)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| child(&at.to_string(), value)),
        _ => {}
    }
}
