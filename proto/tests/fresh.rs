//! The checked-in generated code is what the `.proto` files say.

use std::path::Path;

#[test]
fn generated_code_is_fresh() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = std::env::temp_dir().join(format!("consilium-proto-{}", std::process::id()));
    std::fs::create_dir_all(&out).expect("a temporary folder");
    let files = ["enrollment", "federation", "operator"].map(|name| format!("consilium/v1/{name}.proto"));
    let descriptors = protox::compile(files, [here]).expect("the .proto files compile");
    tonic_prost_build::configure()
        .out_dir(&out)
        .bytes(".")
        .compile_fds(descriptors)
        .expect("code generation");
    let fresh = std::fs::read_to_string(out.join("consilium.v1.rs")).expect("generated");
    std::fs::remove_dir_all(&out).expect("a temporary folder");

    let checked_in = here.join("src/generated/consilium.v1.rs");
    if std::env::var_os("CONSILIUM_REGENERATE").is_some() {
        std::fs::write(&checked_in, &fresh).expect("the source tree is writable");
    }
    let kept = std::fs::read_to_string(&checked_in).unwrap_or_default();
    assert!(
        kept == fresh,
        "proto/src/generated is stale: run `CONSILIUM_REGENERATE=1 cargo test -p consilium-proto`"
    );
}
